from uuid import uuid4

import pytest

from audit_log.tokens import Token
from proxy.tokens.memory import MISSING, TokenMemory

TOKEN = Token(id=uuid4(), name="ci")
RENAMED = Token(id=TOKEN.id, name="deploy")


@pytest.fixture
def memory():
    return TokenMemory(max_known=2, max_unknown=2, unknown_seconds=5)


@pytest.fixture
def roomy():
    return TokenMemory(max_known=10, max_unknown=10, unknown_seconds=5)


def test_nothing_is_known_at_first(memory):
    assert memory.recall("a", now=0) is MISSING


def test_a_known_token_stays_known_however_old_the_answer(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)

    assert memory.recall("a", now=1e9) == TOKEN


def test_an_unknown_token_is_only_unknown_for_a_while(memory):
    memory.learn("a", None, asked_at=0, now=0)

    assert memory.recall("a", now=4.9) is None
    assert memory.recall("a", now=5) is MISSING


def test_a_token_that_disappeared_is_unknown(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)
    memory.learn("a", None, asked_at=1, now=1)

    assert memory.recall("a", now=2) is None


def test_a_slow_answer_does_not_replace_a_later_one(memory):
    memory.learn("a", RENAMED, asked_at=2, now=3)
    memory.learn("a", TOKEN, asked_at=1, now=4)

    assert memory.recall("a", now=5) == RENAMED


def test_the_least_recently_used_gives_way(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)
    memory.learn("b", TOKEN, asked_at=0, now=0)
    memory.recall("a", now=1)
    memory.learn("c", TOKEN, asked_at=2, now=2)

    assert memory.recall("a", now=3) == TOKEN
    assert memory.recall("b", now=3) is MISSING


def test_unknown_tokens_never_push_out_known_ones(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)
    for number in range(10):
        memory.learn(f"invented {number}", None, asked_at=0, now=0)

    assert memory.recall("a", now=1) == TOKEN
    assert len(memory) == 3


def test_to_be_asked_for_again_is_not_a_use(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)
    memory.learn("b", TOKEN, asked_at=0, now=1)
    memory.learn("a", RENAMED, asked_at=50, now=50)

    assert memory.used_since(0, ["a"]) == ["a"]
    assert memory.used_since(1, ["a"]) == []
    memory.learn("c", TOKEN, asked_at=51, now=51)
    assert memory.recall("a", now=52) is MISSING
    assert memory.recall("b", now=52) == TOKEN


def test_tokens_out_of_use_are_forgotten(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)
    memory.learn("b", TOKEN, asked_at=0, now=0)
    memory.recall("b", now=10)

    memory.forget_unused_since(10, ["a", "b", "never seen"])

    assert memory.recall("a", now=11) is MISSING
    assert memory.recall("b", now=11) == TOKEN


def test_everyone_has_a_turn_in_pieces_and_who_waits_longest_is_first(roomy):
    for name in "abcde":
        roomy.learn(name, TOKEN, asked_at=0, now=0)

    interrupted = roomy.turns(lambda: 2)
    assert next(interrupted) == ["a", "b"]

    assert list(roomy.turns(lambda: 2)) == [["c", "d"], ["e", "a"], ["b"]]


def test_who_is_learned_or_forgotten_between_two_turns_does_not_disturb_them(roomy):
    for name in "abcd":
        roomy.learn(name, TOKEN, asked_at=0, now=0)
    turns = roomy.turns(lambda: 1)
    assert next(turns) == ["a"]

    roomy.learn("b", None, asked_at=1, now=1)
    roomy.forget_unused_since(1, ["c"])
    roomy.learn("c", TOKEN, asked_at=2, now=2)

    assert list(turns) == [[], [], ["d"]]
    assert list(roomy.turns(lambda: 10)) == [["a", "c", "d"]]


def test_where_nothing_is_known_there_is_one_empty_turn(memory):
    memory.learn("a", None, asked_at=0, now=0)

    assert list(memory.turns(lambda: 10)) == [[]]
