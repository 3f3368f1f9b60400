"""What a service's wiring hands to the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

Check = Callable[[], Awaitable[None]]
"""A dependency's health check: returns when it is up, raises when it is down. May be slow; it is timed out."""
Background = Callable[[], Awaitable[None]]
"""Work beside the calls: runs until cancelled; restarted with back-off when it raises; done when it returns."""


@dataclass(frozen=True, slots=True)
class Servicer:
    """One gRPC service and what implements it."""

    descriptor: ServiceDescriptor
    """``catalog_pb2.DESCRIPTOR.services_by_name["ProductService"]``; its full name is used for health."""
    add_to_server: Callable[[Any, Any], None]
    """The generated ``add_ProductServiceServicer_to_server``."""
    implementation: object
    """The servicer; all methods are ``async``."""


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """A service that is ready to be served."""

    name: str
    servicers: tuple[Servicer, ...]
    dependencies: Mapping[str, Check] = field(default_factory=dict)
    """Shown by health as ``dependency:<name>``."""
    critical: frozenset[str] = frozenset()
    """The dependencies without which the service is NOT_SERVING."""
    background: tuple[Background, ...] = ()
    extra_interceptors: tuple[grpc.aio.ServerInterceptor, ...] = ()
    """Placed between tenant and validation, outermost first (authentication, quotas)."""
    on_drain: tuple[Callable[[], None], ...] = ()
    """Called when draining begins: ends streams that would never end by themselves."""

    def __post_init__(self) -> None:
        unknown = self.critical - set(self.dependencies)
        if unknown:
            raise ValueError(f"critical dependencies without a check: {sorted(unknown)}")
