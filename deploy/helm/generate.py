"""Writes the chart's `values.schema.json` and `README.md`; `--check` fails where they are out of date.

What a service can be set to comes from its settings class, so that a misspelled setting is refused by helm with its
name. Run with the project's environment: `python -m deploy.helm.generate`.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from shared.settings.base import DEFAULT_PORTS, ServiceSettings

CHART = Path(__file__).parent / "mercato"
ROOT = Path(__file__).parents[2]
SET_BY_CHART = {"listen", "metrics_port", "drain_seconds"}
"""Settings that other values decide."""
Schema = dict[str, Any]


def settings_class(service: str) -> type[ServiceSettings]:
    """The settings class of a service."""
    module = import_module(f"services.{service}.settings")
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, ServiceSettings)]
    return next(one for one in found if one.__module__ == module.__name__)


def settings_of(service: str) -> Schema:
    """JSON schema of the settings that values may hold: no addresses and secrets, which have values of their own."""
    cls = settings_class(service)
    schema = cls.model_json_schema(by_alias=False)
    own = {
        name: _inlined(schema["properties"][name], schema.get("$defs", {}))
        for name, field in cls.model_fields.items()
        if field.validation_alias is None and field.repr and name not in SET_BY_CHART and not _secret(field.annotation)
    }
    return _closed(own, {})


def schema() -> Schema:
    """The schema of all values."""
    shared = ServiceSettings.model_json_schema()["properties"]
    services = {name: _closed(_service_properties(settings_of(name)), {}) for name in DEFAULT_PORTS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart mercato",
        **_closed(
            {
                "global": {"type": "object"},
                "nameOverride": _name(),
                "fullnameOverride": _name(),
                "commonLabels": _texts(),
                "image": _closed(
                    {
                        "registry": _TEXT,
                        "tag": _TEXT,
                        "digests": _closed({name: _digest() for name in ("serving", "trainer")}),
                        "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
                        "pullSecrets": _list(_TEXT),
                    }
                ),
                "postgres": _closed({"existingSecret": _TEXT, "secretKey": _TEXT}),
                "milvus": _closed(
                    {
                        "uri": {"type": "string", "pattern": "^(https?://.+)?$"},
                        "existingSecret": _TEXT,
                        "secretKey": _TEXT,
                    }
                ),
                "triton": _closed(
                    {
                        "address": {"type": "string", "pattern": "^(.+:[0-9]+)?$"},
                        "repositoryClaim": _TEXT,
                        "writeRepository": _BOOLEAN,
                    }
                ),
                "secrets": _closed({"existingSecret": _TEXT}),
                "settings": _closed({key: one for key, one in shared.items() if key not in SET_BY_CHART}),
                "default": _closed(_service_properties({"type": "object", "maxProperties": 0})),
                "services": _closed(services),
                "training": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "schedule": {"type": "string", "pattern": "^(@[a-z]+|(\\S+\\s+){4}\\S+)$"},
                        "timeZone": _TEXT,
                        "kind": {"enum": ["auto", "tables", "full", "incremental"]},
                        "tenants": {**_list({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"}), "minItems": 1},
                        "resources": _OBJECT,
                        "activeDeadlineSeconds": _positive(),
                        "checkpointClaim": _TEXT,
                        "nodeSelector": _texts(),
                        "tolerations": _list(_OBJECT),
                        "affinity": _OBJECT,
                        "runtimeClassName": _TEXT,
                    }
                ),
                "migrations": _closed({"enabled": _BOOLEAN, "activeDeadlineSeconds": _positive()}),
                "serviceAccount": _closed({"create": _BOOLEAN, "name": _TEXT, "annotations": _texts()}),
                "networkPolicy": _closed(
                    {
                        "enabled": _BOOLEAN,
                        **{
                            key: _list(_OBJECT)
                            for key in ("gatewayFrom", "metricsFrom", "postgresTo", "milvusTo", "tritonTo")
                        },
                        **{key: _port() for key in ("postgresPort", "milvusPort", "tritonPort")},
                    }
                ),
                "service": _closed(
                    {
                        "type": {"enum": ["ClusterIP", "LoadBalancer", "NodePort"]},
                        "port": _port(),
                        "annotations": _texts(),
                    }
                ),
                "ingress": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "className": _TEXT,
                        "annotations": _texts(),
                        "hosts": _list(_TEXT),
                        "tlsSecret": _TEXT,
                    }
                ),
                "gatewayApi": _closed({"enabled": _BOOLEAN, "parentRefs": _list(_OBJECT), "hostnames": _list(_TEXT)}),
                "metrics": _closed(
                    {
                        "port": _port(),
                        "serviceMonitor": _closed(
                            {
                                "enabled": _BOOLEAN,
                                "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"},
                                "labels": _texts(),
                            }
                        ),
                    }
                ),
            }
        ),
    }


def readme() -> str:
    """The reference of all values."""
    lines = ["# Mercato", "", _chart()["description"] + ".", "", INTRODUCTION, "", "## Values", ""]
    lines += ["| value | default | what it does |", "|---|---|---|"]
    lines += [f"| `{key}` | `{default}` | {text} |" for key, default, text in documented()]
    lines += ["", "## Settings of services", "", SETTINGS_TEXT, ""]
    for service in DEFAULT_PORTS:
        lines += [f"### {service}", "", "| setting | default | |", "|---|---|---|"]
        cls = settings_class(service)
        for name, one in settings_of(service)["properties"].items():
            default = cls.model_fields[name].get_default(call_default_factory=False)
            shown = json.dumps(default, default=str) if default is not None else ""
            lines.append(f"| `{name}` | `{shown}` | {_first_sentence(one.get('description', ''))} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


INTRODUCTION = """```
kubectl create secret generic mercato-postgres --from-literal=dsn=postgresql://user:password@host/mercato
kubectl create secret generic mercato-keys \\
  --from-literal=attribution-token-key=$(openssl rand -hex 32) \\
  --from-literal=pseudonym-key=$(openssl rand -hex 32) \\
  --from-literal=receipt-key=$(openssl rand -hex 32)
helm install mercato deploy/helm/mercato -f values.yaml
```

