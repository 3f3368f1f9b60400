"""Both ends of a connection agree."""

import pytest
from pydantic import ValidationError

from shared.server.options import channel_options, server_options
from shared.settings.connection import ConnectionSettings


def test_a_client_that_pings_more_often_than_servers_take_is_refused() -> None:
    with pytest.raises(ValidationError, match="too many pings"):
        ConnectionSettings(keepalive_seconds=10, least_ping_seconds=6)


def test_the_age_of_connections_is_off_at_zero() -> None:
    names = dict(server_options(1024, ConnectionSettings(max_age_seconds=0)))
    assert "grpc.max_connection_age_ms" not in names
    assert dict(server_options(1024, ConnectionSettings(max_age_seconds=60)))["grpc.max_connection_age_ms"] == 60_000


def test_clients_ping_more_rarely_than_servers_take() -> None:
    client, server = dict(channel_options(1024)), dict(server_options(1024))
    assert int(client["grpc.keepalive_time_ms"]) >= 2 * int(server["grpc.http2.min_recv_ping_interval_without_data_ms"])
