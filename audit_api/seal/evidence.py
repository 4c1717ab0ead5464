"""Evidence: rows that match a filter, with all that a stranger needs to check them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from audit_api.errors import NotNowError
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing, StoredFilters
from audit_api.responses import streamed_response
from audit_api.seal.sealed_folder import SealedFolder, name_of
from audit_api.seal.tar_file import TarFile
from audit_api.stream.streaming import streaming
from audit_log.errors import SealError
from audit_log.postgres.database import Database
from audit_log.postgres.export import FETCH_SECONDS
from audit_log.postgres.seal.evidence_rows import KINDS, EvidentRow, Kind, begin, evident_rows
from audit_log.postgres.seal.proving import may_be_named
from audit_log.postgres.seal.sealed_log import SealedLog
from audit_log.postgres.seal.stored_tree import TileRoots
from audit_log.postgres.transaction import Transaction

GZIP: Final = "application/gzip"
_HOME: Final = Path(__file__).parent
_TEXTS: Final = {name: (_HOME / name).read_bytes() for name in ("README.txt", "check.py")}
_NAMES_AT: Final = slice(8, 10)
"""Where leaf data has the id and the name of a token."""
log: structlog.stdlib.BoundLogger = structlog.get_logger("audit_api")


@dataclass(slots=True)
class _Bundle:
    """One bundle that is being made."""

    transaction: Transaction
    tar: TarFile
    folders: dict[int, SealedFolder] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    unproved: dict[str, int] = field(default_factory=dict)
    """By kind: rows without a place, or behind the checkpoint."""

    async def rows_of(self, kind: Kind, wanted: StoredFilters) -> AsyncIterator[bytes]:
        """Yield what is to be sent of the rows of *kind*."""
        self.rows[kind.name] = self.unproved[kind.name] = 0
        number = 0
        async for rows in evident_rows(self.transaction, kind, wanted.filter()):
            number += 1
            self.rows[kind.name] += len(rows)
            lines = b"".join(self._line(kind, row) for row in rows)
            yield self.tar.add(f"{kind.name}/{number:06}.ndjson", lines)

    def _line(self, kind: Kind, row: EvidentRow) -> bytes:
        folder = None if row.log is None else self.folders.get(row.log)
        if folder is None or row.place is None or not folder.touch(row.place):
            self.unproved[kind.name] += 1
        is_placed = row.log is not None and row.place is not None
        line: dict[str, Any] = {
            "log": name_of(row.log) if is_placed and row.log is not None else None,
            "place": row.place if is_placed else None,
            "leaf": row.data.decode(),
        }
        if row.noted is not None and row.noted != row.data and may_be_named(row.noted, row.data):
            token_id, token_name = msgspec.json.decode(row.data)[_NAMES_AT]
            line["leaf"] = row.noted.decode()
            line["named"] = {"token_id": token_id, "token_name": token_name}
        return msgspec.json.encode(line) + b"\n"

    async def logs(self) -> AsyncIterator[bytes]:
        """Yield what is to be sent of the logs."""
        for folder in self.folders.values():
            async for path, data in folder.files():
                yield self.tar.add(path, data)

    def manifest(self, query: Mapping[str, str], made_at: datetime) -> bytes:
        """Return what is to be sent of the manifest, the last file."""
        told = {
            "made_at": made_at.isoformat(),
            "question": dict(query),
            "rows": self.rows,
            "without_proof": self.unproved,
            "logs": [name_of(number) for number in self.folders],
            "pruned_tiles": sum(folder.gone for folder in self.folders.values()),
        }
        return self.tar.add("manifest.json", msgspec.json.format(msgspec.json.encode(told)))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Responds with evidence. It holds a database connection until it ends, as an export does."""

    database: Database
    turns: asyncio.Semaphore
    """Those of exports, with which it shares the connections."""

    async def evidence(self, asked: Asked[StoredFilters, Nothing]) -> web.StreamResponse:
        """Respond with a bundle; NotNowError without a turn."""
        made_at = datetime.now(UTC)
        name = f"mcp-audit-evidence-{made_at:%Y%m%dT%H%M%SZ}"
        fields = {"Content-Disposition": f'attachment; filename="{name}.tar.gz"'}
        if asked.wants_no_body:
            return streamed_response(GZIP, fields, charset=None)
        if self.turns.locked():
            raise NotNowError("Other exports are running: try again when one of them has ended")
        async with (
            self.turns,
            self.database.transaction(statement_seconds=FETCH_SECONDS) as transaction,
        ):
            bundle = _Bundle(transaction, TarFile(name, int(made_at.timestamp())))
            bundle.folders = await _folders(transaction, await begin(transaction))
            await asked.reading.begin()
            async with streaming(asked.request, GZIP, fields, charset=None) as streamed:
                for path, data in _TEXTS.items():
                    await streamed.send(bundle.tar.add(path, data))
                for kind in KINDS:
                    told = 0
                    async for piece in bundle.rows_of(kind, asked.query):
                        asked.reading.tell(bundle.rows[kind.name] - told)
                        told = bundle.rows[kind.name]
                        await streamed.send(piece)
                async for piece in bundle.logs():
                    await streamed.send(piece)
                await streamed.send(bundle.manifest(asked.request.query, made_at))
                await streamed.send(bundle.tar.end())
                asked.reading.is_whole = True
        return streamed.response


async def _folders(transaction: Transaction, logs: Sequence[int]) -> dict[int, SealedFolder]:
    """Return the folders of those *logs* that have a checkpoint which their key signed."""
    folders = {}
    roots = TileRoots()
    for number in logs:
        sealed = SealedLog(transaction, number)
        try:
            signed = await sealed.signed(0, await sealed.receipts(0))
        except SealError as error:
            log.warning("evidence.log_left_out", log=number, reason=str(error))
            continue
        if signed is not None:
            folders[number] = SealedFolder(sealed, signed, roots)
    return folders
