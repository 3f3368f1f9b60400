"""Envoy, mutual TLS, backups and monitoring: what of them reaches the cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import envoy as envoy_wheel
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.helm.generate import ROOT
from services.supervisor.services import CALLERS, SUPERVISOR
from tests.chart.conftest import CHART, Refused, Render

MUTUAL_TLS = CHART / "ci" / "mutual-tls-values.yaml"
BACKUP = CHART / "ci" / "backup-values.yaml"
TLS = {"enabled": True, "issuerRef": {"name": "ca"}}
ENVOY = {"enabled": True, "image": "envoy:1"}


def environment(pod: dict[str, Any], place: str = "containers") -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in pod["spec"][place][0].get("env", [])}


def test_every_service_has_a_certificate_for_the_name_that_its_callers_look_for(render: Render) -> None:
    made = render({"tls": TLS})
    for name in (*CALLERS, "gateway"):
        certificate = made.one("Certificate", f"m-mercato-{name}")["spec"]
        assert certificate["dnsNames"][0] == name
        assert set(certificate["usages"]) >= {"server auth", "client auth"}
        pod = made.one("Deployment", f"m-mercato-{name}")["spec"]["template"]
        (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == "tls"]
        assert volume["secret"]["secretName"] == certificate["secretName"]
        env = environment(pod)
        mount = next(one for one in pod["spec"]["containers"][0]["volumeMounts"] if one["name"] == "tls")
        for key in ("CERTIFICATE", "KEY", "CA"):
            assert Path(env[f"MERCATO_TLS_{key}"]).parent == Path(mount["mountPath"])


def test_services_let_in_those_that_the_suite_on_one_machine_lets_in(render: Render) -> None:
    made = render({"tls": TLS})
    for name, callers in CALLERS.items():
        env = environment(made.one("Deployment", f"m-mercato-{name}")["spec"]["template"])
        assert set(json.loads(env[f"MERCATO_{name.upper()}_ALLOWED_CLIENTS"])) == set(callers) - {SUPERVISOR}


def test_probes_ask_over_http_where_services_speak_tls(render: Render) -> None:
    for deployment in render({"tls": TLS}).all("Deployment").values():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
        assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"


def test_a_training_shows_the_certificate_of_the_trainer(render: Render) -> None:
    pod = render({"tls": TLS}).pods()["CronJob/m-mercato-training"]
    assert "MERCATO_TLS_KEY" in environment(pod)
    assert "m-mercato-trainer-tls" in json.dumps(pod["spec"]["volumes"])


@pytest.mark.parametrize("envoy", [True, False])
def test_customers_are_shown_the_public_certificate_by_whom_they_reach(render: Render, envoy: bool) -> None:
    made = render({"tls": {**TLS, "publicSecret": "shop"}, "envoy": ENVOY if envoy else {}})
    gateway = made.one("Deployment", "m-mercato-gateway")["spec"]["template"]
    shown = environment(gateway)["MERCATO_GATEWAY_PUBLIC_CERTIFICATE"]
    assert shown == ("/etc/mercato/tls/tls.crt" if envoy else "/etc/mercato/public/tls.crt")
    assert ('"shop"' in json.dumps(gateway["spec"]["volumes"])) is not envoy
    if envoy:
        volumes = made.one("Deployment", "m-mercato-envoy")["spec"]["template"]["spec"]["volumes"]
        (sources,) = [one["projected"]["sources"] for one in volumes if one["name"] == "tls"]
        names = {item["path"]: one["secret"]["name"] for one in sources for item in one["secret"]["items"]}
        assert names == {"tls.crt": "shop", "tls.key": "shop", "ca.crt": "m-mercato-gateway-tls"}


def test_envoy_is_configured_from_its_settings_and_reaches_the_gateway_alone(render: Render) -> None:
    made = render({"envoy": {**ENVOY, "settings": {"cors_origins": ["https://a"], "workers": 3, "access_log": False}}})
    pod = made.one("Deployment", "m-mercato-envoy")["spec"]["template"]
    env = environment(pod, "initContainers")
    assert env == {
        "MERCATO_HTTP_CORS_ORIGINS": '["https://a"]',
        "MERCATO_HTTP_WORKERS": "3",
        "MERCATO_HTTP_ACCESS_LOG": "false",
    }
    assert "--gateway=m-mercato-gateway.shop.svc:50050" in pod["spec"]["initContainers"][0]["args"]
    assert made.one("Service", "m-mercato-gateway")["spec"]["clusterIP"] == "None"
    egress = made.one("NetworkPolicy", "m-mercato-envoy")["spec"]["egress"]
    peers = [peer["podSelector"]["matchLabels"] for rule in egress for peer in rule.get("to", [])]
    assert [peer["app.kubernetes.io/component"] for peer in peers] == ["gateway"]


@pytest.mark.parametrize("tls", [{}, {**TLS, "publicSecret": "shop"}], ids=["plain", "tls"])
def test_what_the_init_container_writes_is_what_envoy_is_told_to_read(
    render: Render, tmp_path: Path, tls: dict[str, Any]
) -> None:
    pod = render({"envoy": ENVOY, "tls": tls}).one("Deployment", "m-mercato-envoy")["spec"]["template"]["spec"]
    (init,), (envoy,) = pod["initContainers"], pod["containers"]
    certificates = certificate_files(tmp_path / "tls")

    def here(text: str) -> str:
        return text.replace("/etc/mercato/envoy", str(tmp_path)).replace("/etc/mercato/tls", str(certificates))

    given = {one["name"]: here(one["value"]) for one in init["env"] or []}
    command = [sys.executable, *map(here, init["args"])]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **given}, check=True)
    program = str(Path(envoy_wheel.__file__).parent / "_bin" / "envoy")
    command = [program, *map(here, envoy["args"]), "--mode", "validate"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    mounts = {one["mountPath"]: one.get("readOnly", False) for one in envoy["volumeMounts"]}
    assert mounts[envoy["workingDir"]] is False, "the administration's socket is made there"


def certificate_files(folder: Path) -> Path:
    """What cert-manager's secrets hold, as files."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(key.private_bytes(*plain))
    for file in ("tls.crt", "ca.crt"):
        (folder / file).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder


