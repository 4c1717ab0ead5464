"""The sidecar's settings, from `PROXY_…` environment variables."""

import re
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict
from yarl import URL

from audit_log.addresses import Network, read_networks
from audit_log.process.environment import Formerly, Settings
from audit_log.process.sealing.key_file import KEY_NAME
from audit_log.process.shared_settings import (
    LOOPBACK,
    ListenerSettings,
    ListenHost,
    ListenPort,
    OpsPort,
    OpsSettings,
    Port,
    TokenPrefix,
    TokenSettings,
)
from audit_log.process.tls import KeyPair, key_pair
from audit_log.tokens import TOKEN_PREFIX
from audit_log.webhooks import signing_key
from proxy.admission import TokenPolicy
from proxy.http.fields import TOKEN_BYTE
from proxy.mcp.agents.claims import MAX_CLAIM_NAME_CHARACTERS, MAX_CLAIMS
from proxy.mcp.json_stream import ANY
from proxy.seal.anchors.opening import check_anchors

MEBIBYTE = 1024 * 1024
_SECRET_FIELDS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "mcp-session-id"}
)

APPLICATION: Final = "podwarden-audit-proxy"
"""What the databases and NATS are told of this program."""


class Sink(StrEnum):
    """Where the writer sends records."""

    POSTGRES = "postgres"
    NATS = "nats"


class UpstreamSettings(Settings):
    """Where the upstream is, how it is verified, and how long it may take."""

    upstream_url: str = Field(description="the PodWarden API, `http://host:port` or `https://…`")
    upstream_ca_file: Path | None = Field(
        default=None, description="certificates to verify an https upstream with"
    )
    upstream_client_certificate_file: Path | None = Field(
        default=None, description="shown to an https upstream that asks for a client certificate"
    )
    upstream_client_key_file: Path | None = Field(default=None, description="its key")
    connect_timeout_seconds: float = Field(
        default=5, gt=0, description="to reach the upstream, then 504"
    )
    response_timeout_seconds: Annotated[float, Formerly("PROXY_ANSWER_TIMEOUT_SECONDS")] = Field(
        default=600, gt=0, description="until the upstream's response begins, then 504"
    )
    upstream_idle_seconds: float = Field(
        default=4, gt=0, description="how long an idle upstream connection is kept"
    )

    @property
    def upstream_client(self) -> KeyPair | None:
        """The client certificate and key for the upstream; None for none. Raises TlsFilesError."""
        return key_pair(
            self.upstream_client_certificate_file,
            self.upstream_client_key_file,
            "PROXY_UPSTREAM_CLIENT_",
        )

    @model_validator(mode="after")
    def _client_certificate_has_a_key(self) -> Self:
        _ = self.upstream_client
        return self

    @field_validator("upstream_url")
    @classmethod
    def _is_an_upstream(cls, value: str) -> str:
        return _http_origin(value)


class HubSettings(Settings):
    """The Hub's tunnel, which the sidecar relays and observes."""

    hub_url: str | None = Field(
        default=None, description="the real Hub; when set, its tunnel is relayed and observed"
    )
    hub_host: ListenHost = Field(
        default=LOOPBACK, description="address to enter in PodWarden in place of the Hub's"
    )
    hub_port: Port = Field(default=8105, description="its port; 0 takes any free one")
    hub_envelope_field: str | None = Field(
        default=None,
        description="field of the tunnel's messages that holds the JSON-RPC; any when not set",
    )
    hub_key_prefix: str = Field(
        default="pwc_",
        min_length=1,
        description="what the keys begin with by which the Hub calls the MCP server",
    )

    @field_validator("hub_url")
    @classmethod
    def _is_a_hub(cls, value: str | None) -> str | None:
        # A WebSocket begins as HTTP on the same origin (RFC 6455 section 3).
        return value and _http_origin(re.sub("^ws", "http", value))


