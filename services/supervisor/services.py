"""The services of the suite and what each needs before it starts."""

from collections.abc import Mapping

from services.supervisor.domain import Need


def _after(*units: str) -> tuple[Need, ...]:
    """Started is enough: services wait for each other by themselves and would otherwise start one by one."""
    return tuple(Need(unit, ready=False) for unit in units)


SERVICES: Mapping[str, tuple[Need, ...]] = {
    "encoder": (Need("triton"),),
    "retrieval": (Need("milvus"),),
    "profile": (Need("postgres"),),
    "catalog": (Need("postgres"), *_after("encoder", "retrieval")),
    "ranking": (Need("postgres"), *_after("profile")),
    "support": (Need("postgres"), *_after("encoder", "retrieval")),
    "trainer": (Need("postgres"), *_after("profile", "catalog")),
    "gateway": (
        Need("postgres"),
        *_after("catalog", "profile", "encoder", "retrieval", "ranking", "support", "trainer"),
    ),
}
BACKING = ("postgres", "triton", "milvus")
FRONT: Mapping[str, tuple[Need, ...]] = {"envoy": _after("gateway")}
UNITS = (*BACKING, *SERVICES, *FRONT)

SUPERVISOR = "supervisor"
CALLERS: Mapping[str, tuple[str, ...]] = {
    "catalog": ("gateway", "profile", "trainer"),
    "profile": ("gateway", "trainer"),
    "encoder": ("gateway", "catalog", "retrieval", "support"),
    "retrieval": ("gateway", "catalog", "support", "trainer"),
    "ranking": ("gateway",),
    "support": ("gateway",),
    "trainer": ("gateway", "encoder", "retrieval", "ranking"),
}
"""With TLS: which services may call each; the gateway's callers are customers."""
