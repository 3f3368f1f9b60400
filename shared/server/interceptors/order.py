"""The order of the interceptors, outermost first."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from shared.server.interceptors.access_log import AccessLogInterceptor
from shared.server.interceptors.admission import AdmissionInterceptor
from shared.server.interceptors.deadline import DeadlineInterceptor
from shared.server.interceptors.errors import ErrorsInterceptor
from shared.server.interceptors.metrics import MetricsInterceptor
from shared.server.interceptors.peer import PeerInterceptor
from shared.server.interceptors.request_id import RequestIdInterceptor
from shared.server.interceptors.tenant import TenantInterceptor
from shared.server.interceptors.tracing import TracingInterceptor
from shared.server.interceptors.validation import ValidationInterceptor
from shared.server.limits.vegas import FixedLimit, VegasLimit
from shared.settings.base import ServiceSettings
from shared.telemetry.exporting import TracingSettings


def interceptors(
    settings: ServiceSettings, extra: Sequence[grpc.aio.ServerInterceptor] = (), *, edge: bool = False
) -> list[grpc.aio.ServerInterceptor]:
    """The interceptors of every server. ``edge``: callers are not services of ours."""
    access_log = [AccessLogInterceptor()] if settings.access_log else []
    traces = TracingSettings()
    trusting = not edge or traces.trust_callers
    tracing = [TracingInterceptor(edge=edge, trusting=trusting)] if traces.on else []
    peer = [PeerInterceptor(settings.allowed_clients)] if settings.allowed_clients else []
    return [
        RequestIdInterceptor(),  # first: every line logged below carries the id
        *tracing,  # likewise the trace; around the log, so that its last line has the trace's id
        *access_log,  # sees every call, refused ones included, with its final code and whole duration
        MetricsInterceptor(),  # likewise; inside the log, so that its cost is in the logged duration
        ErrorsInterceptor(),  # outside all that raises our errors, inside all that reads the code
        _admission(settings),  # before anything is spent on a call too many
        DeadlineInterceptor(settings.default_deadline_seconds, settings.stream_idle_seconds),  # bounds all that follows
        *peer,  # a tenant is believed only of those who may call at all
        TenantInterceptor(),  # authentication and quotas are per tenant
        *extra,  # who may call: before the request's content is looked at
        ValidationInterceptor(settings.max_message_bytes),  # last: the handler sees valid messages only
    ]


def _admission(settings: ServiceSettings) -> AdmissionInterceptor:
    """Admission by a limit that adapts, or by the fixed one."""
    most = settings.max_in_flight
    limit = (
        VegasLimit(initial=min(settings.first_limit, most), lowest=min(settings.least_limit, most), highest=most)
        if settings.adaptive_limit
        else FixedLimit(most)
    )
    return AdmissionInterceptor(limit, wait_seconds=settings.queue_seconds, most_calls=most)