class JournalSettings(Settings):
    """Where records wait until they are written."""

    journal_dir: Path = Field(default=Path("journal"), description="where records wait on disk")
    journal_max_bytes: int = Field(
        default=1024 * MEBIBYTE, ge=MEBIBYTE, description="how much may wait on disk"
    )
    journal_kept_seconds: float = Field(
        default=600,
        ge=0,
        description="how long written records stay on disk, to be sent again to a standby that"
        " takes over without them; at most a quarter of `PROXY_JOURNAL_MAX_BYTES`",
    )
    journal_ring_dir: Annotated[Path | None, Formerly("PROXY_JOURNAL_HEAD_DIR")] = Field(
        default=None, description="a tmpfs for the newest records; `/dev/shm` when not set"
    )
    journal_ring_bytes: Annotated[int, Formerly("PROXY_JOURNAL_HEAD_BYTES")] = Field(
        default=32 * MEBIBYTE, ge=MEBIBYTE, description="how much may wait for a stalled disk"
    )


class SealSettings(Settings):
    """How records are sealed, so that nobody can change them unseen."""

    seal: bool = Field(
        default=True,
        description="seal records: nobody can alter, remove, insert or back-date one unseen",
    )
    seal_key_file: Path | None = Field(
        default=None,
        description="the key that signs checkpoints, made if it is missing; `seal.key` in"
        " `PROXY_JOURNAL_DIR` when not set",
    )
    seal_anchors: SecretStr | None = Field(
        default=None,
        description="where checkpoints go that the owner of the database cannot change: URLs,"
        " separated by spaces, of docs/seal.md; `anchors` in the journal folder when not set",
    )

    @field_validator("seal_anchors")
    @classmethod
    def _are_anchors(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_anchors(value.get_secret_value())
        return value

    @property
    def anchor_urls(self) -> str | None:
        """Where checkpoints are anchored; None for the journal's volume. It may hold secrets."""
        return None if self.seal_anchors is None else self.seal_anchors.get_secret_value()

    def key_file_in(self, journal_dir: Path) -> Path | None:
        """Return the file of the key of a sidecar with this journal; None without a seal."""
        return (self.seal_key_file or journal_dir / KEY_NAME) if self.seal else None


class WebhookSettings(Settings):
    """Where alerts are sent."""

    webhook_url: SecretStr | None = Field(
        default=None, description="receives bursts, first uses and gaps: docs/watch.md"
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="what the webhook is signed with: `whsec_` and base64"
    )

    @field_validator("webhook_url")
    @classmethod
    def _is_an_http_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_http(value.get_secret_value()):
            raise ValueError("must be an http:// or https:// address")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _holds_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _ = signing_key(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if (self.webhook_url is None) != (self.webhook_secret is None):
            raise ValueError("PROXY_WEBHOOK_URL and PROXY_WEBHOOK_SECRET go together")
        return self


class ClientSettings(Settings):
    """How long clients may take, and which of them are trusted proxies."""

    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="networks whose `X-Forwarded-…` and `Forwarded` are believed, comma separated",
    )
    principal_header: str | None = Field(
        default=None,
        description="field by which `PROXY_TRUSTED_PROXIES` say on whose behalf a tool is called",
    )
    body_timeout_seconds: float = Field(
        default=300, gt=0, description="for the next piece of a request's body, then 408"
    )
    client_idle_seconds: float = Field(
        default=75, gt=0, description="how long an idle client connection is kept"
    )

    @field_validator("principal_header")
    @classmethod
    def _names_a_field(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(TOKEN_BYTE.decode() + "+", value):
            raise ValueError("must be the name of a header field, such as X-Forwarded-User")
        if value is not None and value.lower() in _SECRET_FIELDS:
            raise ValueError("must not name a field that carries a secret")
        return value

    @model_validator(mode="after")
    def _principal_is_said_by_a_proxy(self) -> Self:
        if self.principal_header is not None and not self.trusted_proxies:
            raise ValueError(
                "PROXY_PRINCIPAL_HEADER needs PROXY_TRUSTED_PROXIES: it is believed of them alone"
            )
        return self

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return read_networks(value)


class InstanceSettings(Settings):
    """How many processes there are, what they are called and what they report."""

    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="sidecar processes behind the one port, each with its own `worker-N` journal"
        " and the next free health port",
    )
    shares_port: bool = Field(
        default=False, description="others listen on the same port; set for workers"
    )
    instance: str | None = Field(
        default=None, description="this sidecar's name in the records; the host name when not set"
    )
    log_requests: bool = Field(default=False, description="one log line per audited call")
    tracing: bool = Field(
        default=False,
        description="OpenTelemetry spans of audited calls, sent as the `OTEL_…` variables say;"
        " needs `requirements/otel.lock`",
    )


class ProxySettings(
    # pydantic lists the fields of the last base first, and so do the documents.
    WebhookSettings,
    InstanceSettings,
    SealSettings,
    JournalSettings,
    HubSettings,
    TokenSettings,
    OpsSettings,
    ClientSettings,
    ListenerSettings,
    UpstreamSettings,
):
    """What the sidecar reads once at start."""

    model_config = SettingsConfigDict(env_prefix="PROXY_")
    removed: ClassVar = {
        "PROXY_EXPRESS_LANE": "has no effect: remove it; there is one lane now",
    }

    port: ListenPort = 8100
    ops_port: OpsPort = 8109
    audit_api_url: str | None = Field(
        default=None, description="the audit API; when set, its paths are forwarded to it"
    )
    audited_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("/api/",), description="path prefixes whose calls are recorded, comma separated"
    )
    mcp_path: str = Field(
        default="/mcp",
        description="path of the MCP server, whose tool calls are recorded",
    )
    mcp_traceparent: bool = Field(
        default=False,
        description="also send tool calls without a `traceparent` one of ours, for MCP servers"
        " that pass nothing else on; it is not sampled, so a server whose sampler follows its"
        " parent keeps no trace",
    )
    mcp_claims: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description=f"fields of `_meta` to record as claims of the client, at most {MAX_CLAIMS},"
        " comma separated",
    )
    token_prefix: TokenPrefix = TOKEN_PREFIX
    token_policy: TokenPolicy = Field(
        default=TokenPolicy.ENFORCE,
        description="`enforce`: invalid tokens get 401 from us; `observe`: the API decides",
    )
    sink: Sink = Field(
        default=Sink.POSTGRES,
        description="where records go: `postgres`, or `nats`, from where"
        " `podwarden-audit ingest` brings them to PostgreSQL",
    )
    stop_seconds: float = Field(
        default=10, gt=0, description="at stop: for calls in flight, then again for the records"
    )

    @property
    def instance_name(self) -> str:
        """What this sidecar is called in its records."""
        return self.instance or socket.gethostname()

    @field_validator("audit_api_url")
    @classmethod
    def _is_an_audit_api(cls, value: str | None) -> str | None:
        return value if value is None else _http_origin(value)

    @model_validator(mode="after")
    def _workers_share_a_port(self) -> Self:
        if self.workers > 1 and not self.port:
            raise ValueError("PROXY_PORT must be given when PROXY_WORKERS is more than 1")
        return self

    @field_validator("mcp_path")
    @classmethod
    def _is_one_path(cls, value: str) -> str:
        if not value.startswith("/") or not value.strip("/"):
            raise ValueError("must begin with a slash and name a path, such as /mcp")
        return value

    @field_validator("mcp_claims", mode="before")
    @classmethod
    def _claims(cls, value: object) -> object:
        names = tuple(map(str, _listed(value)))
        if len(set(names)) > MAX_CLAIMS:
            raise ValueError(f"names more than {MAX_CLAIMS} fields")
        if ANY in names:
            raise ValueError(f"must name each field: {ANY} stands for none")
        if any(len(name) > MAX_CLAIM_NAME_CHARACTERS or not name.isprintable() for name in names):
            raise ValueError(
                f"each name must be printable and have at most {MAX_CLAIM_NAME_CHARACTERS}"
                " characters"
            )
        return names

    @field_validator("audited_paths", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        paths = _listed(value)
        if not paths:
            raise ValueError("names no path: nothing would be recorded")
        if isinstance(value, str) and len(paths) <= value.strip().removesuffix(",").count(","):
            raise ValueError("has a comma too many")
        if any(not str(path).startswith("/") for path in paths):
            raise ValueError("each path must begin with a slash")
        return paths


def _http_origin(value: str) -> str:
    """Return *value* without a trailing slash; raise ValueError if it is no HTTP origin."""
    url = URL(value)
    if url.user is not None or url.password is not None:
        raise ValueError("must not carry a user name or password: they would not be sent")
    if url.scheme not in {"http", "https"} or not url.host or url.path not in {"", "/"}:
        raise ValueError("must be http://host:port or https://host:port, without a path")
    return value.rstrip("/")


def _is_http(address: str) -> bool:
    try:
        url = URL(address)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _listed(value: object) -> tuple[object, ...]:
    """Return the parts of a comma separated value; a sequence is returned as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
