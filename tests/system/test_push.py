"""The push to rsyslog and syslog-ng of Debian, through kills of them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.audit_api import record, url_of_audit_api
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.patience import eventually
from tests.neighbours.services import running
from tests.system.debian import need
from tests.system.syslog_daemons import running_daemon, syslog_ng_in

BEGAN = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)


@pytest.fixture
async def source(database, database_url):
    """The environment that leads the push to an audit API."""
    _, secret = await TokenTable(database).create("collector", "admin", 90)
    async with url_of_audit_api(database_url) as url:
        yield {"PODWARDEN_AUDIT_URL": url, "PODWARDEN_AUDIT_TOKEN": secret}


def ids_in(lines):
    return [json.loads(line[line.index("{") :])["id"] for line in lines if line.endswith("}")]


@pytest.mark.parametrize("program", ["rsyslogd", "syslog-ng"])
async def test_nothing_is_missing_in_order_after_kills_of_the_daemon(
    source, store, tmp_path, program
):
    need("rsyslogd", "apt-get", "dpkg")
    root = syslog_ng_in(tmp_path) if program == "syslog-ng" else tmp_path
    pair = key_pair_of(LOOPBACK, tmp_path)
    told: list[str] = []

    async def append(count):
        records = [
            record(created_at=BEGAN + timedelta(seconds=len(told) + n)) for n in range(count)
        ]
        told.extend(str(each.id) for each in records)
        await store.append(records)

    async def has_all():
        return set(told) <= set(ids_in(daemon.lines))

    async with running_daemon(tmp_path, program, pair, root) as daemon:
        settings = source | {
            "AUDIT_PUSH_DIR": str(tmp_path / "marks"),
            "AUDIT_PUSH_OPS_PORT": "0",
            "AUDIT_PUSH_SYSLOG_URL": f"tls://127.0.0.1:{daemon.port}",
            "AUDIT_PUSH_CA_FILE": str(pair.certificate),
        }
        async with running("deploy.console", settings, "push") as push:
            await append(3)
            assert await eventually(has_all)
            for _ in range(3):
                await daemon.kill()
                await append(1)  # the first one after a restart is what other senders lose
                await push.logged("push.stalled")
                await daemon.start()
                assert await eventually(has_all)
            await append(1_500)
            assert await eventually(has_all)

    assert list(dict.fromkeys(ids_in(daemon.lines))) == told
