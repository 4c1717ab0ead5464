"""Calls and questions over TLS: the same as without, and with certificates that change."""

import os
import shutil
import ssl
from pathlib import Path

import pytest
from aiohttp import ClientSession

from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from audit_log.process.tls import KEPT, KeyPair
from tests.neighbours.audit_api import ALL
from tests.neighbours.certificates import LOOPBACK, key_pair_of, trusting
from tests.neighbours.client import connected
from tests.neighbours.corpus import request, sized
from tests.neighbours.patience import eventually
from tests.neighbours.program import run
from tests.neighbours.services import running_audit_api, running_sidecar
from tests.neighbours.upstream import Upstream, running_upstream, switching_to_echo


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return key_pair_of(LOOPBACK, tmp_path)


def another_pair(directory: Path) -> KeyPair:
    directory.mkdir()
    return key_pair_of(LOOPBACK, directory)


def tls_settings(prefix: str, pair: KeyPair) -> dict[str, str]:
    return {
        f"{prefix}CERTIFICATE_FILE": str(pair.certificate),
        f"{prefix}KEY_FILE": str(pair.key),
    }


async def test_calls_over_tls_are_relayed_as_they_are_without(pair: KeyPair, upstream: Upstream):
    settings = tls_settings("PROXY_TLS_", pair)
    async with running_sidecar(upstream.url, **settings) as sidecar:
        async with connected(sidecar.port, tls=trusting(pair)) as client:
            assert (await client.ask(request(b"GET /a"))).content == b"ok"
            seen = upstream.calls[-1].request
            assert seen.values(b"X-Forwarded-Proto") == [b"https"]
            body = b"x" * 2**20
            assert (await client.ask(sized(b"POST /b", body))).content == b"ok"
            assert upstream.calls[-1].request.content == body
            assert (await client.ask(request(b"HEAD /c"), b"HEAD")).status == 200
            refused = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n")
            assert refused.status == 400
            assert await client.read_to_the_end() == b""

        accepted = b"HTTP/1.1 101 Frobbing\r\nUpgrade: frob\r\nConnection: Upgrade\r\n\r\n"
        upstream.plan(switching_to_echo(accepted))
        async with connected(sidecar.port, tls=trusting(pair)) as client:
            await client.send(request(b"GET /", b"Connection: Upgrade", b"Upgrade: frob"))
            assert (await client.response()).head == accepted
            await client.send(b"echo")
            assert await client.read_exactly(4) == b"echo"


async def test_a_client_that_speaks_no_tls_is_hung_up_on_without_a_word(
    pair: KeyPair, upstream: Upstream
):
    settings = tls_settings("PROXY_TLS_", pair)
    async with running_sidecar(upstream.url, **settings) as sidecar:
        async with connected(sidecar.port) as client:
            await client.send(request(b"GET /"))
            await client.read_to_the_end()
        assert upstream.calls == []


async def certificate_shown(port: int) -> bytes:
    """Return the certificate that a new connection to *port* meets."""
    anything = ssl.create_default_context()
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    async with connected(port, tls=anything) as client:
        shown: bytes = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown


def der(pair: KeyPair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())


async def test_a_new_certificate_is_taken_up_and_a_broken_one_is_not(
    pair: KeyPair, upstream: Upstream, tmp_path: Path
):
    first, new = der(pair), another_pair(tmp_path / "new")
    async with (
        running_sidecar(upstream.url, **tls_settings("PROXY_TLS_", pair)) as sidecar,
        connected(sidecar.port, tls=trusting(pair)) as lasting,
    ):
        assert await certificate_shown(sidecar.port) == first

        # Half of a new pair, which fits with nothing.
        shutil.copy(new.certificate, pair.certificate)
        kept = await sidecar.logged("tls.certificate_kept")
        assert (
            kept["reason"]
            == f"PROXY_TLS_KEY_FILE: {pair.key} is not the key of {pair.certificate}"
        )
        assert await certificate_shown(sidecar.port) == first

        shutil.copy(new.key, pair.key)
        await sidecar.logged("tls.certificate_replaced")
        assert await certificate_shown(sidecar.port) == der(new)
        assert (await lasting.ask(request(b"GET /"))).content == b"ok"

        pair.key.unlink()
        assert await eventually(_says_twice(sidecar.log, "tls.certificate_kept"), sidecar.report)
        assert await certificate_shown(sidecar.port) == der(new)


def _says_twice(log: list[dict[str, object]], event: str):
    async def says_so() -> bool:
        return [line["event"] for line in log].count(event) == 2

    return says_so


