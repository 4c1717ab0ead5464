"""The sidecar's settings, from `PROXY_…` environment variables."""

import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from audit_log.process.settings import DatabaseUrl
from audit_log.process.tls import KeyPair, key_pair
from audit_log.tokens import DEFAULT_TOKEN_QUERY
from proxy.admission import TokenPolicy
from proxy.http.peers import Network
from proxy.telemetry.webhook.event import signing_key

MEBIBYTE = 1024 * 1024


class Sink(StrEnum):
    """What the writer brings the records to."""

    POSTGRES = "postgres"
    NATS = "nats"


class ProxySettings(BaseSettings):
    """What the sidecar reads once at start."""

    model_config = SettingsConfigDict(env_prefix="PROXY_", frozen=True)

    upstream_url: str = Field(description="the PodWarden API, `http://host:port` or `https://…`")
    upstream_ca_file: Path | None = Field(
        default=None, description="certificates to verify an https upstream with"
    )
    upstream_client_certificate_file: Path | None = Field(
        default=None, description="shown to an https upstream that asks who we are"
    )
    upstream_client_key_file: Path | None = Field(default=None, description="its key")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8100, ge=0, le=65535, description="port to listen on; 0 = any")
    tls_certificate_file: Path | None = Field(
        default=None,
        description="PEM; calls are then taken over TLS; followed when the files change",
    )
    tls_key_file: Path | None = Field(default=None, description="its key")
    ops_host: str = Field(default="127.0.0.1", description="address of health and metrics")
    ops_port: int = Field(default=8109, ge=0, le=65535, description="port of health and metrics")
    audit_api_url: str | None = Field(
        default=None, description="the audit API; when set, its paths are answered from there"
    )
    audited_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("/api/",), description="path prefixes whose calls are recorded, comma separated"
    )
    token_prefix: str = Field(
        default="pwm_", min_length=1, description="what the tokens we identify begin with"
    )
    mcp_path: str = Field(
        default="/mcp", pattern="^/", description="where the MCP server is; it tells the tools"
    )
    hub_url: str | None = Field(
        default=None, description="the real Hub; when set, its tunnel is relayed and watched"
    )
    hub_host: str = Field(
        default="127.0.0.1", description="address to enter in PodWarden in place of the Hub's"
    )
    hub_port: int = Field(default=8105, ge=0, le=65535, description="its port; 0 = any")
    hub_envelope_field: str | None = Field(
        default=None,
        description="field of the tunnel's messages that holds the JSON-RPC; any when not set",
    )
    hub_key_prefix: str = Field(
        default="pwc_",
        min_length=1,
        description="what the keys begin with by which the Hub calls the MCP server",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="sidecar processes behind the one port, each with its own `worker-N` journal"
        " and the next health port",
    )
    shares_port: bool = Field(
        default=False, description="others listen on the same port; set for workers"
    )
    express_lane: bool = Field(
        default=True, description="relay ordinary requests without aiohttp; `off` for debugging"
    )
    token_policy: TokenPolicy = Field(
        default=TokenPolicy.ENFORCE,
        description="`enforce`: invalid tokens get 401 from us; `observe`: the API decides",
    )
    token_query: str = Field(
        default=DEFAULT_TOKEN_QUERY,
        description="SQL that finds a token by its hex SHA-256, given as `$1`",
    )
    token_database_url: DatabaseUrl | None = Field(
        default=None, description="where the tokens are; the audit log's database when not set"
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(), description="networks whose `X-Forwarded-…` are believed, comma separated"
    )
    journal_dir: Path = Field(default=Path("journal"), description="where records wait on disk")
    journal_max_bytes: int = Field(
        default=1024 * MEBIBYTE, ge=MEBIBYTE, description="how much may wait on disk"
    )
    journal_head_dir: Path | None = Field(
        default=None, description="a tmpfs for the newest records; `/dev/shm` when not set"
    )
    journal_head_bytes: int = Field(
        default=32 * MEBIBYTE, ge=MEBIBYTE, description="how much may wait for a stalled disk"
    )
    sink: Sink = Field(
        default=Sink.POSTGRES,
        description="where records go: `postgres`, or `nats`, from where"
        " `python -m audit_log ingest` brings them to PostgreSQL",
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
    webhook_url: SecretStr | None = Field(
        default=None, description="who is told of bursts, first uses and gaps: docs/watch.md"
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="what the webhook is signed with: `whsec_` and base64"
    )
    connect_timeout_seconds: float = Field(
        default=5, gt=0, description="to reach the upstream, then 504"
    )
    answer_timeout_seconds: float = Field(
        default=600, gt=0, description="until the upstream's answer begins, then 504"
    )
    body_timeout_seconds: float = Field(
        default=300, gt=0, description="for the next piece of a request's body, then 408"
    )
    upstream_idle_seconds: float = Field(
        default=4, gt=0, description="how long an unused upstream connection is kept"
    )
    client_idle_seconds: float = Field(
        default=75, gt=0, description="how long an unused client connection is kept"
    )
    stop_seconds: float = Field(
        default=10, gt=0, description="at stop: for calls in flight, then again for the records"
    )

    @property
    def tls(self) -> KeyPair | None:
        """What to take calls over TLS with."""
        return key_pair(self.tls_certificate_file, self.tls_key_file, "PROXY_TLS_")

    @property
    def upstream_client(self) -> KeyPair | None:
        """What to show the upstream."""
        return key_pair(
            self.upstream_client_certificate_file,
            self.upstream_client_key_file,
            "PROXY_UPSTREAM_CLIENT_",
        )

    @model_validator(mode="after")
    def _certificates_have_keys(self) -> "ProxySettings":
        _ = self.tls, self.upstream_client
        return self

    @field_validator("upstream_url", "audit_api_url")
    @classmethod
    def _is_an_http_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = URL(value)
        if url.scheme not in {"http", "https"} or not url.host or url.path not in {"", "/"}:
            raise ValueError("must be http://host:port or https://host:port, without a path")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _workers_share_a_port(self) -> "ProxySettings":
        if self.workers > 1 and not self.port:
            raise ValueError("PROXY_PORT must be given when PROXY_WORKERS is more than 1")
        return self

    @model_validator(mode="after")
    def _webhook_is_signed(self) -> "ProxySettings":
        if (self.webhook_url is None) != (self.webhook_secret is None):
            raise ValueError("PROXY_WEBHOOK_URL and PROXY_WEBHOOK_SECRET go together")
        return self

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

    @field_validator("hub_url")
    @classmethod
    def _is_an_http_or_websocket_origin(cls, value: str | None) -> str | None:
        # A WebSocket begins as HTTP on the same origin (RFC 6455 section 3).
        return value and cls._is_an_http_origin(re.sub("^ws", "http", value))

    @field_validator("audited_paths", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        paths = _listed(value)
        if any(not str(path).startswith("/") for path in paths):
            raise ValueError("each path must begin with a slash")
        return paths

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        try:
            return tuple(ip_network(str(network), strict=False) for network in _listed(value))
        except ValueError:
            raise ValueError("must be networks such as 10.0.0.0/8, comma separated") from None


def _is_http(address: str) -> bool:
    try:
        url = URL(address)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _listed(value: object) -> tuple[object, ...]:
    """Return the parts of a comma separated value; a sequence is taken as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
