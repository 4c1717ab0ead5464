"""The witness's two addresses, and the thread in which it waits for its disk."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import structlog
from aiohttp import web

from audit_api.errors import BodyTimedOutError, NotFoundError, NotNowError
from audit_api.responses import text_response
from audit_api.witness.folder import WitnessFolder, WitnessFolderError
from audit_api.witness.trusted_logs import TrustedLogs
from audit_api.witness.witness import (
    ContradictoryCheckpointError,
    MalformedCheckpointError,
    OtherSizeError,
    Witness,
)
from audit_log.errors import SealFormatError
from audit_log.process.changes import LoggedState
from audit_log.process.disk_thread import DiskThread
from audit_log.seal.add_checkpoint import MAX_BYTES, SIZE_TYPE, size_text

PREFIX: Final = "/api/v1/settings/mcp-audit/witness"
"""What a log is told: its submission prefix, and the prefix for monitors."""
BODY_SECONDS: Final = 10.0
MOST_WAITING: Final = 64
"""How many requests may wait for the disk; each further one is told to come again."""
Result = TypeVar("Result")
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class WitnessRoutes:
    """Takes requests to the witness. The checkpoint's signature stands for the client."""

    def __init__(self, witness: Witness, thread: DiskThread) -> None:
        self._witness = witness
        self._thread = thread
        self._waiting = 0
        self._state = LoggedState(log, fails="witness.disk_failed", works="witness.disk_works")

    @property
    def problem(self) -> str | None:
        """Why nothing is signed at present, or None."""
        return self._state.reason

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.post(f"{PREFIX}/add-checkpoint", self._add_checkpoint, name="add_checkpoint"),
            web.get(
                PREFIX + "/{origin_hash:[0-9a-f]{64}}/checkpoint",
                self._checkpoint,
                name="checkpoint",
            ),
        ]

    async def _add_checkpoint(self, request: web.Request) -> web.Response:
        body = await _body_of(request)
        try:
            cosignature = await self._in_thread(lambda: self._witness.add_checkpoint(body))
        except OtherSizeError as error:
            return text_response(size_text(error.size), SIZE_TYPE, error.status)
        except ContradictoryCheckpointError as error:
            log.error("witness.checkpoint_contradicts", reason=str(error), body=body.decode())
            raise
        return text_response(str(cosignature))

    async def _checkpoint(self, request: web.Request) -> web.Response:
        origin_hash = request.match_info["origin_hash"]
        note = await self._in_thread(lambda: self._witness.folder.by_hash(origin_hash))
        if note is None:
            raise NotFoundError("The witness has signed no checkpoint of this log")
        return text_response(str(note))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= MOST_WAITING:
            raise NotNowError("The witness waits for its disk")
        self._waiting += 1
        future = self._thread.submit(work)
        # Not in a `finally`: a client that leaves does not take its work out of the thread.
        future.add_done_callback(self._done)
        try:
            result = await asyncio.shield(future)
        except (OSError, SealFormatError, WitnessFolderError) as error:
            self._state.note(f"the witness signs nothing: {error}")
            raise NotNowError("The witness cannot use its folder") from None
        self._state.note(None)
        return result

    async def open(self) -> None:
        """Make the key at the first start and log it. If that fails, each request tries again."""
        with suppress(NotNowError):
            key = await self._in_thread(self._witness.folder.open)
            log.info("witness.opened", vkey=str(key.verifier))

    def _done(self, future: "asyncio.Future[Result]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            _ = future.exception()


async def _body_of(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise BodyTimedOutError("The body of the request does not come") from None
    if len(body) > MAX_BYTES:
        raise MalformedCheckpointError(f"A request has at most {MAX_BYTES} bytes")
    return body


@asynccontextmanager
async def witnessing(folder: Path, logs: TrustedLogs) -> AsyncIterator[WitnessRoutes]:
    """Yield the routes of the witness whose key and memory are in *folder*."""
    witness = Witness(logs, WitnessFolder(folder), time.time)
    thread = DiskThread("witness")
    try:
        routes = WitnessRoutes(witness, thread)
        # Not awaited: a disk that hangs holds up no question.
        opening = asyncio.create_task(routes.open(), name="witness-opens")
        try:
            yield routes
        finally:
            opening.cancel()
            with suppress(asyncio.CancelledError):
                await opening
    finally:
        _ = thread.submit(witness.folder.close)
        thread.end()
