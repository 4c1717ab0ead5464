import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from deploy.local.postgres import running_postgres
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.program import CHECKOUT
from tests.system.debian import need, run
from tests.system.image import Image, built_image

pytestmark = pytest.mark.timeout(900)
USER = 65532


@pytest.fixture(scope="module")
def workshop() -> Iterator[Path]:
    # Not below the 0700 directory of pytest: the image's user must be able to walk to its mounts.
    with tempfile.TemporaryDirectory(prefix="image-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def image(workshop: Path) -> Iterator[Image]:
    need("buildah", "crun", "debootstrap", "nsenter", "setpriv", "unshare")
    with built_image(workshop) as built:
        yield built


@pytest.fixture
def database(workshop: Path) -> Iterator[dict[str, str]]:
    with running_postgres(workshop / "postgres", port=free_port(), durable=False) as server:
        yield {"AUDIT_LOG_DATABASE_URL": server.url()}


def directory_of_the_user(path: Path) -> Path:
    path.mkdir(mode=0o700)
    os.chown(path, USER, USER)
    return path


def identity(pid: int) -> dict[str, str]:
    """Return what the kernel says of *pid*; of a list, the last: the innermost, the effective."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    named = (line.partition(":") for line in lines)
    return {name: values.split()[-1] for name, _, values in named if values.strip()}


def test_the_linter_has_nothing_to_say_of_the_dockerfile():
    assert run(Path(sys.prefix, "bin", "hadolint"), CHECKOUT / "Dockerfile") == ""


async def test_a_call_through_the_image_is_recorded_and_can_be_read(
    image, workshop, upstream, database
):
    assert "applied 0001" in image.run(workshop / "migrate", "audit_log", "migrate", **database)
    made = image.run(
        workshop / "token", "audit_log", "token", "create", "t", "--role=admin", **database
    )
    bearer = {"Authorization": f"Bearer {made.split()[-1]}"}
    proxy = image.running(
        workshop / "proxy",
        mounts={
            "/var/lib/podwarden-audit": directory_of_the_user(workshop / "journal"),
            "/run/podwarden-audit": directory_of_the_user(workshop / "ring"),
        },
        PROXY_UPSTREAM_URL=upstream.url,
        PROXY_PORT="0",
        PROXY_OPS_PORT=str(free_port()),
        PROXY_JOURNAL_RING_DIR="/run/podwarden-audit",
        **database,
    )
    reader = image.running(
        workshop / "reader", "audit_api", mounts={}, AUDIT_API_PORT=str(free_port()), **database
    )
    async with (
        proxy as sidecar,
        reader as audit_api,
        aiohttp.ClientSession(headers=bearer) as http,
    ):
        async with http.get(f"{sidecar.url}/api/v1/clusters") as response:
            assert (response.status, await response.text()) == (200, "ok")

        async def entries() -> list[dict[str, object]]:
            async with http.get(f"{audit_api.url}/api/v1/settings/mcp-audit") as response:
                assert response.status == 200
                return list(await response.json())

        [entry] = await eventually(entries, sidecar.report)
        assert (entry["path"], entry["token_name"]) == ("/api/v1/clusters", "t")
        assert sidecar.execute("podwarden-audit", "--version").stdout.endswith(" (compiled)\n")
        for service in (sidecar, audit_api):
            its = identity(service.pid)
            assert (its["Uid"], its["NSpid"], its["NoNewPrivs"]) == (str(USER), "1", "1")
            assert int(its["CapBnd"], 16) == 0
            assert "Read-only file system" in service.execute("touch", "/app/x").stderr
            assert service.execute(*image.healthcheck).returncode == 0
        # Leaving the block: SIGTERM reaches the first process, which must end with 0.
    assert sidecar.log[-1]["event"] == audit_api.log[-1]["event"] == "service.stopped"
    assert sidecar.noise == audit_api.noise == []


async def test_the_healthcheck_finds_an_audit_api_with_tls_and_an_ingest(image, workshop):
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    certificates = workshop / "certificates"
    certificates.mkdir(mode=0o755)
    pair = key_pair_of(LOOPBACK, certificates)
    secure = image.running(
        workshop / "secure",
        "audit_api",
        mounts={"/run/certificates": certificates},
        AUDIT_API_PORT=str(free_port()),
        AUDIT_API_TLS_CERTIFICATE_FILE=f"/run/certificates/{pair.certificate.name}",
        AUDIT_API_TLS_KEY_FILE=f"/run/certificates/{pair.key.name}",
        AUDIT_LOG_DATABASE_URL=nowhere,
    )
    ingest = image.running(
        workshop / "ingest",
        "audit_log",
        "ingest",
        mounts={},
        AUDIT_LOG_INGEST_OPS_PORT=str(free_port()),
        AUDIT_LOG_NATS_URLS="nats://127.0.0.1:1",
        AUDIT_LOG_DATABASE_URL=nowhere,
    )
    async with secure as audit_api, ingest as ingester:
        for service in (audit_api, ingester):
            asked = service.execute(*image.healthcheck)
            assert (asked.returncode, asked.stderr) == (0, "")
    assert audit_api.noise == ingester.noise == []


async def test_the_healthcheck_fails_in_one_line_when_the_service_does_not_answer(image, workshop):
    service = image.running(
        workshop / "frozen",
        "audit_api",
        mounts={},
        AUDIT_API_PORT=str(free_port()),
        AUDIT_LOG_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
    )
    async with service as audit_api:
        with audit_api.frozen():
            asked = audit_api.execute(*image.healthcheck)
    assert asked.returncode == 1
    assert asked.stderr.splitlines() == ["timed out"]
