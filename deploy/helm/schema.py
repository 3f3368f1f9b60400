"""The schema of the chart's values. What a service can be set to comes from its settings class."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pydantic import BaseModel

from services.supervisor.http_settings import HttpSettings
from shared.settings.base import DEFAULT_PORTS, ServiceSettings
from shared.settings.connection import ConnectionSettings

SET_BY_CHART = {"listen", "metrics_port", "drain_seconds", "allowed_clients", "public_certificate", "public_key"}
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


def http_settings() -> Schema:
    """JSON schema of the settings of Envoy's HTTP; certificates come from `tls`."""
    return _of(HttpSettings, without=("tls_certificate", "tls_key"))


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
                "personalKeys": _closed({"existingClaim": _TEXT}),
                "tls": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "issuerRef": _closed({"name": _TEXT, "kind": _TEXT, "group": _TEXT}),
                        "duration": _duration(),
                        "renewBefore": _duration(),
                        "publicSecret": _TEXT,
                    }
                ),
                "connection": _of(ConnectionSettings),
                "traces": _closed(
                    {
                        "endpoint": {"type": "string", "pattern": "^(https?://.+)?$"},
                        "ratio": {"type": "number", "minimum": 0, "maximum": 1},
                        "trustCallers": _BOOLEAN,
                    }
                ),
                "settings": _closed({key: one for key, one in shared.items() if key not in SET_BY_CHART}),
                "default": _closed(_service_properties({"type": "object", "maxProperties": 0})),
                "services": _closed(services),
                "training": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "schedule": _cron(),
                        "timeZone": _TEXT,
                        "kind": {"enum": ["auto", "tables", "full", "incremental"]},
                        "tenants": {**_list(_tenant()), "minItems": 1},
                        "resources": _OBJECT,
                        "activeDeadlineSeconds": _positive(),
                        "checkpointClaim": _TEXT,
                        "nodeSelector": _texts(),
                        "tolerations": _list(_OBJECT),
                        "affinity": _OBJECT,
                        "runtimeClassName": _TEXT,
                    }
                ),
                "backup": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "schedule": _cron(),
                        "timeZone": _TEXT,
                        "image": _TEXT,
                        "claim": _TEXT,
                        "keep": _positive(),
                        "activeDeadlineSeconds": _positive(),
                        "resources": _OBJECT,
                    }
                ),
                "restore": _closed({"file": {"type": "string", "pattern": r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$"}}),
                "indexRebuild": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "schedule": _cron(empty=True),
                        "tenant": _tenant(),
                        "apiKeySecret": _TEXT,
                        "apiKeyKey": _TEXT,
                    }
                ),
                "migrations": _closed({"enabled": _BOOLEAN, "activeDeadlineSeconds": _positive()}),
                "serviceAccount": _closed({"create": _BOOLEAN, "name": _TEXT, "annotations": _texts()}),
                "networkPolicy": _closed(
                    {
                        "enabled": _BOOLEAN,
                        **{
                            key: _list(_OBJECT)
                            for key in ("gatewayFrom", "metricsFrom", "postgresTo", "milvusTo", "tritonTo", "tracesTo")
                        },
                        **{key: _port() for key in ("postgresPort", "milvusPort", "tritonPort")},
                    }
                ),
                "service": _service(),
                "envoy": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "image": _TEXT,
                        "replicas": {"type": "integer", "minimum": 0},
                        "resources": _OBJECT,
                        "settings": http_settings(),
                        "service": _service(),
                    }
                ),
                "ingress": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "backend": {"enum": ["gateway", "envoy"]},
                        "className": _TEXT,
                        "annotations": _texts(),
                        "hosts": _list(_TEXT),
                        "tlsSecret": _TEXT,
                    }
                ),
                "gatewayApi": _closed(
                    {
                        "enabled": _BOOLEAN,
                        "parentRefs": _list(_OBJECT),
                        "hostnames": _list(_TEXT),
                        "httpHostnames": _list(_TEXT),
                    }
                ),
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
                        "prometheusRule": _closed({"enabled": _BOOLEAN, "labels": _texts(), "runbookBase": _TEXT}),
                        "dashboards": _closed({"enabled": _BOOLEAN, "labels": _texts(), "annotations": _texts()}),
                    }
                ),
            }
        ),
    }


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
        "extraEgress": _list(_OBJECT),
        "extraVolumes": _list(_OBJECT),
        "extraVolumeMounts": _list(_OBJECT),
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


def _of(cls: type[BaseModel], without: tuple[str, ...] = ()) -> Schema:
    """Of a class of settings that is no service's."""
    made = cls.model_json_schema()
    kept = {name: one for name, one in made["properties"].items() if name not in without}
    return _closed({name: _inlined(one, made.get("$defs", {})) for name, one in kept.items()})


def _service() -> Schema:
    types = {"enum": ["ClusterIP", "LoadBalancer", "NodePort"]}
    return _closed({"type": types, "port": _port(), "annotations": _texts()})


def _cron(*, empty: bool = False) -> Schema:
    pattern = r"(@[a-z]+|(\S+\s+){4}\S+)"
    return {"type": "string", "pattern": f"^{pattern}?$" if empty else f"^{pattern}$"}


def _duration() -> Schema:
    return {"type": "string", "pattern": "^([0-9]+(h|m|s))+$"}


def _tenant() -> Schema:
    return {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"}


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
