"""Many tokens in the table, and in a file for the load to use in turn."""

import asyncio
import secrets
from pathlib import Path
from typing import Final

import asyncpg

from audit_log.record import new_record_id
from audit_log.tokens import TOKEN_BYTES, TOKEN_PREFIX, hash_token

_CREATE: Final = """
INSERT INTO mcp_tokens (id, name, role, token_hash, expires_at)
SELECT id, 'token-' || number, 'viewer', hash, now() + interval '1 day'
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS made (id, hash, number)
"""


def tokens_in_files(url: str, directory: Path, numbers: tuple[int, ...]) -> dict[int, Path]:
    """Make tokens in the table at *url*; return for each of *numbers* a file of so many."""
    made = [TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES) for _ in range(max(numbers))]
    asyncio.run(_create(url, made))
    files = {number: directory / f"tokens-{number}" for number in numbers}
    for number, file in files.items():
        file.write_text("\n".join(made[:number]) + "\n")
    return files


async def _create(url: str, made: list[str]) -> None:
    connection = await asyncpg.connect(url)
    ids = [new_record_id() for _ in made]
    await connection.execute(_CREATE, ids, [hash_token(token) for token in made])
    await connection.close()
