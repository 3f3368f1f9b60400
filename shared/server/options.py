"""gRPC options of every server and channel, with the reason for each."""

from __future__ import annotations

import json
from typing import Any

from shared.settings.connection import ConnectionSettings

Options = list[tuple[str, int | str]]

_TOO_LARGE_MARGIN = 2


def server_options(max_message_bytes: int, connection: ConnectionSettings | None = None) -> Options:
    """Options of a server."""
    connection = connection or ConnectionSettings()
    options: Options = [
        # The limit itself is checked by our interceptor, which answers with a reason; gRPC's own answer has
        # none, so it only guards memory against what is far too large.
        ("grpc.max_receive_message_length", max_message_bytes * _TOO_LARGE_MARGIN),
        ("grpc.max_send_message_length", max_message_bytes),
        # Above gRPC's default of 8 KiB it refuses calls at random, and the longest token alone is 8 KiB.
        ("grpc.max_metadata_size", 16 * 1024),
        # Otherwise a second process on the same port starts without an error and takes half of the calls.
        ("grpc.so_reuseport", 0),
        # Clients ping idle connections, to keep them open through load balancers.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(connection.least_ping_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        # A client that vanished without a word (its node died) does not hold streams and places for hours.
        ("grpc.keepalive_time_ms", _ms(connection.keepalive_seconds * 3)),
        ("grpc.keepalive_timeout_ms", _ms(connection.keepalive_timeout_seconds)),
    ]
    if connection.max_age_seconds:
        options += [
            # Clients connect anew now and then: so they find replicas that were added, and leave those that end.
            ("grpc.max_connection_age_ms", _ms(connection.max_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _ms(connection.max_age_grace_seconds)),
        ]
    if connection.max_connection_streams:
        options.append(("grpc.max_concurrent_streams", connection.max_connection_streams))
    return options


def channel_options(max_message_bytes: int, connection: ConnectionSettings | None = None) -> Options:
    """Options of a channel to another service."""
    connection = connection or ConnectionSettings()
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # A restarted peer is found again within a second; gRPC's default backs off up to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        # How long one connection attempt may take; bounds the wait for an address that swallows packets.
        ("grpc.min_reconnect_backoff_ms", 1_000),
        # A dead peer behind a live network is noticed without traffic.
        ("grpc.keepalive_time_ms", _ms(connection.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", _ms(connection.keepalive_timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # All addresses of a name are used, and a failed one is reconnected without waiting for a call.
        ("grpc.service_config", json.dumps({"loadBalancingConfig": [_balancing(connection)]})),
        # Names may carry a service config of their own in TXT records; ours counts, and the look-up takes time.
        ("grpc.service_config_disable_resolution", 1),
        # A name is looked up again soon after one of its addresses was lost.
        ("grpc.dns_min_time_between_resolutions_ms", _ms(connection.least_resolve_seconds)),
        # Back-off state must not be shared with other channels of this process (tests, several tenants).
        ("grpc.use_local_subchannel_pool", 1),
        # A status with many violations is larger than the default of 8 KiB.
        ("grpc.max_metadata_size", 64 * 1024),
    ]


def _balancing(connection: ConnectionSettings) -> dict[str, Any]:
    """Calls go round the replicas but for one that fails nearly all of its calls (gRFC A50): it may hang, connected."""
    round_robin: dict[str, Any] = {"round_robin": {}}
    if not connection.eject_seconds:
        return round_robin
    return {
        "outlier_detection_experimental": {
            "interval": "1s",
            "baseEjectionTime": f"{connection.eject_seconds:g}s",
            "maxEjectionTime": f"{connection.eject_seconds * 10:g}s",
            "maxEjectionPercent": 50,
            "failurePercentageEjection": {
                "threshold": 90,
                "enforcementPercentage": 100,
                "minimumHosts": 2,
                "requestVolume": 4,
            },
            "childPolicy": [round_robin],
        }
    }


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
