"""Columns of rows in the order in which `audit_log.seal.row_leaf` takes them, then their place."""

from typing import Final


def _moment(column: str) -> str:
    """Return SQL for a time as JSON has it. Python does not know all times of PostgreSQL."""
    return f"""to_char({column} AT TIME ZONE 'UTC',
        CASE extract(microseconds FROM {column})::bigint % 1000000
            WHEN 0 THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' END)
        || CASE WHEN {column} < '0001-01-01 00:00:00+00' THEN ' BC' ELSE '' END"""


# `abbrev` shows a netmask where there is one, and `host` does not.
SEALED_ENTRY: Final = f"""id::text, {_moment("created_at")}, method, path, status_code, outcome,
    instance, token_id::text, token_name, duration_ms, abbrev(client_ip), user_agent, tool,
    invocation_id::text, attribution, request_id, seq, log"""
SEALED_TOOL_CALL: Final = f"""id::text, {_moment("created_at")}, tool, outcome, status_code,
    origin, instance, token_id::text, token_name, duration_ms, api_calls, error_code, rounds,
    abbrev(client_ip), request_id, session::text, protocol_version, client_name, client_version,
    user_agent, principal, claims::text, seq, log"""
SEALED_GAP: Final = f"""id::text, {_moment("started_at")}, {_moment("ended_at")}, count, reason,
    instance, seq, log"""
