"""The compose files: as the specification says, with settings that the code takes."""

import re
from typing import Any, cast

import pytest
from compose_spec import PyOptions
from pydantic_settings import BaseSettings

from audit_api.push.push_settings import PushSettings
from audit_api.settings import AuditApiSettings
from audit_log.process.settings import AuditLogSettings, IngestSettings, NatsSettings
from proxy.settings import ProxySettings
from tests.unit.test_documents import CHECKOUT, read

FILES = ("compose.yaml", "compose.host.yaml", "compose.nats.yaml")
VARIABLE = re.compile(r"\$\{[A-Z_]+(?::-(?P<default>[^}]*)|:\?)\}")
A_SECRET = "x" * 40
READ: dict[tuple[str, str], list[type[BaseSettings]]] = {
    ("compose.yaml", "proxy"): [ProxySettings],
    ("compose.yaml", "audit-api"): [AuditApiSettings],
    ("compose.yaml", "push"): [PushSettings],
    ("compose.host.yaml", "proxy"): [ProxySettings],
    ("compose.host.yaml", "audit-api"): [AuditApiSettings],
    ("compose.nats.yaml", "proxy"): [ProxySettings, NatsSettings],
    ("compose.nats.yaml", "ingest"): [IngestSettings, NatsSettings],
}


def services(name: str) -> dict[str, dict[str, Any]]:
    """Return the services of a file, every variable given; fail if the file is wrong."""
    text = (CHECKOUT / "deploy" / name).read_text()
    given = VARIABLE.sub(lambda found: found["default"] or A_SECRET, text)
    options = PyOptions()
    options.apply_merge = True
    compose = options.from_yaml(given)
    compose.validate()
    return cast("dict[str, dict[str, Any]]", compose.to_dict()["services"])


@pytest.mark.parametrize(("name", "service"), READ)
def test_the_code_takes_what_compose_gives_it(name, service, monkeypatch):
    base = services("compose.yaml").get(service, {"environment": {}})["environment"]
    words = base | services(name)[service]["environment"]
    given = {setting: str(value) for setting, value in words.items()}

    kinds: list[type[BaseSettings]] = [AuditLogSettings, *READ[name, service]]
    taken = [read(kind, monkeypatch, given) for kind in kinds]

    known = {
        (kind.model_config["env_prefix"] + field).upper()
        for kind in taken
        for field in type(kind).model_fields
    }
    assert set(given) <= known


def test_podwarden_is_reached_through_the_sidecar_alone():
    published = [
        (file, name)
        for file in ("compose.yaml", "compose.nats.yaml")
        for name, service in services(file).items()
        if service.get("ports")
    ]

    assert published == [("compose.yaml", "proxy")]


def test_on_the_hosts_network_everything_but_the_sidecar_is_on_loopback():
    host = services("compose.host.yaml")

    assert host["audit-api"]["environment"]["AUDIT_API_HOST"] == "127.0.0.1"
    assert host["proxy"]["environment"]["PROXY_OPS_HOST"] == "127.0.0.1"
    assert "127.0.0.1" in str(host["database"]["ports"])


def test_the_sidecar_may_finish_its_stop():
    grace = str(services("compose.yaml")["proxy"]["stop_grace_period"])

    assert int(grace.removesuffix("s")) > 3 * ProxySettings.model_fields["stop_seconds"].default


def test_the_push_is_started_where_it_is_asked_for_and_keeps_its_marks():
    push = services("compose.yaml")["push"]

    assert push["profiles"] == ["push"]
    assert [str(volume) for volume in push["volumes"]] == ["push:/var/lib/podwarden-audit"]
    assert "AUDIT_PUSH_DIR=/var/lib/podwarden-audit/" in (CHECKOUT / "Dockerfile").read_text()


def test_ours_run_confined():
    for file in FILES:
        for name, service in services(file).items():
            if service.get("image") == "podwarden-audit":
                assert (name, service["read_only"], service["cap_drop"]) == (name, True, ["ALL"])


def test_the_example_names_each_variable_of_the_compose_files_and_no_other():
    files = "".join((CHECKOUT / "deploy" / name).read_text() for name in FILES)
    example = (CHECKOUT / "deploy" / "compose.env.example").read_text()
    required = set(re.findall(r"\$\{([A-Z_]+):\?\}", files))
    defaulted = set(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", files))

    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == required
    assert set(re.findall(r"^# ([A-Z_]+)=(.*)$", example, re.MULTILINE)) == defaulted
