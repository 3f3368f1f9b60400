"""gRPC options of every server and channel, with the reason for each."""

from __future__ import annotations

Options = list[tuple[str, int | str]]

_TOO_LARGE_MARGIN = 2


def server_options(max_message_bytes: int) -> Options:
    """Options of a server."""
    return [
        # The limit itself is checked by our interceptor, which answers with a reason; gRPC's own answer has
        # none, so it only guards memory against what is far too large.
        ("grpc.max_receive_message_length", max_message_bytes * _TOO_LARGE_MARGIN),
        ("grpc.max_send_message_length", max_message_bytes),
        # Otherwise a second process on the same port starts without an error and takes half of the calls.
        ("grpc.so_reuseport", 0),
        # Clients behind load balancers ping to keep idle connections open.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def channel_options(max_message_bytes: int) -> Options:
    """Options of a channel to another service."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # A restarted peer is found again within a second; gRPC's default backs off up to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        # How long one connection attempt may take; bounds the wait for an address that swallows packets.
        ("grpc.min_reconnect_backoff_ms", 1_000),
        # A dead peer behind a live network is noticed without traffic.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        # All addresses of a name are used, and a failed one is reconnected without waiting for a call.
        ("grpc.lb_policy_name", "round_robin"),
        # Back-off state must not be shared with other channels of this process (tests, several tenants).
        ("grpc.use_local_subchannel_pool", 1),
        # A status with many violations is larger than the default of 8 KiB.
        ("grpc.max_metadata_size", 64 * 1024),
    ]
