"""The manifests, rendered: as the published schemas say, with settings that the code has."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from proxy.settings import ProxySettings
from tests.unit.test_documents import CHECKOUT, settings

KUBERNETES = CHECKOUT / "deploy" / "kubernetes"
RENDERED = ("base", "overlays/production")
Manifest = dict[str, Any]


def rendered(directory: str) -> dict[tuple[str, str], Manifest]:
    """Return what `kubectl kustomize` makes of *directory*, by kind and name."""
    done = subprocess.run(
        [Path(sys.executable).parent / "kubectl", "kustomize", KUBERNETES / directory],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        (made["kind"], made["metadata"]["name"]): made for made in yaml.safe_load_all(done.stdout)
    }


@pytest.fixture(scope="module", params=RENDERED)
def manifests(request: pytest.FixtureRequest) -> dict[tuple[str, str], Manifest]:
    return rendered(request.param)


def pods(manifests: dict[tuple[str, str], Manifest]) -> list[Manifest]:
    return [
        made["spec"]["template"]["spec"]
        for made in manifests.values()
        if "template" in made["spec"]
    ]


def containers(manifests: dict[tuple[str, str], Manifest]) -> list[Manifest]:
    every = [container for pod in pods(manifests) for container in pod["containers"]]
    return [container for container in every if container["name"] != "podwarden"]


def test_the_schemas_of_kubernetes_take_them(manifests):
    examples = yaml.safe_load_all((KUBERNETES / "secret.example.yaml").read_text())
    for made in [*manifests.values(), *examples]:
        if made["kind"] != "ServiceMonitor":  # Prometheus' own, none of these schemas
            kubernetes_validate.validate(made, "1.37", strict=True)


def test_they_name_settings_that_there_are(manifests):
    named = {variable["name"] for made in containers(manifests) for variable in made["env"]}

    assert named <= set(settings())


def test_each_secret_is_in_the_example_with_the_keys_that_are_read(manifests):
    examples = yaml.safe_load_all((KUBERNETES / "secret.example.yaml").read_text())
    keys = {(made["metadata"]["name"], key) for made in examples for key in made["stringData"]}
    references = [
        variable["valueFrom"]["secretKeyRef"]
        for made in containers(manifests)
        for variable in made["env"]
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


def test_ours_run_confined(manifests):
    for made in containers(manifests):
        confined = made["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}


def test_the_monitor_reads_a_port_of_the_service_that_it_selects():
    manifests = rendered("overlays/production")
    monitor = manifests["ServiceMonitor", "podwarden-audit"]["spec"]
    service = manifests["Service", "podwarden"]

    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
