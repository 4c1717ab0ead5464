"""Who calls on a sample day, with what, and what for."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from audit_log.record import Attribution

INSTANCE: Final = "sample-day"
"""What made-up records name as their sidecar: it has no log of the seal."""
_NAMES: Final = UUID("6d2e1b54-4c3f-5a0e-9f0a-5a6d706c6521")


@dataclass(frozen=True, slots=True)
class Agent:
    """A token with the program that uses it."""

    token_name: str
    client_ip: str
    user_agent: str
    client_name: str | None = None
    client_version: str | None = None
    protocol_version: str | None = None
    has_sessions: bool = False
    """Up to MCP 2025-11-25 an agent has sessions."""
    attribution: Attribution | None = None
    """How its API calls are tied to its tool calls."""

    @property
    def token_id(self) -> UUID:
        """The same in each run, and in no table of tokens."""
        return uuid5(_NAMES, self.token_name)


CLAUDE: Final = Agent(
    "claude-code-anna",
    "10.4.0.17",
    "claude-code/2.1.7 (cli)",
    *("claude-code", "2.1.7", "2025-11-25"),
    has_sessions=True,
    attribution=Attribution.INFERRED,
)
BOT: Final = Agent(
    "deploy-bot",
    "10.4.1.3",
    "python-httpx2/2.16.2",
    *("deploy-bot", "0.9.0", "2026-07-28"),
    attribution=Attribution.EXACT,
)
EDITOR: Final = Agent(
    "cursor-ben",
    "10.4.0.52",
    "cursor/3.2.1",
    *("cursor-vscode", "1.0.0", "2025-06-18"),
    has_sessions=True,
    attribution=Attribution.EXACT,
)
BACKUP: Final = Agent("nightly-backup", "10.4.2.8", "curl/8.14.1")
PANEL: Final = Agent("wall-panel", "10.4.3.40", "Grafana/13.1.0")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, and the API calls that it makes; `{}` stands for one of *objects*."""

    name: str
    calls: tuple[tuple[str, str], ...]
    objects: tuple[str, ...] = ("",)
    answer: int = 200
    """The API's status for the last call."""


READING: Final = (
    Tool("list_clusters", (("GET", "/api/v1/clusters"),)),
    Tool("list_hosts", (("GET", "/api/v1/hosts"),)),
    Tool(
        "troubleshoot_workload",
        (
            ("GET", "/api/v1/assignments/{}"),
            ("GET", "/api/v1/definitions/gitea"),
            ("GET", "/api/v1/clusters/12"),
            ("GET", "/api/v1/assignments/{}/logs"),
        ),
        ("gitea-edge", "grafana-core", "registry-core"),
    ),
)
DEPLOY: Final = Tool(
    "deploy_workload",
    (("GET", "/api/v1/assignments/{}"), ("POST", "/api/v1/assignments/{}/deploy")),
    ("gitea-edge", "grafana-core", "registry-core"),
    202,
)
SCALE: Final = Tool(
    "scale_cluster", (("PATCH", "/api/v1/clusters/{}"),), ("12", "core", "edge"), 200
)
RESTART: Final = Tool(
    "restart_host",
    (("POST", "/api/v1/hosts/{}/restart"),),
    ("edge-01", "edge-02", "core-01"),
    202,
)
DRAIN: Final = Tool("drain_node", (("DELETE", "/api/v1/clusters/{}/nodes/7"),), ("12",), 204)
