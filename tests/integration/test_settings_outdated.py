"""An environment of the last version still starts the sidecar, which says once what to change."""

from aiohttp import ClientSession

from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.services import running_sidecar
from tests.neighbours.trail import recorded


def told(service):
    lines = [line for line in service.log if line["event"] == "settings.outdated"]
    return [(line["name"], line["advice"]) for line in lines]


async def test_old_and_removed_names_are_told_in_a_line_each(upstream):
    async with running_sidecar(
        upstream.url, PROXY_EXPRESS_LANE="off", PROXY_ANSWER_TIMEOUT_SECONDS="5"
    ) as sidecar:
        assert told(sidecar) == [
            (
                "PROXY_ANSWER_TIMEOUT_SECONDS",
                "renamed: set PROXY_RESPONSE_TIMEOUT_SECONDS in its place",
            ),
            ("PROXY_EXPRESS_LANE", "has no effect: remove it; there is one lane now"),
        ]
        assert await sidecar.stop() == 0


async def test_an_environment_of_today_is_told_nothing(upstream):
    async with running_sidecar(upstream.url) as sidecar:
        assert told(sidecar) == []


async def test_workers_do_not_repeat_it(upstream):
    async with running_sidecar(
        upstream.url, PROXY_EXPRESS_LANE="on", PROXY_WORKERS="2", PROXY_PORT=str(free_port())
    ) as sidecar:

        async def both_started():
            return sum(line["event"] == "service.started" for line in sidecar.log) == 2

        await eventually(both_started)
        assert [name for name, _ in told(sidecar)] == ["PROXY_EXPRESS_LANE"]


async def test_parameters_of_a_url_that_have_no_effect_are_named_at_the_start(
    upstream, database_url, store
):
    url = f"{database_url}?connect_timeout=3&pgbouncer=true&sslmode=prefer"
    async with running_sidecar(upstream.url, url) as sidecar:
        [line] = [line for line in sidecar.log if line["event"] == "settings.parameters_ignored"]
        assert line["name"] == "AUDIT_LOG_DATABASE_URL"
        assert line["parameters"] == ["connect_timeout", "pgbouncer"]
        assert url not in str(sidecar.log)

        async with ClientSession() as client:
            fields = {"Authorization": "Bearer pwm_invented"}
            async with client.get(f"{sidecar.url}/api/v1/hosts", headers=fields) as response:
                assert response.status == 401
        await recorded(store, 1)
