"""What a sidecar says of itself on its ops port."""

from typing import Any, Protocol

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from tests.neighbours.patience import eventually


class Watched(Protocol):
    """A sidecar or another service, as a process or in the test's own loop."""

    @property
    def ops_url(self) -> str:
        """Where its ops port is."""

    def report(self) -> str:
        """What it said, for the failure of a test."""


async def readiness(sidecar: Watched) -> dict[str, Any]:
    """Return what `/readyz` says; it must say that calls are taken."""
    async with ClientSession() as client, client.get(f"{sidecar.ops_url}/readyz") as response:
        assert response.status == 200
        said: dict[str, Any] = await response.json()
        return said


async def death(sidecar: Watched) -> str:
    """Return why `/healthz` fails; it must fail."""
    async with ClientSession() as client, client.get(f"{sidecar.ops_url}/healthz") as response:
        assert response.status == 503
        return " ".join((await response.json())["reasons"])


async def degraded(sidecar: Watched, because: str) -> None:
    """Wait until the sidecar says that something behind the calls fails, and that it is that."""

    async def says_so() -> bool:
        said = await readiness(sidecar)
        return said["status"] == "degraded" and because in " ".join(said["reasons"])

    assert await eventually(says_so, sidecar.report)


async def recovered(sidecar: Watched) -> None:
    """Wait until `/readyz` reports no problem."""

    async def says_so() -> bool:
        return bool((await readiness(sidecar))["status"] == "ready")

    assert await eventually(says_so, sidecar.report)


async def metric(sidecar: Watched, name: str, **labels: str) -> float:
    """Return the present value of one metric."""
    async with ClientSession() as client, client.get(f"{sidecar.ops_url}/metrics") as response:
        text = await response.text()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"podwarden_audit_{name}" and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"no {name} {labels} in:\n{text}")


async def metric_becomes(service: Watched, value: float, name: str, **labels: str) -> None:
    """Wait until the metric has *value*."""

    async def has_it() -> bool:
        return await metric(service, name, **labels) == value

    assert await eventually(has_it, service.report)


async def records(sidecar: Watched, fate: str) -> int:
    """Return how many records have met this fate."""
    return int(await metric(sidecar, "records_total", fate=fate))
