"""The image's HEALTHCHECK, asking services that listen as they may be told to."""

import asyncio

import pytest
from yarl import URL

from deploy.healthcheck import address_of, complaint_of
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.services import refusing_port, running_audit_api, running_sidecar

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.mark.parametrize(
    ("command", "given", "address"),
    [
        ("proxy", {"PROXY_OPS_HOST": "0.0.0.0"}, "http://127.0.0.1:8109/healthz"),
        ("proxy", {"PROXY_OPS_PORT": "9000"}, "http://127.0.0.1:9000/healthz"),
        ("audit_api", {"AUDIT_API_HOST": "::"}, "http://[::1]:8110/healthz"),
        ("audit_api", {"AUDIT_API_HOST": "10.0.0.7"}, "http://10.0.0.7:8110/healthz"),
        ("audit_log ingest", {}, "http://127.0.0.1:8108/healthz"),
        ("deploy.console push", {"AUDIT_PUSH_OPS_PORT": "9001"}, "http://127.0.0.1:9001/healthz"),
        ("push", {}, "http://127.0.0.1:8109/healthz"),
    ],
)
def test_each_service_is_asked_where_it_listens(command, given, address, monkeypatch):
    monkeypatch.setenv("PROXY_UPSTREAM_URL", "http://127.0.0.1:1")
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert address_of(command.split()) == URL(address)


@pytest.mark.parametrize(
    "command",
    ["audit_log migrate", "audit_log token create proxy", "deploy.console check push", ""],
)
def test_a_command_has_nothing_to_ask(command):
    assert address_of(command.split()) is None


async def test_a_service_that_listens_with_tls_is_healthy(tmp_path, upstream, monkeypatch):
    pair = key_pair_of(LOOPBACK, tmp_path)
    files = {"CERTIFICATE_FILE": str(pair.certificate), "KEY_FILE": str(pair.key)}
    api = {f"AUDIT_API_TLS_{name}": value for name, value in files.items()}
    calls = {f"PROXY_TLS_{name}": value for name, value in files.items()}
    # A proxy of the site's: whoever asks it, asks in vain.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with (
        running_audit_api(NOWHERE, **api) as audit_api,
        running_sidecar(upstream.url, **calls) as sidecar,
    ):
        for command, given in (
            ("audit_api", api | {"AUDIT_API_PORT": str(audit_api.port)}),
            ("proxy", calls | {"PROXY_OPS_PORT": str(sidecar.ops_port)}),
        ):
            for name, value in ({"PROXY_UPSTREAM_URL": upstream.url} | given).items():
                monkeypatch.setenv(name, value)
            address = address_of([command])
            assert address is not None
            assert await asyncio.to_thread(complaint_of, address) is None


def test_a_service_that_is_not_there_is_one_line():
    with refusing_port() as nobody:
        complaint = complaint_of(URL(f"https://127.0.0.1:{nobody}/healthz"))

    assert complaint is not None
    assert "refused" in complaint
    assert "\n" not in complaint
