"""The names of all variables that our services read.

One environment file may serve all services, and no service imports another. So each knows the
names of all, and a name that none of them reads is an error. `tests/unit/test_settings_names.py`
compares them with the settings.
"""

from typing import Final

PREFIXES: Final = ("AUDIT_API_", "AUDIT_LOG_", "AUDIT_PUSH_", "PROXY_")

_OF_OTHERS: Final = frozenset(
    {
        # Compose puts these into URLs: deploy/compose.env.example.
        "AUDIT_API_PASSWORD",
        "PROXY_PASSWORD",
    }
)

SETTINGS: Final = frozenset(
    [
        "AUDIT_API_AUTH_URL",
        "AUDIT_API_DATABASE_URL",
        "AUDIT_API_HOST",
        "AUDIT_API_MAX_LAG_SECONDS",
        "AUDIT_API_PORT",
        "AUDIT_API_READER_ROLES",
        "AUDIT_API_SEAL_DIR",
        "AUDIT_API_SESSION_SECRET",
        "AUDIT_API_TLS_CERTIFICATE_FILE",
        "AUDIT_API_TLS_KEY_FILE",
        "AUDIT_API_TOKEN_DATABASE_URL",
        "AUDIT_API_TOKEN_PREFIX",
        "AUDIT_API_TOKEN_QUERY",
        "AUDIT_API_TRUSTED_PROXIES",
        "AUDIT_API_WITNESS_DIR",
        "AUDIT_API_WITNESS_LOGS",
        "AUDIT_LOG_DATABASE_URL",
        "AUDIT_LOG_INGEST_OPS_HOST",
        "AUDIT_LOG_INGEST_OPS_PORT",
        "AUDIT_LOG_INGEST_TOKEN_DATABASE_URL",
        "AUDIT_LOG_INGEST_TOKEN_QUERY",
        "AUDIT_LOG_LOG_FORMAT",
        "AUDIT_LOG_LOG_LEVEL",
        "AUDIT_LOG_MAX_BYTES",
        "AUDIT_LOG_NATS_CA_FILE",
        "AUDIT_LOG_NATS_CREDENTIALS_FILE",
        "AUDIT_LOG_NATS_MAX_BYTES",
        "AUDIT_LOG_NATS_REPLICAS",
        "AUDIT_LOG_NATS_STREAM",
        "AUDIT_LOG_NATS_URLS",
        "AUDIT_LOG_RETENTION_DAYS",
        "AUDIT_LOG_SHORTEN_RETENTION",
        "AUDIT_PUSH_CA_FILE",
        "AUDIT_PUSH_CLIENT_CERTIFICATE_FILE",
        "AUDIT_PUSH_CLIENT_KEY_FILE",
        "AUDIT_PUSH_DIR",
        "AUDIT_PUSH_OPS_HOST",
        "AUDIT_PUSH_OPS_PORT",
        "AUDIT_PUSH_OTLP_HEADER",
        "AUDIT_PUSH_OTLP_URL",
        "AUDIT_PUSH_PAGE_URL",
        "AUDIT_PUSH_RULES_FILE",
        "AUDIT_PUSH_SINCE",
        "AUDIT_PUSH_SYSLOG_URL",
        "AUDIT_PUSH_WEBHOOK_SECRET",
        "AUDIT_PUSH_WEBHOOK_URL",
        "PROXY_ANSWER_TIMEOUT_SECONDS",
        "PROXY_AUDITED_PATHS",
        "PROXY_AUDIT_API_URL",
        "PROXY_BODY_TIMEOUT_SECONDS",
        "PROXY_CLIENT_IDLE_SECONDS",
        "PROXY_CONNECT_TIMEOUT_SECONDS",
        "PROXY_EXPRESS_LANE",
        "PROXY_HOST",
        "PROXY_HUB_ENVELOPE_FIELD",
        "PROXY_HUB_HOST",
        "PROXY_HUB_KEY_PREFIX",
        "PROXY_HUB_PORT",
        "PROXY_HUB_URL",
        "PROXY_INSTANCE",
        "PROXY_JOURNAL_DIR",
        "PROXY_JOURNAL_HEAD_BYTES",
        "PROXY_JOURNAL_HEAD_DIR",
        "PROXY_JOURNAL_KEPT_SECONDS",
        "PROXY_JOURNAL_MAX_BYTES",
        "PROXY_JOURNAL_RING_BYTES",
        "PROXY_JOURNAL_RING_DIR",
        "PROXY_LOG_REQUESTS",
        "PROXY_MCP_CLAIMS",
        "PROXY_MCP_PATH",
        "PROXY_MCP_TRACEPARENT",
        "PROXY_OPS_HOST",
        "PROXY_OPS_PORT",
        "PROXY_PORT",
        "PROXY_PRINCIPAL_HEADER",
        "PROXY_RESPONSE_TIMEOUT_SECONDS",
        "PROXY_SEAL",
        "PROXY_SEAL_ANCHORS",
        "PROXY_SEAL_KEY_FILE",
        "PROXY_SHARES_PORT",
        "PROXY_SINK",
        "PROXY_STOP_SECONDS",
        "PROXY_TLS_CERTIFICATE_FILE",
        "PROXY_TLS_KEY_FILE",
        "PROXY_TOKEN_DATABASE_URL",
        "PROXY_TOKEN_POLICY",
        "PROXY_TOKEN_PREFIX",
        "PROXY_TOKEN_QUERY",
        "PROXY_TRACING",
        "PROXY_TRUSTED_PROXIES",
        "PROXY_UPSTREAM_CA_FILE",
        "PROXY_UPSTREAM_CLIENT_CERTIFICATE_FILE",
        "PROXY_UPSTREAM_CLIENT_KEY_FILE",
        "PROXY_UPSTREAM_IDLE_SECONDS",
        "PROXY_UPSTREAM_URL",
        "PROXY_WEBHOOK_SECRET",
        "PROXY_WEBHOOK_URL",
        "PROXY_WORKERS",
    ]
)
"""Those of settings, with old and removed names."""

VARIABLES: Final = SETTINGS | _OF_OTHERS
