"""Which requests go where, and how long they may take."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2

from services.supervisor.http_settings import HttpSettings

STREAM = "stream"
"""Name of the routes of streams; the header filter knows it."""


def routes(
    services: Mapping[str, Sequence[descriptor_pb2.MethodDescriptorProto]], settings: HttpSettings
) -> list[dict[str, Any]]:
    """Envoy's routes in the order in which they are tried.

    A JSON request takes the last one first, until its body is here. Once it has become gRPC its path is the name of a
    method, and the route is chosen again, with its own time.
    """
    streams = [
        _call(STREAM, {"path": f"/{service}/{method.name}"}, settings.stream_seconds)
        for service, methods in services.items()
        for method in methods
        if method.client_streaming or method.server_streaming
    ]
    calls = [_call("call", {"prefix": f"/{service}/"}, settings.request_seconds) for service in services]
    no_rpc = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
    alive = {
        "match": {"path": "/livez"},
        "direct_response": {"status": 200},
        "typed_per_filter_config": {"envoy.filters.http.grpc_json_transcoder": no_rpc},
    }
    return [alive, *map(_unbuffered, [*streams, *calls]), _call("json", {"prefix": "/v1/"}, settings.upload_seconds)]


def _call(name: str, match: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """To the gateway; sent once more only where it certainly was not received."""
    longest = f"{seconds}s"
    return {
        "name": name,
        "match": match,
        "route": {
            "cluster": "gateway",
            "timeout": "0s",
            "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 1},
            "max_stream_duration": {"max_stream_duration": longest, "grpc_timeout_header_max": longest},
        },
    }


def _unbuffered(route: dict[str, Any]) -> dict[str, Any]:
    """What comes as gRPC is passed on as it arrives; the gateway limits its messages."""
    off = {"@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute", "disabled": True}
    return {**route, "typed_per_filter_config": {"envoy.filters.http.buffer": off}}
