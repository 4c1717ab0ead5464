"""The manifests, rendered: as the published schemas say, with settings that the code has."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from proxy.settings import ProxySettings
from tests.unit.test_documents import CHECKOUT, settings

KUBERNETES = CHECKOUT / "deploy" / "kubernetes"
RENDERED = ("base", "overlays/production", "overlays/nats", "overlays/push")
COMPONENTS = {"overlays/push": "components/push"}
THEIRS = {"podwarden", "nats"}
LABEL = "app.kubernetes.io/name"
RULES = CHECKOUT / "deploy" / "prometheus" / "alerts.yaml"
Manifest = dict[str, Any]


@cache
def rendered(directory: str) -> dict[tuple[str, str], Manifest]:
    """Return what `kubectl kustomize` makes of *directory*, by kind and name."""
    done = subprocess.run(
        [Path(sys.executable).parent / "kubectl", "kustomize", KUBERNETES / directory],
        check=True,
        capture_output=True,
        text=True,
    )
    made = yaml.load_all(done.stdout, yaml.CSafeLoader)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


@pytest.fixture(scope="module", params=RENDERED)
def manifests(request: pytest.FixtureRequest) -> dict[tuple[str, str], Manifest]:
    return rendered(request.param)


def pods(manifests: dict[tuple[str, str], Manifest]) -> list[Manifest]:
    return [
        made["spec"]["template"]["spec"]
        for made in manifests.values()
        if "template" in made.get("spec", {})
    ]


def containers(manifests: dict[tuple[str, str], Manifest]) -> list[Manifest]:
    return [container for pod in pods(manifests) for container in pod["containers"]]


def ours(manifests: dict[tuple[str, str], Manifest]) -> list[Manifest]:
    return [each for each in containers(manifests) if each["name"] not in THEIRS]


def secrets(directory: str) -> list[Manifest]:
    """Return the example secrets that docs/deploy.md has copied for *directory*."""
    places = [".", COMPONENTS.get(directory, directory)]
    files = [KUBERNETES / place / "secret.example.yaml" for place in places]
    return [
        made for file in files if file.exists() for made in yaml.safe_load_all(file.read_text())
    ]


def test_the_schemas_of_kubernetes_take_them(manifests):
    for made in [*manifests.values(), *secrets("overlays/nats"), *secrets("overlays/push")]:
        if made["kind"] != "ServiceMonitor":  # Prometheus' own, none of these schemas
            kubernetes_validate.validate(made, "1.37", strict=True)


def test_they_name_settings_that_there_are(manifests):
    named = {variable["name"] for made in ours(manifests) for variable in made["env"]}

    assert named <= set(settings())


@pytest.mark.parametrize("directory", RENDERED)
def test_each_secret_is_in_the_example_with_the_keys_that_are_read(directory):
    examples = secrets(directory)
    keys = {(made["metadata"]["name"], key) for made in examples for key in made["stringData"]}
    references = [
        variable["valueFrom"]["secretKeyRef"]
        for made in containers(rendered(directory))
        for variable in made.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]

    assert {(reference["name"], reference["key"]) for reference in references} == keys


def test_podwarden_is_reached_through_the_sidecar_alone(manifests):
    [pod] = [pod for pod in pods(manifests) if len(pod["containers"]) > 1]
    ports = {
        container["name"]: [port["name"] for port in container.get("ports", [])]
        for container in pod["containers"]
    }
    policy = manifests["NetworkPolicy", "podwarden"]["spec"]
    allowed = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    served = [port["targetPort"] for port in manifests["Service", "podwarden"]["spec"]["ports"]]

    assert ports == {"podwarden": [], "proxy": ["api", "ops"]}
    assert allowed == served == ["api", "ops"]
    assert "hostNetwork" not in pod


def test_the_sidecar_may_finish_its_stop(manifests):
    grace = manifests["StatefulSet", "podwarden"]["spec"]["template"]["spec"][
        "terminationGracePeriodSeconds"
    ]

    assert grace > 3 * ProxySettings.model_fields["stop_seconds"].default


def test_all_but_podwarden_run_confined(manifests):
    for made in containers(manifests):
        if made["name"] == "podwarden":
            continue
        confined = made["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}


def test_all_of_ours_are_of_one_version(manifests):
    assert len({made["image"] for made in ours(manifests)}) == 1


@pytest.mark.parametrize(
    ("directory", "name", "service"),
    [
        ("overlays/nats", "podwarden-audit", "podwarden"),
        ("overlays/nats", "podwarden-audit-api", "audit-api"),
        ("overlays/nats", "podwarden-audit-ingest", "audit-ingest"),
        ("overlays/push", "podwarden-audit-push", "audit-push"),
    ],
)
def test_a_monitor_reads_a_port_of_the_service_that_it_selects_as_the_job_of_the_alerts(
    directory, name, service
):
    manifests = rendered(directory)
    monitor = manifests["ServiceMonitor", name]["spec"]
    selected = manifests["Service", service]
    [endpoint] = monitor["endpoints"]
    [job] = [rule for rule in endpoint["relabelings"] if rule["targetLabel"] == "job"]

    assert monitor["selector"]["matchLabels"].items() <= selected["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in selected["spec"]["ports"]}
    assert f'up{{job="{job["replacement"]}"}}' in RULES.read_text()


def test_one_push_runs_keeps_its_marks_and_is_reached_by_prometheus_alone():
    manifests = rendered("overlays/push")
    push = manifests["StatefulSet", "audit-push"]["spec"]
    [container] = push["template"]["spec"]["containers"]
    [claim] = push["volumeClaimTemplates"]
    [mount] = container["volumeMounts"]
    [rule] = manifests["NetworkPolicy", "audit-push"]["spec"]["ingress"]

    assert push["replicas"] == 1
    assert (mount["name"], mount["mountPath"]) == (
        claim["metadata"]["name"],
        "/var/lib/podwarden-audit",
    )
    assert container["args"] == ["deploy.console", "push"]
    assert [port["port"] for port in rule["ports"]] == ["ops"]
    assert ("StatefulSet", "audit-push") not in rendered("overlays/production")


def test_only_the_sidecar_and_the_ingest_reach_nats_and_only_servers_its_cluster():
    rules = rendered("overlays/nats")["NetworkPolicy", "nats"]["spec"]["ingress"]
    reached = {
        port["port"]: {each["podSelector"]["matchLabels"][LABEL] for each in rule["from"]}
        for rule in rules
        for port in rule["ports"]
    }

    assert reached == {"client": {"podwarden", "audit-ingest"}, "cluster": {"nats"}}
