"""Names of tokens: asked for together, remembered, and not waited for without end."""

import pytest

from audit_log.errors import StoreUnavailableError
from audit_log.naming import PATIENCE_SECONDS, TOGETHER, Naming
from audit_log.record import new_record_id
from audit_log.tokens import Token
from tests.neighbours.journal import a_record

TOKEN = Token(id=new_record_id(), name="ci deploy")


class Tokens:
    """Knows the token `ci`; has rows that cannot be read; may be away."""

    def __init__(self):
        self.asked = []
        self.unreadable = set()
        self.is_away = False

    async def find_together(self, hashes):
        self.asked.append(list(hashes))
        if self.is_away:
            raise StoreUnavailableError("away")
        known = {key: TOKEN if key == "ci" else None for key in hashes}
        return {key: token for key, token in known.items() if key not in self.unreadable}


@pytest.fixture
def tokens():
    return Tokens()


@pytest.fixture
def naming(tokens):
    return Naming(tokens.find_together)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

    monkeypatch.setattr("audit_log.naming.monotonic", lambda: Clock.now)
    return Clock


def unnamed(*hashes):
    return [a_record(token_name=None, token_hash=token_hash) for token_hash in hashes]


async def names(naming, *hashes):
    return [record.token_name for record in await naming.named(unnamed(*hashes))]


async def test_many_names_are_asked_for_together_and_each_once(naming, tokens):
    invented = [f"{number:08}" for number in range(TOGETHER)]

    [*unknown, known, again] = await names(naming, *invented, "ci", "ci")

    assert unknown == [f"Unknown token ({key})" for key in invented]
    assert (known, again) == ("ci deploy", "ci deploy")
    assert tokens.asked == [invented, ["ci"]]


async def test_names_are_remembered_for_a_while(naming, tokens, clock):
    await names(naming, "ci", "none")
    clock.now = 29.0
    assert await names(naming, "ci", "none") == ["ci deploy", "Unknown token (none)"]
    assert len(tokens.asked) == 1

    clock.now = 31.0
    await names(naming, "ci", "none")
    assert len(tokens.asked) == 2


async def test_patience_with_a_database_that_stays_away_ends_once_for_all_tokens(
    naming, tokens, clock
):
    tokens.is_away = True
    with pytest.raises(StoreUnavailableError, match="away"):
        await names(naming, "a")
    clock.now = PATIENCE_SECONDS
    assert await names(naming, "a") == ["Unknown token (a)"]
    assert await names(naming, "b") == ["Unknown token (b)"]

    tokens.is_away = False
    assert await names(naming, "ci") == ["ci deploy"]
    tokens.is_away = True
    with pytest.raises(StoreUnavailableError, match="away"):
        await names(naming, "c")


async def test_a_token_that_cannot_be_read_holds_up_the_others_no_longer_than_patience(
    naming, tokens, clock
):
    tokens.unreadable = {"odd"}
    with pytest.raises(StoreUnavailableError, match="no token"):
        await names(naming, "odd", "ci")
    clock.now = PATIENCE_SECONDS
    assert await names(naming, "odd", "ci") == ["Unknown token (odd)", "ci deploy"]
