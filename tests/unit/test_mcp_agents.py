"""Who calls a tool: read from heads and messages, and remembered by session."""

import mmap
from time import monotonic
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec.structs import replace

from proxy.mcp.agents.agent import (
    MAX_NAME_CHARACTERS,
    MAX_VERSION_CHARACTERS,
    UNKNOWN_CLIENT,
    Agent,
    Client,
    agent_of,
    client_in_meta,
    introduced_by,
    session_id,
)
from proxy.mcp.agents.claims import (
    MAX_CLAIM_BYTES,
    MAX_CLAIM_CHARACTERS,
    MAX_CLAIMS,
    NO_CLAIMS,
    Claims,
)
from proxy.mcp.agents.session_clients import BUCKETS, SIZE_BYTES, SLOT_BYTES, WAYS, SessionClients
from tests.unit.heads import head_with

META = ("params", "_meta")
CLIENT = (*META, "io.modelcontextprotocol/clientInfo")
LEGACY = {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": "s1", "User-Agent": "agent/1"}


def test_a_head_tells_session_version_and_user_agent():
    assert agent_of(head_with(**LEGACY), "anna") == Agent(
        session_id("anna", b"s1"), "agent/1", "2025-11-25"
    )
    assert agent_of(head_with(), "anna") == Agent()


def test_from_2026_07_28_on_there_is_no_session_whatever_the_client_sends():
    head = head_with(**{**LEGACY, "MCP-Protocol-Version": "2026-07-28"})
    assert agent_of(head, "anna") == Agent(None, "agent/1", "2026-07-28")


@pytest.mark.parametrize("version", ["x", "draft", "2026-07-28x", "9"])
def test_what_is_no_date_is_no_later_version(version):
    head = head_with(**{**LEGACY, "MCP-Protocol-Version": version})
    assert agent_of(head, "anna").session == session_id("anna", b"s1")


def test_a_session_is_recorded_under_an_id_of_its_token_that_does_not_give_it_away():
    ids = {session_id(key, session) for key in ("anna", "bob") for session in (b"s1", b"s2")}
    assert len(ids) == 4
    assert session_id("anna", b"s1") in ids
    assert not any("s1" in str(each) for each in ids)


def test_what_a_client_says_is_printable_and_bounded():
    head = head_with(**{"User-Agent": "\xff" * 1_000, "MCP-Protocol-Version": "1" * 1_000})
    agent = agent_of(head, "anna")
    assert agent.user_agent == ("%FF" * 1_000)[:256]
    assert agent.protocol_version == "1" * MAX_VERSION_CHARACTERS

    long = "\x1b" * 1_000
    client = client_in_meta({(*CLIENT, "name"): long, (*CLIENT, "version"): long})
    assert client == Client(
        ("%1B" * 1_000)[:MAX_NAME_CHARACTERS], ("%1B" * 1_000)[:MAX_VERSION_CHARACTERS]
    )


def test_a_client_introduces_itself_in_initialize():
    values = {
        ("method",): "initialize",
        ("params", "protocolVersion"): "2025-11-25",
        ("params", "clientInfo", "name"): "claude-code",
        ("params", "clientInfo", "version"): "2.1",
    }
    # The version that is spoken is in the response: the client only proposes one.
    assert introduced_by(values) == Client("claude-code", "2.1")
    assert introduced_by({("method",): "initialize"}) == UNKNOWN_CLIENT
    assert introduced_by({**values, ("method",): "tools/call"}) is None


@pytest.mark.parametrize("name", ["", 7, None, True])
def test_a_client_without_a_name_is_named_nothing(name):
    assert client_in_meta({(*CLIENT, "name"): name}) is None


def test_each_modern_request_says_who_its_client_is():
    values = {
        (*META, "io.modelcontextprotocol/protocolVersion"): "2026-07-28",
        (*CLIENT, "name"): "claude-code",
    }
    assert client_in_meta(values) == Client("claude-code", None, "2026-07-28")
    assert client_in_meta({}) is None


def test_the_version_in_the_head_counts_before_that_of_the_message():
    introduced = Client("a", "1", "2025-06-18")
    assert Agent(protocol_version="2025-11-25").introduced_as(introduced) == Agent(
        None, None, "2025-11-25", "a", "1"
    )
    assert Agent().introduced_as(introduced).protocol_version == "2025-06-18"


@pytest.fixture
def clients():
    return SessionClients()


def test_the_client_of_a_session_is_known_to_all_workers():
    memory = mmap.mmap(-1, SIZE_BYTES)
    here, there = SessionClients(memory), SessionClients(memory)
    session = uuid4()
    version = "😀" * MAX_VERSION_CHARACTERS
    longest = Client("😀" * MAX_NAME_CHARACTERS, version, version)
    here.note(session, longest)
    assert there.client_of(session) == longest
    there.note(session, Client("a", "2"))
    assert here.client_of(session) == Client("a", "2")
    assert here.client_of(uuid4()) == there.client_of(None) == UNKNOWN_CLIENT


def test_how_long_a_session_was_open_is_told_once_by_whichever_worker_sees_its_end():
    memory = mmap.mmap(-1, SIZE_BYTES)
    here, there = SessionClients(memory), SessionClients(memory)
    session, client = uuid4(), Client("a", "1")
    begun = monotonic()
    here.note(session, client)
    noted = monotonic()
    here.note(session, replace(client, protocol_version="2025-11-25"))
    ending = monotonic()

    ended = there.end(session)
    assert ended is not None
    seconds, spoken = ended
    assert ending - noted <= seconds <= monotonic() - begun
    assert spoken.protocol_version == "2025-11-25"
    assert here.end(session) is there.end(uuid4()) is None
    assert here.client_of(session) == spoken, "a call that comes late is still its client's"


def _of_one_bucket(count):
    return [UUID(int=number << 96 | number) for number in range(0, count * BUCKETS, BUCKETS)]


def test_the_session_that_was_used_the_longest_ago_makes_room(clients):
    first, second, *others, last = _of_one_bucket(WAYS + 1)
    for session in (first, second, *others):
        clients.note(session, Client(str(session)))
    assert clients.client_of(first) == Client(str(first))
    clients.note(last, Client("last"))

    assert clients.client_of(second) == UNKNOWN_CLIENT
    assert clients.client_of(last) == Client("last")
    assert all(clients.client_of(each) == Client(str(each)) for each in (first, *others))


def test_the_longest_text_of_a_client_stays_within_its_slot(clients):
    version = "😀" * MAX_VERSION_CHARACTERS
    longest = Client("😀" * MAX_NAME_CHARACTERS, version, version)
    last_bucket = [
        UUID(int=(BUCKETS - 1 + number) << 96 | number)
        for number in range(0, WAYS * BUCKETS, BUCKETS)
    ]
    for session in last_bucket:
        clients.note(session, longest)
    assert all(clients.client_of(session) == longest for session in last_bucket)


def test_what_two_writers_have_torn_is_not_believed():
    memory = mmap.mmap(-1, SIZE_BYTES)
    clients = SessionClients(memory)
    session = UUID(int=7)
    clients.note(session, Client("claude-code"))
    for at in range(SLOT_BYTES):
        if 8 <= at < 16:
            continue  # when it was used
        kept = memory[at]
        memory[at] = kept ^ 0xFF
        assert clients.client_of(session) in {UNKNOWN_CLIENT, Client("claude-code")}
        memory[at] = kept
    assert clients.client_of(session) == Client("claude-code")


META_NAMES = ("com.example/user", "run")


def meta(**values):
    return {("params", "_meta", name.replace("__", "/")): value for name, value in values.items()}


def test_claims_are_the_texts_and_numbers_that_the_operator_has_named():
    claims = Claims(META_NAMES)
    assert claims.paths == {("params", "_meta", name) for name in META_NAMES}
    said = {("params", "_meta", "com.example/user"): "anna\x1b", **meta(run=7, secret="s")}
    assert claims.of(said) == {"com.example/user": "anna%1B", "run": 7}
    assert claims.of(meta(other="x")) is NO_CLAIMS.of(said) is None


@pytest.mark.parametrize("value", [True, False, None, float("nan"), float("inf"), 2**53, -1e300])
def test_what_is_neither_text_nor_a_number_that_json_keeps_is_no_claim(value):
    assert Claims(META_NAMES).of(meta(run=value)) is None


def test_claims_are_bounded_in_number_and_bytes():
    names = [f"n{number}" for number in range(MAX_CLAIMS)]
    said = meta(**dict.fromkeys(names, "\U0001f600" * 10_000))
    claims = Claims(names).of({**said, **meta(n7="short")})
    assert claims is not None
    assert claims["n0"] == "\U0001f600" * MAX_CLAIM_CHARACTERS
    # The first ones have filled the room; a short one still finds some.
    assert list(claims) == ["n0", "n7"]
    assert len(msgspec.json.encode(claims)) <= MAX_CLAIM_BYTES
