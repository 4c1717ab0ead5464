"""`tail`: the newest entries, oldest first; with `--follow` those that arrive, through outages."""

import argparse
from contextlib import ExitStack, aclosing
from time import monotonic
from typing import Any, Final

import msgspec

from audit_api.client.audit_client import AuditClient
from audit_api.client.refusals import NotAllowedError, OutOfReachError
from audit_api.client.server_events import ServerEvent
from audit_api.client.shapes import Gap
from audit_api.terminal.columns import ENTRIES, TOOL_CALLS, Listing
from audit_api.terminal.listing import remark_gap
from audit_api.terminal.patience import Patience
from audit_api.terminal.screen import Screen, while_read
from audit_log.process.mark_file import Kept, MarkFile, marks_in

_KEEP_SECONDS: Final = 1.0
"""How often the mark is kept at most: it costs a sync of the disk."""
_NOTICES: Final = {
    "too_slow": "this terminal is slower than the log; going on where it was",
    "incomplete": "the stream would leave entries out now",
}


async def tail(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show the newest entries; follow if *options* say so."""
    with ExitStack() as stack:
        marks = stack.enter_context(marks_in(options.mark_file)) if options.mark_file else None
        kept = marks.read() if marks is not None else None
        following = _Following(client, screen, options, marks)
        if not options.follow:
            await following.show_newest()
        else:
            async with while_read():
                await following.follow(kept.mark if kept else None)


class _Following:
    """One tail: what it has shown, and where it goes on."""

    def __init__(
        self,
        client: AuditClient,
        screen: Screen,
        options: argparse.Namespace,
        marks: MarkFile | None,
    ) -> None:
        self._client = client
        self._screen = screen
        self._options = options
        self._marks = marks
        self._patience = Patience(screen)
        self._mark: str | None = None
        self._kept_at = monotonic()
        self._shown: set[bytes] = set()
        """The newest, as they were written: the stream may send them again."""
        self._listing: Listing[Any] = TOOL_CALLS if options.tool_calls else ENTRIES

    async def show_newest(self) -> None:
        """Show the newest entries, oldest first."""
        wanted = dict(self._options.filters)
        if self._listing is ENTRIES:
            wanted["expand"] = "details"
        pages = self._client.pages(self._listing.path, wanted, msgspec.Raw, self._options.lines)
        newest = [bytes(item) async for page in pages for item in page]
        if not self._options.json:
            self._screen.titles(self._listing.columns)
        for item in reversed(newest):
            self._show(item)

    async def follow(self, mark: str | None) -> None:
        """Show what arrives after *mark*, or after the newest entries, for ever."""
        self._mark = mark
        is_first = True
        if mark is not None and not self._options.json:
            self._screen.titles(self._listing.columns)
        while True:
            error = OutOfReachError("the stream has ended")
            try:
                stream = self._client.follow(self._options.filters, self._mark, self._listing.path)
                async with aclosing(stream) as events:
                    async for event in events:
                        self._patience.succeeded()
                        if is_first and mark is None:
                            # Only now: what arrives from here on comes through the stream.
                            await self.show_newest()
                        is_first = False
                        self._take(event)
            except OutOfReachError as away:
                error = away
            finally:
                self._keep()
            if not self._patience.has_succeeded:
                raise error
            await self._patience.wait(error)

    def _take(self, event: ServerEvent) -> None:
        if event.kind in {"entry", "tool_call"}:
            self._show(event.data)
        elif event.kind == "gap":
            remark_gap(self._screen, msgspec.json.decode(event.data, type=Gap))
        elif event.kind:
            self._hear(event.kind, msgspec.json.decode(event.data, type=dict[str, Any]))
        if event.mark is not None:
            self._mark = event.mark
            if monotonic() - self._kept_at >= _KEEP_SECONDS:
                self._keep()

    def _hear(self, kind: str, told: dict[str, Any]) -> None:
        reason = str(told.get("reason"))
        if kind == "waiting":
            self._screen.remark(f"the stream waits: {reason}")
        elif kind == "resumed":
            self._screen.remark("the stream goes on")
        elif reason == "not_allowed":
            raise NotAllowedError("the token may no longer read the audit log")
        else:
            self._screen.remark(_NOTICES.get(reason, reason))

    def _show(self, item: bytes) -> None:
        if item in self._shown:
            self._shown.discard(item)
            return
        if self._mark is None:
            self._shown.add(item)
        if self._options.json:
            self._screen.line(item.decode())
            return
        listing = self._listing
        told = msgspec.json.decode(item, type=listing.shape)
        self._screen.rows(listing.columns, [listing.row(told, self._screen.moment)])

    def _keep(self) -> None:
        if self._marks is not None and self._mark is not None:
            self._marks.keep(Kept(self._mark))
            self._kept_at = monotonic()
