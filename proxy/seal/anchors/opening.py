"""Makes the anchors that the setting names."""

from pathlib import Path
from typing import Final

from proxy.seal.anchors.anchor import Anchor
from proxy.seal.anchors.anchor_url import AnchorUrl, read_urls
from proxy.seal.anchors.anchors import Anchors, AnchorTask, Keep
from proxy.seal.anchors.file_anchor import FileAnchor
from proxy.seal.anchors.https_anchor import HttpsAnchor
from proxy.seal.anchors.s3_anchor import S3Anchor
from proxy.seal.anchors.syslog_anchor import SyslogAnchor
from proxy.seal.anchors.timestamp_anchor import TimestampAnchor
from proxy.seal.anchors.witness_anchor import WitnessAnchor

DEFAULT_FOLDER: Final = "anchors"
"""In the journal folder: where checkpoints go when no anchor is set."""


def check_anchors(text: str) -> None:
    """Raise ValueError, in one line, when *text* does not name anchors that can be made."""
    for number, url in enumerate(read_urls(text), start=1):
        try:
            _ = _anchor(url)
        except ValueError as error:
            raise ValueError(f"anchor {number}: {error}") from None


def make_anchors(text: str | None, journal_dir: Path, keep: Keep) -> Anchors:
    """Return the anchors that *text* names; a folder in *journal_dir* if it is None.

    Each receipt is given to *keep*. Nothing is opened before `Anchors.running`.
    """
    if text is None:
        text = (journal_dir / DEFAULT_FOLDER).resolve().as_uri()
    urls = read_urls(text)
    return Anchors([AnchorTask(_anchor(url), url.name, url.every_seconds, keep) for url in urls])


def _anchor(url: AnchorUrl) -> Anchor:
    match url.scheme:
        case "file":
            return FileAnchor(Path(url.place.path))
        case "https":
            return HttpsAnchor(url)
        case "witness+https" | "witness+http":
            return WitnessAnchor(url)
        case "s3":
            return S3Anchor(url)
        case "tsa+https" | "tsa+http":
            return TimestampAnchor(url)
        case _:
            return SyslogAnchor(url)
