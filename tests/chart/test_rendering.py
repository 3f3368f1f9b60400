"""What the chart makes of values."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from deploy.helm.tools import helm
from shared.settings.base import DEFAULT_PORTS
from tests.chart.conftest import CHART, EXAMPLES, Refused, Render

SERVICES = tuple(DEFAULT_PORTS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_passes_helm_lint(example: Any) -> None:
    answer = subprocess.run(
        [str(helm()), "lint", "--strict", str(CHART), "--values", str(example)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_service_has_a_deployment_a_headless_service_and_a_budget(render: Render) -> None:
    made = render()
    assert set(made.all("Deployment")) == {f"m-mercato-{name}" for name in SERVICES}
    for name in SERVICES:
        assert made.one("Service", f"m-mercato-{name}")["spec"]["clusterIP"] == "None"
    assert set(made.all("PodDisruptionBudget")) == {f"m-mercato-{name}" for name in SERVICES if name != "trainer"}


def test_selectors_find_the_pods_and_only_them(render: Render) -> None:
    made = render()
    pods = {name: pod["metadata"]["labels"] for name, pod in made.pods().items()}

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, labels in pods.items() if selector.items() <= labels.items()}

    for name, one in made.all("Deployment").items():
        assert found(one["spec"]["selector"]["matchLabels"]) == {f"Deployment/{name}"}
    for name, one in made.all("Service").items():
        wanted = "m-mercato-gateway" if name == "m-mercato" else name
        assert found(one["spec"]["selector"]) == {f"Deployment/{wanted}"}
    for name, one in made.all("PodDisruptionBudget").items():
        assert found(one["spec"]["selector"]["matchLabels"]) == {f"Deployment/{name}"}


def test_ports_of_services_exist_in_the_pods(render: Render) -> None:
    made = render()
    for name, service in made.all("Service").items():
        deployment = "m-mercato-gateway" if name == "m-mercato" else name
        (container,) = made.one("Deployment", deployment)["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
        assert all(len(port) <= 15 for port in ports)
        listens = made.one("ConfigMap", deployment)["data"]
        own = next(value for key, value in listens.items() if key.endswith("_LISTEN"))
        assert own == f"[::]:{ports['grpc']}"


def test_addresses_name_services_that_exist(render: Render) -> None:
    made = render()
    data = made.one("ConfigMap", "m-mercato-gateway")["data"]
    for name in SERVICES:
        host, port = data[f"MERCATO_{name.upper()}_ADDRESS"].removeprefix("dns:///").rsplit(":", 1)
        service, namespace, _ = host.split(".")
        assert namespace == "shop"
        assert int(port) in {one["port"] for one in made.one("Service", service)["spec"]["ports"]}


def test_probes_restart_for_the_process_alone_and_wait_for_its_dependencies(render: Render) -> None:
    for pod in render().all("Deployment").values():
        (container,) = pod["spec"]["template"]["spec"]["containers"]
        assert container["livenessProbe"]["grpc"]["service"] == "liveness"
        assert container["startupProbe"]["grpc"]["service"] == "liveness"
        assert "service" not in container["readinessProbe"]["grpc"]


def test_a_pod_has_time_to_drain(render: Render) -> None:
    made = render({"default": {"preStopSeconds": 7, "drainSeconds": 40}})
    pod = made.one("Deployment", "m-mercato-gateway")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 7 + 40
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
    assert made.one("ConfigMap", "m-mercato-gateway")["data"]["MERCATO_GATEWAY_DRAIN_SECONDS"] == "40"


def test_every_pod_is_locked_down(render: Render) -> None:
    for name, template in render().pods().items():
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_secrets_reach_only_who_needs_them(render: Render) -> None:
    made = render({"milvus": {"existingSecret": "token"}})
    held = {
        name: {entry["name"] for entry in pod["spec"]["containers"][0].get("env", []) if "valueFrom" in entry}
        for name, pod in made.pods().items()
    }
    assert held["Deployment/m-mercato-ranking"] == held["Deployment/m-mercato-encoder"] == set()
    assert held["Deployment/m-mercato-retrieval"] == {"MERCATO_RETRIEVAL_MILVUS_TOKEN"}
    assert held["Deployment/m-mercato-gateway"] == {"MERCATO_POSTGRES_DSN", "MERCATO_GATEWAY_TOKEN_KEY"}
    assert held["Deployment/m-mercato-profile"] == {
        "MERCATO_POSTGRES_DSN",
        "MERCATO_PROFILE_PSEUDONYM_KEY",
        "MERCATO_PROFILE_RECEIPT_KEY",
    }
    assert "dsn" not in str([one["data"] for one in made.all("ConfigMap").values()])


def test_a_changed_setting_replaces_the_pods_of_its_service_alone(render: Render) -> None:
    def sums(values: dict[str, Any]) -> dict[str, str]:
        found = render(values).all("Deployment")
        return {
            name: one["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for name, one in found.items()
        }

    before, after = sums({}), sums({"services": {"catalog": {"settings": {"workers": 4}}}})
    assert {name for name in before if before[name] != after[name]} == {"m-mercato-catalog"}


def test_a_disabled_service_leaves_nothing_behind(render: Render) -> None:
    made = render({"services": {"support": {"enabled": False}}})
    assert not [
        one for one in made.objects if one["metadata"]["name"] == "m-mercato-support" and one["kind"] != "NetworkPolicy"
    ]


def test_zero_is_a_value(render: Render) -> None:
    made = render({"services": {"support": {"replicas": 0}, "catalog": {"settings": {"workers": 0}}}})
    assert made.one("Deployment", "m-mercato-support")["spec"]["replicas"] == 0
    assert made.one("ConfigMap", "m-mercato-catalog")["data"]["MERCATO_CATALOG_WORKERS"] == "0"
    assert "m-mercato-support" not in made.all("PodDisruptionBudget")


def test_a_service_overrides_defaults_without_losing_the_rest(render: Render) -> None:
    values = {"services": {"catalog": {"resources": {"requests": {"cpu": "2"}}, "podLabels": {"a": "b"}}}}
    made = render(values)
    (container,) = made.one("Deployment", "m-mercato-catalog")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "384Mi"}
    (other,) = made.one("Deployment", "m-mercato-support")["spec"]["template"]["spec"]["containers"]
    assert other["resources"]["requests"]["cpu"] == "250m"


def test_an_autoscaler_decides_the_replicas(render: Render) -> None:
    made = render({"services": {"gateway": {"autoscaling": {"enabled": True, "maxReplicas": 7}}}})
    assert "replicas" not in made.one("Deployment", "m-mercato-gateway")["spec"]
    assert made.one("HorizontalPodAutoscaler", "m-mercato-gateway")["spec"]["maxReplicas"] == 7


@pytest.mark.parametrize("release", ["m", "mercato", "a" * 53])
def test_names_stay_within_limits(render: Render, release: str) -> None:
    for one in render(release=release).objects:
        assert len(one["metadata"]["name"]) <= 63
        assert all(len(str(value)) <= 63 for value in one["metadata"]["labels"].values())


def test_the_network_lets_through_the_edges_of_the_design_and_no_more(render: Render) -> None:
    made = render()
    allowed = set()
    for name, policy in made.all("NetworkPolicy").items():
        for rule in policy["spec"]["egress"]:
            for peer in rule.get("to", []):
                called = peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                allowed.add((name.removeprefix("m-mercato-"), called))
    assert {called for caller, called in allowed if caller == "gateway"} == set(SERVICES) - {"gateway"}
    assert not [called for _, called in allowed if called == "gateway"]
    assert ("ranking", "catalog") not in allowed
    for caller, called in allowed:
        ingress = made.one("NetworkPolicy", f"m-mercato-{called}")["spec"]["ingress"]
        callers = [
            value
            for rule in ingress
            for peer in rule.get("from", [])
            for term in peer["podSelector"].get("matchExpressions", [])
            for value in term["values"]
        ]
        assert caller in callers
    assert set(made.all("NetworkPolicy")) >= {name.split("/")[1] for name in made.pods()}


def test_migrations_come_before_everything_and_only_once(render: Render) -> None:
    made = render()
    job = made.one("Job", "m-mercato-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["-m", "shared.postgres", "migrate"]
    assert "m-mercato-migrate" not in render({"migrations": {"enabled": False}}).all("Job")


def test_training_is_a_job_that_never_runs_twice_at_once(render: Render) -> None:
    made = render(
        {"training": {"tenants": ["shoes", "books"], "kind": "full", "resources": {"limits": {"nvidia.com/gpu": 1}}}}
    )
    job = made.one("CronJob", "m-mercato-training")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    (container,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][2:] == ["--kind=full", "--tenant=shoes", "--tenant=books"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "MERCATO_TRAINER_LEARN" not in {entry["name"] for entry in container["env"]}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"services": {"catalog": {"settings": {"wrokers": 3}}}}, "'wrokers' not allowed"),
        ({"services": {"catalog": {"settings": {"workers": "three"}}}}, "/services/catalog/settings/workers"),
        ({"services": {"catalog": {"settings": {"workers": 99}}}}, "/services/catalog/settings/workers"),
        ({"services": {"catalgo": {}}}, "'catalgo' not allowed"),
        ({"replicas": 3}, "'replicas' not allowed"),
        ({"default": {"replicas": "two"}}, "/default/replicas"),
        ({"postgres": {"password": "x"}}, "'password' not allowed"),
        ({"postgres": {"existingSecret": ""}}, "postgres.existingSecret is needed"),
        ({"secrets": {"existingSecret": ""}}, "secrets.existingSecret is needed"),
        ({"milvus": {"uri": ""}}, "milvus.uri is needed"),
        ({"milvus": {"uri": "milvus:19530"}}, "/milvus/uri"),
        ({"triton": {"address": ""}}, "triton.address is needed"),
        ({"triton": {"address": "triton"}}, "/triton/address"),
        ({"triton": {"repositoryClaim": ""}}, "triton.repositoryClaim is needed"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
        ({"ingress": {"enabled": True}}, "ingress.hosts is needed"),
        ({"gatewayApi": {"enabled": True}}, "gatewayApi.parentRefs is needed"),
        ({"training": {"kind": "fast"}}, "/training/kind"),
        ({"training": {"tenants": ["../x"]}}, "/training/tenants/0"),
        ({"training": {"schedule": "nightly"}}, "/training/schedule"),
        ({"fullnameOverride": "Shop_1"}, "/fullnameOverride"),
        ({"image": {"digests": {"serving": "latest"}}}, "/image/digests/serving"),
        (
            {"services": {"gateway": {"autoscaling": {"enabled": True, "minReplicas": 9, "maxReplicas": 2}}}},
            "minReplicas (9)",
        ),
        ({"services": {"gateway": {"autoscaling": {"enabled": True, "targetCPU": 0}}}}, "needs targetCPU or metrics"),
        ({"services": {"trainer": {"replicas": 2}}}, "services.trainer.strategy.type"),
    ],
)
def test_wrong_values_are_refused_by_name(render: Render, values: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused) as caught:
        render(values)
    assert told in str(caught.value)


def test_notes_say_what_to_do_next() -> None:
    command = [str(helm()), "install", "m", str(CHART), "--dry-run=client", "--values", str(EXAMPLES[0])]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    notes = answer.stdout.partition("NOTES:")[2]
    assert "create the first API key" in notes or "Make the first API key" in notes, answer.stderr


def test_values_and_their_reference_are_current() -> None:
    from deploy.helm import generate

    assert generate.main(["--check"]) == 0
    documented = {key for key, _, _ in generate.documented()}
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def leaves(part: Any, path: str) -> set[str]:
        if not isinstance(part, dict) or not part:
            return {path}
        return {leaf for key, one in part.items() for leaf in leaves(one, f"{path}.{key}".lstrip("."))}

    unsaid = {
        leaf
        for key in values
        if key != "services"
        for leaf in leaves(values[key], key)
        if not any(leaf == one or leaf.startswith(one + ".") for one in documented)
    }
    assert not unsaid