def test_a_closed_door_lets_in_what_belongs_to_the_release(render: Render) -> None:
    made = render({}, BACKUP)
    (rule, _) = made.one("NetworkPolicy", "m-mercato-gateway")["spec"]["ingress"]
    assert "index-rebuild" in json.dumps(rule["from"][-1])


def test_the_network_lets_traces_and_what_else_is_named_out(render: Render) -> None:
    more = {"ports": [{"port": 443}], "to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}]}
    values = {
        "traces": {"endpoint": "http://otel.monitoring:4317"},
        "networkPolicy": {"tracesTo": [{"namespaceSelector": {}}]},
        "services": {"gateway": {"extraEgress": [more]}},
    }
    policies = render(values).all("NetworkPolicy")
    traces = {"ports": [{"port": 4317}], "to": [{"namespaceSelector": {}}]}
    assert {name for name, one in policies.items() if traces in one["spec"]["egress"]} == {
        f"m-mercato-{name}" for name in (*CALLERS, "gateway", "training")
    }
    assert [name for name, one in policies.items() if more in one["spec"]["egress"]] == ["m-mercato-gateway"]


def test_a_backup_holds_what_it_needs_and_no_more(render: Render) -> None:
    made = render({}, BACKUP)
    pod = made.pods()["CronJob/m-mercato-backup"]
    assert set(environment(pod)) == {"BACKUPS", "KEEP", "MERCATO_POSTGRES_DSN"}
    assert pod["spec"]["containers"][0]["args"] == [(CHART / "files" / "backup.sh").read_text()]
    assert not [name for name in render().pods() if "backup" in name or "restore" in name]


def test_a_restore_comes_before_migrations_and_behind_its_network_policy(render: Render) -> None:
    made = render({}, BACKUP)

    def weight(one: dict[str, Any]) -> int:
        return int(one["metadata"]["annotations"]["helm.sh/hook-weight"])

    restore = made.one("Job", "m-mercato-restore")
    assert weight(made.one("NetworkPolicy", "m-mercato-restore")) < weight(restore)
    assert weight(restore) < weight(made.one("Job", "m-mercato-migrate"))
    assert restore["spec"]["backoffLimit"] == 0


def test_an_index_rebuild_without_a_schedule_waits_to_be_started(render: Render) -> None:
    values = {"indexRebuild": {"enabled": True, "apiKeySecret": "operator"}}
    assert render(values).one("CronJob", "m-mercato-index-rebuild")["spec"]["suspend"] is True
    values["indexRebuild"]["schedule"] = "@weekly"
    assert render(values).one("CronJob", "m-mercato-index-rebuild")["spec"]["suspend"] is False


def test_rules_and_dashboards_are_those_of_the_repository(render: Render) -> None:
    metrics = {"prometheusRule": {"enabled": True, "runbookBase": "https://r/"}, "dashboards": {"enabled": True}}
    made = render({"metrics": metrics})
    rules = made.one("PrometheusRule", "m-mercato")["spec"]["groups"]
    names = {rule["alert"] for group in rules for rule in group["rules"] if "alert" in rule}
    runbooks = {path.stem for path in (ROOT / "docs" / "runbooks").glob("Mercato*.md")}
    assert names
    assert names <= runbooks
    urls = {rule["annotations"]["runbook_url"] for group in rules for rule in group["rules"] if "alert" in rule}
    assert all(url.startswith("https://r/docs/runbooks/") for url in urls)
    text = json.dumps(rules)
    assert "{{ $labels.job }}" in text, "templates of Prometheus are not helm's"
    sources = {path.name: path.read_text() for path in (ROOT / "deploy" / "monitoring" / "dashboards").glob("*.json")}
    shown = {}
    for one in made.all("ConfigMap").values():
        if one["metadata"]["labels"].get("grafana_dashboard"):
            shown |= one["data"]
            assert len(json.dumps(one)) < 2**20
    assert {name: json.loads(text) for name, text in shown.items()} == {n: json.loads(t) for n, t in sources.items()}


def test_keys_of_personal_data_outlive_the_pod(render: Render) -> None:
    pod = render().one("Deployment", "m-mercato-profile")["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "keys"]
    assert volume["persistentVolumeClaim"]["claimName"] == "mercato-personal-keys"
    assert {"name": "keys", "mountPath": "/var/lib/mercato/keys"} in pod["containers"][0]["volumeMounts"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"tls": {"enabled": True}}, "tls.issuerRef.name is needed"),
        ({"tls": {"duration": "90 days"}}, "/tls/duration"),
        ({"envoy": {"enabled": True}}, "envoy.image is needed"),
        ({"envoy": {"settings": {"cors_origin": []}}}, "'cors_origin' not allowed"),
        ({"envoy": {"settings": {"tls_key": "/x"}}}, "'tls_key' not allowed"),
        (
            {"ingress": {"enabled": True, "hosts": ["a"], "backend": "envoy"}},
            "ingress.backend envoy needs envoy.enabled",
        ),
        ({"gatewayApi": {"httpHostnames": ["a"]}}, "gatewayApi.httpHostnames needs"),
        ({"backup": {"enabled": True, "claim": "c"}}, "backup.image is needed"),
        ({"backup": {"enabled": True, "image": "i"}}, "backup.claim is needed"),
        ({"backup": {"keep": 0}}, "/backup/keep"),
        ({"restore": {"file": "../x"}}, "/restore/file"),
        ({"indexRebuild": {"enabled": True}}, "indexRebuild.apiKeySecret is needed"),
        (
            {"indexRebuild": {"enabled": True, "apiKeySecret": "k"}, "tls": {**TLS, "publicSecret": "p"}},
            "needs envoy.enabled",
        ),
        ({"personalKeys": {"existingClaim": ""}}, "personalKeys.existingClaim is needed"),
        ({"metrics": {"prometheusRule": {"label": {}}}}, "'label' not allowed"),
    ],
)
def test_wrong_values_are_refused_by_name(render: Render, values: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused) as caught:
        render(values)
    assert told in str(caught.value)
