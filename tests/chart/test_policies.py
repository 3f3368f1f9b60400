"""Rendered examples against the Kubernetes schemas, a policy scanner, and the settings of the services."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices
from typer.main import get_command

from deploy.helm import schema
from services.cli.app import app
from services.supervisor.http_settings import HttpSettings
from shared.settings.base import DEFAULT_PORTS
from shared.settings.connection import ConnectionSettings
from shared.settings.tls import TlsSettings
from shared.telemetry.exporting import TracingSettings
from tests.chart.conftest import CHART, EXAMPLES, Render

OWN_KINDS = {"ServiceMonitor", "PrometheusRule", "GRPCRoute", "HTTPRoute", "Certificate"}
"""Of definitions that a cluster may have; the schemas at hand do not know them."""
EXPLAINED = {
    "CKV_K8S_11": "CPU limits throttle a service that has room; requests and the autoscaler share CPU out",
    "CKV_K8S_15": "tags are versions that never move, and digests can be given",
    "CKV_K8S_35": "the services read their secrets from the environment",
    "CKV_K8S_43": "digests are values: each installation pins its own images",
    "CKV2_K8S_6": "the example that turns network policies off",
}


@pytest.fixture(scope="module")
def manifests(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifests")
    for example in EXAMPLES:
        (folder / f"{example.stem}.yaml").write_text(yaml.safe_dump_all(render({}, example).objects))
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_objects_fit_the_schemas_of_kubernetes(programs: Path, manifests: Path, tmp_path: Path, example: Any) -> None:
    objects = list(yaml.safe_load_all((manifests / f"{example.stem}.yaml").read_text()))
    file = tmp_path / "known.yaml"
    file.write_text(yaml.safe_dump_all([one for one in objects if one["kind"] not in OWN_KINDS]))
    command = [str(programs / "kubernetes-validate"), "--strict", str(file)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    told = answer.stdout + answer.stderr
    assert answer.returncode == 0, told
    assert not re.search(r"warn|unknown|error|fail", told, re.IGNORECASE), told


def test_the_policy_scan_has_no_finding_that_is_not_explained(programs: Path, manifests: Path) -> None:
    command = [
        str(programs / "checkov"),
        "-d",
        str(manifests),
        "--framework",
        "kubernetes",
        "-o",
        "json",
        "--skip-download",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(answer.stdout)
    assert found["summary"]["passed"] > 1000
    failed = Counter(one["check_id"] for one in found["results"]["failed_checks"])
    assert set(failed) <= set(EXPLAINED), failed


def test_every_setting_of_every_service_can_be_reached_and_exists(render: Render) -> None:
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    values: dict[str, Any] = {"services": {}}
    for service in DEFAULT_PORTS:
        cls = schema.settings_class(service)
        settings = {name: _some(one) for name, one in schema.settings_of(service)["properties"].items()}
        values["services"][service] = {"settings": settings}
        hidden = {name for name in cls.model_fields if name not in settings}
        reached_otherwise = {
            name
            for name in hidden
            if cls.model_fields[name].validation_alias is not None or name in schema.SET_BY_CHART
        }
        given = {f"MERCATO_{service.upper()}_{name.upper()}" for name in hidden - reached_otherwise}
        assert given <= set(re.findall(r"MERCATO_[A-Z_]+[A-Z]", helpers)), "a secret that no template hands over"
    made = render(values)
    for service in DEFAULT_PORTS:
        data = made.one("ConfigMap", f"m-mercato-{service}")["data"]
        environment = {key: value for key, value in data.items() if key.startswith(f"MERCATO_{service.upper()}_")}
        cls = schema.settings_class(service)
        prefix = f"MERCATO_{service.upper()}_"
        known = {prefix + name.upper() for name in cls.model_fields} | {f"{prefix}ADDRESS"}
        assert set(environment) <= known
        assert {prefix + name.upper() for name in values["services"][service]["settings"]} <= set(environment)


def test_every_environment_key_in_the_templates_is_read_by_some_service() -> None:
    keys = set()
    for template in (CHART / "templates").iterdir():
        keys |= set(re.findall(r"MERCATO_[A-Z_]+[A-Z](?![A-Z_{])", template.read_text()))
    known = {f"MERCATO_{service.upper()}_ADDRESS" for service in DEFAULT_PORTS}
    known |= {f"MERCATO_TLS_{name.upper()}" for name in TlsSettings.model_fields}
    known |= {str(alias) for one in TracingSettings.model_fields.values() for alias in aliases(one.validation_alias)}
    known |= {f"MERCATO_HTTP_{name.upper()}" for name in HttpSettings.model_fields}
    known |= {option.envvar for option in get_command(app).params if getattr(option, "envvar", None)}
    for service in DEFAULT_PORTS:
        for name, field in schema.settings_class(service).model_fields.items():
            known |= {f"MERCATO_{service.upper()}_{name.upper()}", str(field.validation_alias)}
    assert keys - known == set()


def test_every_process_hears_how_to_keep_connections_and_where_traces_go(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {name: _some(one) for name, one in schema.schema()["properties"]["connection"]["properties"].items()}
    connection |= {"keepalive_seconds": 40, "least_ping_seconds": 20}
    made = render({"connection": connection, "traces": {"endpoint": "http://otel:4317", "ratio": 0.5}})
    for service in DEFAULT_PORTS:
        data = made.one("ConfigMap", f"m-mercato-{service}")["data"]
        assert {f"MERCATO_CONNECTION_{name.upper()}" for name in ConnectionSettings.model_fields} <= set(data)
        with monkeypatch.context() as patched:
            for name, value in data.items():
                patched.setenv(name, value)
            assert ConnectionSettings().keepalive_seconds == 40
            assert (TracingSettings().endpoint, TracingSettings().ratio) == ("http://otel:4317", 0.5)


def test_every_value_is_used() -> None:
    text = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    unused = [
        f"{top}.{key}"
        for top, part in values.items()
        if top not in ("services", "settings", "connection") and isinstance(part, dict)
        for key in part
        if not re.search(rf"[.$a-zA-Z]\.{key}\b|\b{top}\.{key}\b", text)
    ]
    assert not unused


def aliases(alias: Any) -> list[Any]:
    return list(alias.choices) if isinstance(alias, AliasChoices) else [alias]


def _some(schema: dict[str, Any]) -> Any:
    """A value that fits."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _some(schema["anyOf"][0])
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    made = {"string": "x", "integer": int(low), "number": float(low), "boolean": True, "array": [], "object": {}}
    return made[schema.get("type", "string")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_services_accept_the_environment_that_they_are_given(
    render: Render, monkeypatch: pytest.MonkeyPatch, example: Any
) -> None:
    made = render({}, example)
    deployments = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in made.all("Deployment").values()
    }
    for service in set(DEFAULT_PORTS) & set(deployments):
        (container,) = deployments[service]["spec"]["template"]["spec"]["containers"]
        environment = dict(made.one("ConfigMap", container["envFrom"][0]["configMapRef"]["name"])["data"])
        for entry in container.get("env", []):
            environment[entry["name"]] = entry.get("value", "11" * 32)
        with monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            settings = schema.settings_class(service)()
            TlsSettings()
        assert settings.listen == f"[::]:{DEFAULT_PORTS[service]}"
        assert settings.drain_seconds == 30
