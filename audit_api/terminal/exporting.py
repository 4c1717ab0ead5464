"""`export`: all that matches as a file; with a mark, what has come since the run before."""

import argparse
import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from audit_api.client.audit_client import TOOL_CALLS, AuditClient
from audit_api.client.refusals import OutOfReachError
from audit_api.terminal.listing import remark_gaps
from audit_api.terminal.patience import Patience
from audit_api.terminal.progress import Progress, progress
from audit_api.terminal.screen import Screen, to_output, while_read
from audit_log.process.mark_file import Kept, MarkFile, marks_in

_LOOK_SECONDS: Final = 2.0
"""How often `--follow` asks for what has come."""


async def export(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Write what matches to standard output, or to a file; go on from a mark if one is kept."""
    with progress(screen, is_wanted=bool(options.output) or screen.width is None) as done:
        if options.mark_file is None:
            await _whole(client, options, done)
        else:
            with marks_in(options.mark_file) as marks:
                async with while_read():
                    await _parts(client, screen, options, marks, done)
    if options.mark_file is None:
        await remark_gaps(client, screen, options.filters)


async def _whole(client: AuditClient, options: argparse.Namespace, done: Progress) -> None:
    wanted = {"format": options.format, **options.filters}
    of = TOOL_CALLS if options.tool_calls else ""
    async with client.export(wanted, of) as exported:
        with _whole_file(options.output) as write:
            async for piece in exported.pieces:
                write(piece)
                done.add(piece)


async def _parts(
    client: AuditClient,
    screen: Screen,
    options: argparse.Namespace,
    marks: MarkFile,
    done: Progress,
) -> None:
    """Write part after part, each before its mark is kept: a kill repeats one, and loses none."""
    kept = marks.read()
    output = _Appended(options.output, kept, screen) if options.output else _Piped(kept)
    patience, mark = Patience(screen), kept.mark if kept else None
    wanted = {"format": options.format, **options.filters}
    of = TOOL_CALLS if options.tool_calls else ""
    if (state := output.write(b"")) is not None:
        marks.keep(Kept(mark, state))  # what is in the file by now is no part that did not end
    while True:
        try:
            part = await client.part(wanted, mark, options.part, of)
        except OutOfReachError as error:
            if not options.follow or not patience.has_succeeded:
                raise
            await patience.wait(error)
            continue
        patience.succeeded()
        body = part.body if output.is_empty else _without_titles(part.body, options.format)
        state = output.write(body)
        marks.keep(Kept(part.mark, state))
        done.add(body)
        mark = part.mark
        if part.has_more:
            continue
        if not options.follow:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _without_titles(body: bytes, format_: str) -> bytes:
    return body.partition(b"\n")[2] if format_ == "csv" else body


class _Piped:
    """Standard output. What was written to it cannot be taken back."""

    def __init__(self, kept: Kept | None) -> None:
        self.is_empty = kept is None or kept.mark is None

    def write(self, piece: bytes) -> None:
        """Write *piece*; raise OSError if the reader is gone."""
        if piece:
            to_output(piece)
            self.is_empty = False


class _Appended:
    """A file that grows, and that may be rotated between two parts."""

    def __init__(self, path: Path, kept: Kept | None, screen: Screen) -> None:
        self._path = path
        self._cut(kept, screen)

    @property
    def is_empty(self) -> bool:
        """Whether the file begins with the next piece."""
        return not self._path.exists() or self._path.stat().st_size == 0

    def write(self, piece: bytes) -> tuple[int, int]:
        """Append *piece*, on disk when this returns; return the file's inode and size."""
        with self._path.open("ab") as written:
            written.write(piece)
            written.flush()
            os.fsync(written.fileno())
            status = os.fstat(written.fileno())
        return status.st_ino, status.st_size

    def _cut(self, kept: Kept | None, screen: Screen) -> None:
        """Remove what a run wrote before it was killed and that no mark covers."""
        if kept is None or kept.output is None or not self._path.exists():
            return
        inode, size = kept.output
        status = self._path.stat()
        if status.st_ino == inode and status.st_size > size:
            os.truncate(self._path, size)
            screen.remark(f"removed {status.st_size - size:,} bytes of a part that did not end")


@contextmanager
def _whole_file(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes to *path*, which appears when the block has ended; None is the output."""
    if path is None:
        yield to_output
        return
    if path.exists() and not path.is_file():  # a device or a pipe: it must not be replaced
        with path.open("wb") as file:
            yield file.write
        return
    beside = path.with_name(f".{path.name}.partial")
    try:
        with beside.open("wb") as written:
            yield written.write
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
