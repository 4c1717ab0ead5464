"""What the demo PodWarden manages: a small, made-up fleet, kept in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Thing = dict[str, Any]
"""One object of the API, as its JSON says it."""


def _by_id(things: Iterable[Thing]) -> dict[str, Thing]:
    return {thing["id"]: thing for thing in things}


def _hosts() -> dict[str, Thing]:
    return _by_id(
        [
            {"id": "edge-01", "cluster_id": "edge", "address": "10.20.0.11", "status": "online"},
            {"id": "edge-02", "cluster_id": "edge", "address": "10.20.0.12", "status": "online"},
            {"id": "edge-03", "cluster_id": "edge", "address": "10.20.0.13", "status": "offline"},
            {"id": "core-01", "cluster_id": "core", "address": "10.10.0.21", "status": "online"},
        ]
    )


def _clusters() -> dict[str, Thing]:
    return _by_id(
        [
            {"id": "edge", "name": "Edge", "version": "v1.37.1", "status": "degraded"},
            {"id": "core", "name": "Core", "version": "v1.37.1", "status": "healthy"},
        ]
    )


def _definitions() -> dict[str, Thing]:
    return _by_id(
        [
            {"id": "gitea", "image": "gitea:1.26", "replicas": 1, "ports": [3000, 22]},
            {"id": "grafana", "image": "grafana:13.1", "replicas": 2, "ports": [3000]},
        ]
    )


def _assignments() -> dict[str, Thing]:
    return _by_id(
        [
            {
                "id": "gitea-edge",
                "definition_id": "gitea",
                "cluster_id": "edge",
                "status": "running",
            },
            {
                "id": "grafana-core",
                "definition_id": "grafana",
                "cluster_id": "core",
                "status": "running",
            },
        ]
    )


@dataclass
class Inventory:
    """The fleet. An assignment is a definition that runs on a cluster: a workload."""

    hosts: dict[str, Thing] = field(default_factory=_hosts)
    clusters: dict[str, Thing] = field(default_factory=_clusters)
    definitions: dict[str, Thing] = field(default_factory=_definitions)
    assignments: dict[str, Thing] = field(default_factory=_assignments)

    def workloads(self) -> list[Thing]:
        """Return each assignment together with the image that it runs."""
        return [
            assignment | {"image": self.definitions[assignment["definition_id"]]["image"]}
            for assignment in self.assignments.values()
        ]

    def logs(self, assignment_id: str) -> list[str]:
        """Return the last lines of the assignment's log."""
        status = self.assignments[assignment_id]["status"]
        return [f"{assignment_id}-0 started", f"{assignment_id}-0 is {status}"]

    def begin_deployment(self, assignment_id: str) -> Thing:
        """Mark the assignment as being deployed and return it."""
        self.assignments[assignment_id]["status"] = "deploying"
        return self.assignments[assignment_id]

    def end_deployment(self, assignment_id: str) -> None:
        """Mark the assignment as running."""
        self.assignments[assignment_id]["status"] = "running"
