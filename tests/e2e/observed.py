"""A suite that is watched: traces go to a collector of the test, metrics are on."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from services.supervisor.services import SERVICES
from services.supervisor.settings import SupervisorSettings
from tests.e2e.conftest import MODELS, ROOT, Running
from tests.suites.background_suite import BackgroundSuite
from tests.suites.otlp_receiver import OtlpReceiver


@dataclass(frozen=True)
class Observed:
    """The suite and what its collector received."""

    running: Running
    receiver: OtlpReceiver

    def logs(self) -> dict[str, str]:
        """What every process wrote so far, by unit."""
        folder = self.running.data / "logs"
        return {path.stem: path.read_text(errors="replace") for path in folder.glob("*.log*")}

    def metrics(self, service: str) -> list[Sample]:
        """The samples of a service's metrics now."""
        text = self.metrics_text(service)
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def metrics_text(self, service: str) -> str:
        """As Prometheus reads them."""
        port = self.running.suite.suite.environment[f"MERCATO_{service.upper()}_METRICS_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def all_metrics(self) -> dict[str, str]:
        """Of every service."""
        return {name: self.metrics_text(name) for name in SERVICES}


@contextmanager
def observed_suite(data: Path) -> Iterator[Observed]:
    """Starts it. Every request is recorded, also those whose callers say that they shall not be."""
    with OtlpReceiver() as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "MERCATO_TRACES_RATIO": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'shared' / 'protogen'}",
        }
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            settings = SupervisorSettings(
                data=data,
                gateway_address="127.0.0.1:0",
                http_address="127.0.0.1:0",
                model_repository=MODELS,
                ready_seconds=240,
                triton_traces_url=receiver.http_url,
            )
            with BackgroundSuite(settings) as suite:
                suite.call(suite.suite.wait_ready(), 260)
                yield Observed(Running(suite, suite.suite.addresses["gateway"], data), receiver)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