async def test_a_certificate_that_could_not_be_renewed_shows_in_readyz_of_both_services(
    pair: KeyPair, upstream: Upstream, database_url: str
):
    async with (
        running_sidecar(upstream.url, database_url, **tls_settings("PROXY_TLS_", pair)) as sidecar,
        running_audit_api(database_url, **tls_settings("AUDIT_API_TLS_", pair)) as audit_api,
        ClientSession() as client,
    ):
        trust = trusting(pair)
        pair.key.write_text("torn")
        for service, url in (
            (sidecar, sidecar.ops_url),
            (audit_api, f"https://127.0.0.1:{audit_api.port}"),
        ):
            await service.logged("tls.certificate_kept")
            async with client.get(f"{url}/readyz", ssl=trust) as response:
                said = await response.json()
            assert KEPT in said["reasons"]
            assert str(pair.key) not in str(said)


async def test_the_audit_api_answers_over_tls_also_through_the_sidecar(
    pair: KeyPair, upstream: Upstream, database: Database, database_url: str
):
    _, secret = await TokenTable(database).create("laptop", "admin", 90)
    async with (
        running_audit_api(database_url, **tls_settings("AUDIT_API_TLS_", pair)) as audit_api,
        running_sidecar(
            upstream.url,
            database_url,
            PROXY_AUDIT_API_URL=f"https://127.0.0.1:{audit_api.port}",
            PROXY_UPSTREAM_CA_FILE=str(pair.certificate),
            **tls_settings("PROXY_TLS_", pair),
        ) as sidecar,
        ClientSession(headers={"Authorization": f"Bearer {secret}"}) as client,
    ):
        for port in (audit_api.port, sidecar.port):
            url = f"https://127.0.0.1:{port}{ALL}"
            async with client.get(url, ssl=trusting(pair)) as response:
                assert response.status == 200


async def test_an_upstream_that_asks_who_we_are_is_shown_our_certificate(
    pair: KeyPair, tmp_path: Path
):
    ours = another_pair(tmp_path / "ours")
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    demanding.load_cert_chain(pair.certificate, pair.key)
    demanding.load_verify_locations(ours.certificate)
    demanding.verify_mode = ssl.CERT_REQUIRED
    trust = {"PROXY_UPSTREAM_CA_FILE": str(pair.certificate)}
    shown = tls_settings("PROXY_UPSTREAM_CLIENT_", ours)
    async with running_upstream(tls=demanding) as upstream:
        async with (
            running_sidecar(upstream.url, **trust, **shown) as sidecar,
            connected(sidecar.port) as client,
        ):
            assert (await client.ask(request(b"GET /"))).content == b"ok"
        async with (
            running_sidecar(upstream.url, **trust) as sidecar,
            connected(sidecar.port) as client,
        ):
            assert (await client.ask(request(b"GET /"))).status == 502


def complaint(module: str, **settings: str) -> str:
    """Start *module* with *settings*, which must stop it; return what it says."""
    environment = {
        "PATH": os.environ["PATH"],
        "AUDIT_LOG_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "PROXY_UPSTREAM_URL": "https://127.0.0.1:1",
        **settings,
    }
    code, _, said = run(module, environment=environment, seconds=60)
    assert code == 78
    return said


def test_wrong_files_stop_the_start_with_one_line(pair: KeyPair, tmp_path: Path):
    other = another_pair(tmp_path / "other")
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    mixed = tls_settings("PROXY_TLS_", KeyPair(pair.certificate, other.key))
    mismatch = f"PROXY_TLS_KEY_FILE: {other.key} is not the key of {pair.certificate}\n"
    url = "postgresql://a@127.0.0.1:1/b?sslmode=verify-full"

    said = [
        complaint("proxy", **mixed),
        complaint("proxy", PROXY_WORKERS="2", **mixed),
        complaint("audit_api", **tls_settings("AUDIT_API_TLS_", KeyPair(missing, pair.key))),
        complaint("proxy", PROXY_TLS_KEY_FILE=str(pair.key)),
        complaint("proxy", PROXY_UPSTREAM_CA_FILE=str(text)),
        complaint("audit_api", AUDIT_LOG_DATABASE_URL=f"{url}&sslrootcert={missing}"),
        complaint("proxy", AUDIT_LOG_DATABASE_URL=f"{url}&sslcert={pair.key}&sslkey={pair.key}"),
    ]

    assert said == [
        mismatch,
        mismatch,
        f"AUDIT_API_TLS_CERTIFICATE_FILE: {missing} cannot be read: No such file or directory\n",
        "PROXY_TLS_CERTIFICATE_FILE and PROXY_TLS_KEY_FILE belong together\n",
        f"PROXY_UPSTREAM_CA_FILE: {text} holds no certificate in PEM\n",
        f"AUDIT_LOG_DATABASE_URL: {missing} cannot be read: No such file or directory\n",
        f"AUDIT_LOG_DATABASE_URL: {pair.key} holds no certificate in PEM\n",
    ]
