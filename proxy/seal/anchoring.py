"""Brings the checkpoints of this sidecar to its anchors, and their receipts into the store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.seal.stored import SealReceipt
from proxy.seal.anchors.anchor import AnchorAwayError, Offer, Receipt
from proxy.seal.anchors.anchors import Anchors
from proxy.seal.anchors.opening import make_anchors
from proxy.seal.checkpoints import Published
from proxy.seal.proving import Prover, Tiles
from proxy.seal.seal import Seal, SealStore

_RETRY_SECONDS: Final = 5.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def offering(anchors: Anchors, tiles: Tiles, seal: Seal) -> Callable[[Published], None]:
    """Return what offers the checkpoints of *seal* to *anchors*, with proofs by its *tiles*."""
    prover = Prover(seal, tiles)

    def offer(published: Published) -> None:
        async def prove(old_size: int) -> Sequence[bytes]:
            try:
                return await prover.prove(published.state, old_size)
            except StoreUnavailableError as error:
                raise AnchorAwayError(f"the growth cannot be proved now: {error}") from None

        anchors.offer(Offer(published.log, published.checkpoint, published.note, prove))

    return offer


@asynccontextmanager
async def anchoring(
    urls: str | None, journal_dir: Path, store: SealStore
) -> AsyncIterator[Anchors]:
    """Yield the anchors of the setting *urls*; their receipts go into *store*."""

    async def keep(receipt: Receipt) -> None:
        await _keep(store, receipt)

    anchors = make_anchors(urls, journal_dir, keep)
    async with anchors.running():
        yield anchors


def say_where_anchored(urls: str | None) -> None:
    """Warn of the default, once a start: it is no seal against the machine's owner."""
    if urls is None:
        log.warning(
            "seal.anchored_beside_the_journal",
            reason="checkpoints are kept in the journal's volume only, so the owner of this "
            "machine and the database can still rewrite both; name another place in "
            "PROXY_SEAL_ANCHORS",
        )


async def _keep(store: SealStore, receipt: Receipt) -> None:
    part = SealReceipt(
        receipt.log, receipt.size, receipt.anchor, receipt.receipt, receipt.anchored_at
    )
    while True:
        try:
            await store.append_sealed([part])
        except StoreUnavailableError:
            await asyncio.sleep(_RETRY_SECONDS)  # the writer says so
        except RecordRefusedError as error:
            log.error("anchor.receipt_refused", anchor=receipt.anchor, reason=str(error))
            return
        else:
            return
