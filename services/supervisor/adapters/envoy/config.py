"""Envoy's configuration: one template, filled with settings, the contract's methods and the answers of its own."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from google.protobuf import descriptor_pb2

from services.supervisor.adapters.envoy.replies import JSON_MARK, bare_details, local_replies
from services.supervisor.adapters.envoy.routes import routes
from services.supervisor.http_settings import HttpSettings

PACKAGE = "mercato.gateway.v1"
HERE = Path(__file__).parent
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
CALLERS_HEADERS = (
    "accept", "authorization", "connection", "content-length", "content-type", "grpc-encoding", "grpc-timeout",
    "idempotency-key", "mercato-priority", "mercato-tenant", "te", "traceparent", "tracestate", "transfer-encoding",
    "user-agent", "x-api-key", "x-grpc-web", "x-request-id", "x-user-agent",
)  # fmt: skip
"""What may become metadata of the gateway's calls; everything else ends at the proxy."""
OWN_HEADERS = ("x-forwarded-proto",)
"""Set by the proxy itself, whatever the caller sent: no route is chosen without it."""
CERTIFICATE_FILE = "certificate.json"
"""Holds what ``certificate()`` says."""
BROWSERS_HEADERS = sorted({*CALLERS_HEADERS} - {"connection", "content-length", "te", "transfer-encoding"})
ANSWERS_HEADERS = ("grpc-message", "grpc-status", "grpc-status-details-bin", "retry-after", "x-request-id")
LOGGED = {
    "time": "%START_TIME%",
    "event": "request",
    "verb": "%REQ(:METHOD)%",
    "method": "%REQ(:PATH)%",
    "protocol": "%PROTOCOL%",
    "code": "%RESPONSE_CODE%",
    "grpc_code": "%GRPC_STATUS(SNAKE_STRING)%",
    "received_bytes": "%BYTES_RECEIVED%",
    "sent_bytes": "%BYTES_SENT%",
    "ms": "%DURATION%",
    "flags": "%RESPONSE_FLAGS%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}
"""Once a request has become gRPC its path is the method's name; other paths may name persons and are not logged."""


def descriptors() -> Path:
    """The public contract's descriptors, written by ``make protos``."""
    return Path(str(resources.files(PACKAGE) / "descriptors.binpb"))


def render(
    settings: HttpSettings,
    *,
    listen: str,
    status: str,
    gateways: Iterable[str],
    gateway_ca: Path | None = None,
    folder: Path | None = None,
) -> str:
    """The configuration as YAML: serve at ``listen``, tell of itself at ``status``, pass on to ``gateways``.

    All are ``host:port``. With ``gateway_ca`` over TLS, to a certificate of these issuers for the name `gateway`.
    ``folder`` is where Envoy finds a copy of ``descriptors()``, named alike, and with HTTPS CERTIFICATE_FILE; without
    it the descriptors are those of this package and the certificate's file is in Envoy's working folder.
    """
    services = _services()
    host, port = _split(listen)
    status_host, status_port = _split(status)
    values: dict[str, Any] = {
        "HOST": host,
        "PORT": port,
        "STATUS_HOST": status_host,
        "STATUS_PORT": status_port,
        "DESCRIPTORS": str(folder / descriptors().name if folder else descriptors()),
        "SERVICES": list(services),
        "ROUTES": routes(services, settings),
        "MAX_MEMORY_BYTES": settings.max_memory_bytes,
        "MAX_CONNECTIONS": settings.max_connections,
        "MAX_REQUESTS": settings.max_requests,
        "MAX_BODY_BYTES": settings.max_body_bytes,
        "MAX_HEADERS": settings.max_headers,
        "MAX_HEADER_KILOBYTES": settings.max_header_kilobytes,
        "TRUSTED_PROXIES": settings.trusted_proxies,
        "IDLE_SECONDS": f"{settings.idle_seconds}s",
        "HEADER_SECONDS": f"{settings.header_seconds}s",
        "ACCESS_LOG": _access_log() if settings.access_log else [],
        "LOCAL_REPLIES": local_replies(),
        "CORS": _cors(settings),
        "HEADER_FILTER": _header_filter(),
        "END_FILTER": _end_filter(),
        "GATEWAY": _endpoints("gateway", gateways),
        "DOWNSTREAM_TLS": _downstream_tls(settings, f"{folder or '.'}/{CERTIFICATE_FILE}"),
        "UPSTREAM_TLS": _upstream_tls(gateway_ca),
    }
    filled = {name: json.dumps(value) for name, value in values.items()}
    return Template((HERE / "envoy.yaml").read_text()).substitute(filled)


def _services() -> dict[str, Sequence[descriptor_pb2.MethodDescriptorProto]]:
    """The methods of the public services, by their full names."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors().read_bytes()).file
    own = [service for file in files if file.package == PACKAGE for service in file.service]
    return {f"{PACKAGE}.{service.name}": service.method for service in own}


def _access_log() -> list[dict[str, Any]]:
    """Lines of JSON on standard output: with the method where there is one, without the path where not."""
    method = {
        "name": ":path",
        "string_match": {"safe_regex": {"regex": rf"/{PACKAGE}\.\w+/\w+".replace(".v1", r"\.v1")}},
    }

    def log(logged: Mapping[str, str], header: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "name": "envoy.access_loggers.stdout",
            "filter": {"header_filter": {"header": header}},
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                "log_format": {"json_format": logged},
            },
        }

    return [log(LOGGED, method), log({**LOGGED, "method": "-"}, {**method, "invert_match": True})]


def _cors(settings: HttpSettings) -> dict[str, Any]:
    origins = settings.cors_origins
    matches = [{"prefix": ""}] if "*" in origins else [{"exact": origin} for origin in origins]
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": matches,
        "allow_methods": "GET, POST, PATCH, DELETE",
        "allow_headers": ", ".join(BROWSERS_HEADERS),
        "expose_headers": ", ".join(ANSWERS_HEADERS),
        "max_age": str(settings.cors_max_age_seconds),
        "forward_not_matching_preflights": False,
    }


def _end_filter() -> str:
    details = ", ".join(f'["{code}"] = "{encoded}"' for code, encoded in bare_details().items())
    return Template((HERE / "ends.lua").read_text()).substitute(DETAILS=f"{{{details}}}")


def _header_filter() -> str:
    allowed = "{" + ", ".join(f'["{name}"]=true' for name in (*CALLERS_HEADERS, *OWN_HEADERS)) + "}"
    return Template((HERE / "headers.lua").read_text()).substitute(ALLOWED=allowed, JSON_MARK=JSON_MARK)


def _endpoints(cluster: str, addresses: Iterable[str]) -> dict[str, Any]:
    places = [_split(address) for address in addresses]
    hosts = [{"endpoint": {"address": {"socket_address": {"address": h, "port_value": p}}}} for h, p in places]
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": hosts}]}


def certificate(settings: HttpSettings) -> str | None:
    """Where Envoy finds certificate and key, as the file of a secret: what it reads so it reads again once replaced."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    chain, key = settings.tls_certificate.absolute(), settings.tls_key.absolute()
    secret = {
        "@type": f"{TLS}.Secret",
        "name": "http",
        "tls_certificate": {
            "certificate_chain": {"filename": str(chain)},
            "private_key": {"filename": str(key)},
            "watched_directory": {"path": str(chain.parent)},
        },
    }
    return json.dumps({"resources": [secret]})


def _downstream_tls(settings: HttpSettings, secret: str) -> dict[str, Any] | None:
    if settings.tls_certificate is None:
        return None
    source = {"path_config_source": {"path": secret}, "resource_api_version": "V3"}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TLS}.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [{"name": "http", "sds_config": source}],
            },
        },
    }


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def _upstream_tls(ca: Path | None) -> dict[str, Any] | None:
    if ca is None:
        return None
    name = {"san_type": "DNS", "matcher": {"exact": "gateway"}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TLS}.UpstreamTlsContext",
            "sni": "gateway",
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "validation_context": {
                    "trusted_ca": {"filename": str(ca.absolute())},
                    "match_typed_subject_alt_names": [name],
                },
            },
        },
    }