`ci/` holds values for typical installations; [the operator's guide](../../../docs/kubernetes.md) has the rest, and
[UPGRADING.md](UPGRADING.md) says what changes between versions. Generated by `python -m deploy.helm.generate`."""
SETTINGS_TEXT = (
    "Below `services.<name>.settings`; those that every service has may stand in `settings` for all of them."
)


def documented() -> list[tuple[str, str, str]]:
    """Value, default and text of every `# --` comment; a key without one must lie below one that has."""
    rows: list[tuple[str, str, str]] = []
    path: list[tuple[int, str]] = []
    text: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        comment = re.match(r"\s*# -- (.*)", line)
        key = re.match(r"(\s*)([A-Za-z0-9_]+):(?: (.*))?$", line)
        if comment:
            text = [comment[1]]
        elif key:
            indent = len(key[1])
            path = [*(one for one in path if one[0] < indent), (indent, key[2])]
            if text:
                rows.append((".".join(name for _, name in path), (key[3] or "{…}").split("  #")[0], " ".join(text)))
            text = []
        elif not line.strip().startswith("#"):
            text = []
    return rows


def _service_properties(settings: Schema) -> dict[str, Schema]:
    return {
        "enabled": _BOOLEAN,
        "replicas": {"type": "integer", "minimum": 0},
        "resources": _OBJECT,
        "autoscaling": _closed(
            {
                "enabled": _BOOLEAN,
                "minReplicas": _positive(),
                "maxReplicas": _positive(),
                "targetCPU": {"type": "integer", "minimum": 0, "maximum": 1000},
                "metrics": _list(_OBJECT),
                "behavior": _OBJECT,
            }
        ),
        "podDisruptionBudget": _closed({"enabled": _BOOLEAN, "maxUnavailable": {"type": ["integer", "string"]}}),
        "strategy": _closed(
            {
                "type": {"enum": ["RollingUpdate", "Recreate"]},
                "rollingUpdate": _closed(
                    {key: {"type": ["integer", "string"]} for key in ("maxUnavailable", "maxSurge")}
                ),
            }
        ),
        "topologySpread": _BOOLEAN,
        "affinity": _OBJECT,
        "tolerations": _list(_OBJECT),
        "nodeSelector": _texts(),
        "priorityClassName": _TEXT,
        "settings": settings,
        "podAnnotations": _texts(),
        "podLabels": _texts(),
        "extraEnv": _list(_OBJECT),
        "preStopSeconds": {"type": "integer", "minimum": 1, "maximum": 600},
        "drainSeconds": {"type": "integer", "minimum": 1, "maximum": 3600},
    }


_TEXT: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}


def _closed(properties: dict[str, Schema], more: Schema | None = None) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties, **(more or {})}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _texts() -> Schema:
    return {"type": "object", "additionalProperties": _TEXT}


def _name() -> Schema:
    return {"type": "string", "maxLength": 40, "pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"}


def _digest() -> Schema:
    return {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}


def _port() -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": 65535}


def _positive() -> Schema:
    return {"type": "integer", "minimum": 1}


def _secret(annotation: Any) -> bool:
    return "SecretStr" in str(annotation)


def _inlined(part: Any, definitions: dict[str, Any]) -> Any:
    """Without references, defaults and titles: values have their own defaults."""
    if isinstance(part, list):
        return [_inlined(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(one, definitions) for key, one in part.items() if key not in ("default", "title", "format")}


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].rstrip(".").replace("|", "\\|")


def _chart() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return found


def main(arguments: list[str]) -> int:
    """Writes or checks."""
    files = {
        CHART / "values.schema.json": json.dumps(schema(), indent=1) + "\n",
        CHART / "README.md": readme(),
    }
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date: python -m deploy.helm.generate\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path])
        sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
