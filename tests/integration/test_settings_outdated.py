"""An environment of the last version still starts the sidecar, which says once what to change."""

from tests.neighbours.patience import eventually
from tests.neighbours.services import free_port, running_sidecar


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
