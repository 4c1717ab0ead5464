"""`python -m audit_log token`: tokens in our own table, where PodWarden has none."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from audit_log.cli.terminal import CommandError, say
from audit_log.postgres.agents.token_details import NO_DETAILS, TokenDirectory
from audit_log.postgres.token_table import TokenTable
from audit_log.refusals import refusal_of


async def create(
    tokens: TokenTable,
    name: str,
    role: str,
    expiry_days: int,
    owner: str | None,
    description: str | None,
) -> None:
    """Make a token; show its id, and its secret for the only time."""
    token, secret = await tokens.create(name, role, expiry_days, owner, description)
    say(f"id      {token.id}")
    say(f"secret  {secret}")


async def list_all(tokens: TokenTable, directory: TokenDirectory) -> None:
    """Show all tokens, oldest first, with their owners as far as *directory* knows them."""
    now = partial(datetime.now, UTC)
    listed = await tokens.list()
    details = await directory.details_of([token.id for token in listed])
    for token in listed:
        owner = details.get(token.id, NO_DETAILS).owner
        expiry = f"expires {token.expires_at:%Y-%m-%d}" if token.expires_at else "never expires"
        state = refusal_of(token, now) or expiry
        has_it = f"  ({owner})" if owner else ""
        say(f"{token.id}  {token.role or '-':8}  {state:24}  {token.name}{has_it}")


async def revoke(tokens: TokenTable, token_id: UUID) -> None:
    """Revoke a token; raise `CommandError` if there is none with this id."""
    if not await tokens.revoke(token_id):
        raise CommandError(f"there is no token with the id {token_id}")
    say(f"revoked {token_id}")
