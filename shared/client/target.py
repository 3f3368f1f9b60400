"""Addresses of services as gRPC targets."""

from __future__ import annotations

import ipaddress


def target_of(address: str) -> tuple[str, bool]:
    """The gRPC target for ``address``, and whether several replicas may stand behind it.

    ``host:port`` is one peer, also where a load balancer stands there. ``dns:///name:port`` is every address of a name
    (a headless Kubernetes service), ``10.0.0.1:50052,10.0.0.2:50052`` a fixed list. Raises ValueError for a list
    that is not of IP addresses.
    """
    scheme = address.partition(":")[0]
    if scheme in ("dns", "ipv4", "ipv6", "xds"):
        return address, scheme in ("dns", "xds") or "," in address
    if "," not in address:
        return address, False
    parts = [part.strip() for part in address.split(",")]
    try:
        versions = {ipaddress.ip_address(part.rpartition(":")[0].strip("[]")).version for part in parts}
    except ValueError:
        raise ValueError(
            f"{address!r} is not a list of IP addresses with ports; for a name use dns:///name:port"
        ) from None
    if len(versions) > 1:
        raise ValueError(f"{address!r} mixes IPv4 and IPv6 addresses; gRPC takes one kind in a list")
    return f"ipv{versions.pop()}:{','.join(parts)}", True
