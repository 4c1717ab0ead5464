"""The demo tokens, one of each role: made once, remembered, replaced when no longer good."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from audit_log.postgres.token_table import TokenTable
from audit_log.refusals import refusal_of
from audit_log.tokens import ROLES, hash_token

_EXPIRY_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class DemoToken:
    """A token that we may show: it opens nothing but this machine's demo."""

    id: str
    role: str
    secret: str


async def demo_tokens(table: TokenTable, memory: Path) -> dict[str, DemoToken]:
    """Return a good token for each role; *memory* holds the secrets, for the owner alone."""
    remembered = _read(memory)
    tokens = {
        role: await _good(table, role, remembered.get(role)) or await _new(table, role)
        for role in ROLES
    }
    secrets = {role: token.secret for role, token in tokens.items()}
    if secrets != remembered:
        _write(memory, secrets)
    return tokens


async def _good(table: TokenTable, role: str, secret: str | None) -> DemoToken | None:
    token = await table.find(hash_token(secret)) if secret else None
    if (
        secret is None
        or token is None
        or token.role != role
        or refusal_of(token, partial(datetime.now, UTC))
    ):
        return None
    return DemoToken(str(token.id), role, secret)


async def _new(table: TokenTable, role: str) -> DemoToken:
    token, secret = await table.create(f"demo-{role}", role, _EXPIRY_DAYS)
    return DemoToken(str(token.id), role, secret)


def _read(memory: Path) -> dict[str, str]:
    """Return the secrets by role; none when the file is not there or holds something else."""
    try:
        remembered = json.loads(memory.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    secrets = remembered.items() if isinstance(remembered, dict) else ()
    return {role: secret for role, secret in secrets if isinstance(secret, str)}


def _write(memory: Path, secrets: dict[str, str]) -> None:
    unfinished = memory.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(secrets, file, indent=1)
    unfinished.replace(memory)
