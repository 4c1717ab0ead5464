from uuid import uuid4

import pytest

from audit_log.tokens import Token
from proxy.token_memory import MISSING, TokenMemory

TOKEN = Token(id=uuid4(), name="ci")
RENAMED = Token(id=TOKEN.id, name="deploy")


@pytest.fixture
def memory():
    return TokenMemory(max_known=2, max_unknown=2, unknown_seconds=5)


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


def test_looking_again_is_not_a_use(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)
    memory.learn("a", RENAMED, asked_at=50, now=50)

    assert memory.used_since(0) == ["a"]
    assert memory.used_since(1) == []


def test_tokens_out_of_use_are_forgotten(memory):
    memory.learn("a", TOKEN, asked_at=0, now=0)
    memory.learn("b", TOKEN, asked_at=0, now=0)
    memory.recall("b", now=10)

    memory.forget_unused_since(10)

    assert memory.recall("a", now=11) is MISSING
    assert memory.recall("b", now=11) == TOKEN
