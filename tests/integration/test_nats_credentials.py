"""Signing in to NATS with a `.creds` file, and what is said of one that is none."""

import pytest

from audit_log.errors import CredentialsFileError, StoreUnavailableError
from audit_log.nats.credentials import read_credentials
from audit_log.nats.jetstream import open_jetstream
from audit_log.process.settings import NatsSettings
from tests.neighbours.audit_log_command import audit_log
from tests.neighbours.nats_accounts import credentials_of_a_user
from tests.neighbours.nats_server import running_nats
from tests.neighbours.patience import eventually


async def test_a_server_that_knows_its_users_by_their_jwts_lets_us_in(tmp_path):
    ours, strangers = tmp_path / "ours.creds", tmp_path / "strangers.creds"
    credentials_of_a_user(strangers)
    with running_nats(credentials_of_a_user(ours)) as nats:

        async def said_to(file, **changes):
            settings = NatsSettings(urls=nats.url, credentials_file=file, replicas=1, **changes)
            async with open_jetstream(settings) as jetstream:
                try:
                    await jetstream.reach()
                except StoreUnavailableError as error:
                    return str(error)
            return "welcome"

        async def are_let_in():
            return await said_to(ours) == "welcome"

        assert await eventually(are_let_in)
        assert "uthorization" in await said_to(strangers)
        assert "uthorization" in await said_to(None)
        # Files may go while a process runs.
        missing = tmp_path / "missing"
        assert f"{missing} cannot be read" in await said_to(missing)
        assert f"{missing} cannot be read" in await said_to(ours, ca_file=missing)


def changed(text, part, place):
    """Return *text* with another character at *place* of what follows *part*."""
    at = text.index(part) + len(part) + 1 + place
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


@pytest.mark.parametrize("place", [0, 1, 5, 56])
def test_a_seed_that_was_copied_wrongly_is_noticed(tmp_path, place):
    file = tmp_path / "audit.creds"
    credentials_of_a_user(file)
    file.write_text(changed(file.read_text(), "BEGIN USER NKEY SEED-----", place))

    with pytest.raises(CredentialsFileError) as said:
        read_credentials(file)

    assert str(said.value) == f"{file} does not hold the JWT and the seed of a NATS user"


@pytest.mark.parametrize("setting", ["AUDIT_LOG_NATS_CREDENTIALS_FILE", "AUDIT_LOG_NATS_CA_FILE"])
@pytest.mark.parametrize("content", [None, b"", b"\xff nonsense"])
def test_a_bad_file_stops_the_start_with_one_line_that_names_it(tmp_path, setting, content):
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)

    code, said, complaint = audit_log(
        "postgresql://nobody@127.0.0.1:1/none",
        "ingest",
        AUDIT_LOG_NATS_URLS="nats://127.0.0.1:1",
        **{setting: str(file)},
    )

    assert (code, said) == (78, "")
    assert complaint.startswith(f"{setting}: {file} ")
    assert complaint.count("\n") == 1
