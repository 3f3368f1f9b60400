"""Calls a Mercato gateway: typed stubs over one channel, with deadlines, retries and readable errors.

``AsyncMercato`` is for asyncio, ``Mercato`` the same for programs without it. Messages are those of the contract,
``mercato.gateway.v1``.
"""

from mercato_client.client import AsyncMercato
from mercato_client.importing import Import, ImportFailed, ImportResult, Rejected
from mercato_client.options import Options, RetryPolicy
from mercato_client.problem import Problem, Violation, problem_of
from mercato_client.synchronous import Mercato

__all__ = [
    "AsyncMercato",
    "Import",
    "ImportFailed",
    "ImportResult",
    "Mercato",
    "Options",
    "Problem",
    "Rejected",
    "RetryPolicy",
    "Violation",
    "problem_of",
]
