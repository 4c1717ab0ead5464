"""Certificates that change under a listener, and files that go at the wrong moment."""

from pathlib import PosixPath

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from audit_log.process.background import BackgroundTasks
from audit_log.process.settings import AuditLogSettings
from audit_log.process.tls import KEPT, KeyPair, ListenerTls, TlsFilesError, server_context
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.patience import eventually


class ReadOnce(PosixPath):
    """A file that is gone as soon as somebody has read it."""

    def read_text(self, *arguments, **options):
        text = super().read_text(*arguments, **options)
        self.unlink()
        return text


class Broken(KeyPair):
    """A pair whose files cannot be looked at any more, for a reason that nobody thought of."""

    @property
    def stamp(self):
        raise RuntimeError("a defect")


def test_a_file_that_goes_between_two_looks_is_named(tmp_path):
    pair = key_pair_of(LOOPBACK, tmp_path)

    with pytest.raises(TlsFilesError, match="cannot be read: No such file"):
        server_context(KeyPair(ReadOnce(pair.certificate), pair.key))


async def test_what_is_wrong_with_new_files_is_a_problem_until_they_are_mended(tmp_path):
    pair = key_pair_of(LOOPBACK, tmp_path)
    tls = ListenerTls(pair)

    async def is_kept():
        return tls.problem == KEPT

    async def is_well():
        return tls.problem is None

    async with tls.following(BackgroundTasks()):
        pair.key.write_text("torn")
        assert await eventually(is_kept)
        key_pair_of(LOOPBACK, tmp_path)
        assert await eventually(is_well)


async def test_that_the_files_cannot_be_followed_is_a_problem(tmp_path):
    pair = key_pair_of(LOOPBACK, tmp_path)
    tls = ListenerTls(pair)
    tls._pair = Broken(pair.certificate, pair.key)

    tasks = BackgroundTasks()

    async def is_noticed():
        return "tls-files has failed" in "".join(tasks.problems)

    async with tls.following(tasks):
        assert await eventually(is_noticed)


def test_the_url_of_a_database_may_hold_the_password_of_a_key(tmp_path):
    pair = key_pair_of(LOOPBACK, tmp_path)
    key = load_pem_private_key(pair.key.read_bytes(), None)
    locked = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hidden")
    )
    pair.key.write_bytes(locked)
    url = f"postgresql://a@b/c?sslcert={pair.certificate}&sslkey={pair.key}"

    AuditLogSettings(database_url=f"{url}&sslpassword=hidden")
    with pytest.raises(ValidationError, match="cannot be used"):
        AuditLogSettings(database_url=f"{url}&sslpassword=wrong")
    with pytest.raises(ValidationError, match="sslrootcert=system is not supported"):
        AuditLogSettings(database_url="postgresql://a@b/c?sslrootcert=system")
