"""Checkpoints that are kept elsewhere."""

import http.server
import socket
import threading

import pytest

from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.keys import SignerKey
from audit_log.verify.evidence.anchored import (
    AnchorUnreadableError,
    notes_in,
    read_anchor,
)

KEY = SignerKey.new("podwarden-audit/a%20b/0123")


def note(size: int) -> str:
    return str(sign_checkpoint(Checkpoint(KEY.verifier.name, size, bytes(32)), KEY))


@pytest.mark.parametrize(
    "text",
    [
        note(1) + note(2),
        note(1) + "\n" + note(2),
        f"first:\n{note(1)}\nlater:\n\n{note(2)}\n\n",
        (note(1) + note(2)).replace("\n", "\r\n"),
        note(1) + "podwarden-audit/torn\n3\n" + note(2).rstrip("\n"),
    ],
)
def test_notes_are_found_whatever_stands_between_them(text):
    assert [str(found) for found in notes_in(text)] == [note(1), note(2)]


def test_what_is_no_note_is_no_note():
    assert list(notes_in("a\n1\nb\n\n— c d\n" + note(1)[:-30])) == []


def test_a_folder_is_read_with_its_folders(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "note").write_text(note(1))
    (tmp_path / "other").write_text("nothing")

    [found] = read_anchor(str(tmp_path))
    [same] = read_anchor(f"file://{tmp_path}")

    assert (str(found.note), found.source) == (note(1), str(tmp_path / "one" / "note"))
    assert (same.source, found.at is None) == (found.source, False)


def test_a_folder_without_a_checkpoint_is_an_error(tmp_path):
    with pytest.raises(AnchorUnreadableError, match="holds no checkpoint"):
        read_anchor(str(tmp_path))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://127.0.0.1/a b", "cannot be read: URL can't contain control characters"),
        ("http://127.0.0.1:1/", "cannot be read: "),
        ("", "an anchor without a name"),
    ],
)
def test_what_is_no_address_is_an_error(place, said):
    with pytest.raises(AnchorUnreadableError, match=said):
        read_anchor(place)


def test_an_answer_that_ends_too_early_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n1")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AnchorUnreadableError, match="cannot be read: "):
            read_anchor(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()


def test_a_url_is_read_with_its_time():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Last-Modified", "Sun, 29 Nov 2026 01:02:03 GMT")
            self.end_headers()
            self.wfile.write(note(7).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        [found] = read_anchor(f"http://127.0.0.1:{server.server_port}/checkpoint")
        thread.join()

    assert str(found.note) == note(7)
    assert f"{found.at}" == "2026-11-29 01:02:03+00:00"
