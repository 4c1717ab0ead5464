"""Tool calls in flight in several workers: what each of them finds of the others'."""

from uuid import uuid4

import pytest

from audit_log.record import Attribution
from proxy.mcp.agents.agent import Client
from proxy.mcp.in_flight import (
    HUB_KEY,
    MAX_ENDED,
    MAX_IN_FLIGHT_PER_CALLER,
    ToolCallInFlight,
    ToolCallsInFlight,
)
from proxy.mcp.other_workers import OtherWorkers
from proxy.mcp.shared_memory import SLOTS, SharedMemory

EXACT, INFERRED = Attribution.EXACT, Attribution.INFERRED


@pytest.fixture
def memory():
    return SharedMemory.create(3)


@pytest.fixture
def workers(memory):
    return [ToolCallsInFlight(OtherWorkers(memory, number)) for number in range(3)]


def call(caller="anna", ours=(), theirs=(), tool="t"):
    return ToolCallInFlight(tool, caller, frozenset(ours), frozenset(theirs))


def cause(worker, *ids, caller="anna"):
    """Return the id and the tool of the cause, and how sure it is."""
    found = worker.cause_of(caller, frozenset(ids))
    return found and (found[0].id, found[0].tool, found[1])


def is_tied(to, attribution):
    return to.id, to.tool, attribution


def test_a_tool_call_of_another_worker_is_inferred_when_it_is_the_only_one(workers):
    here, there, _ = workers
    only = call(tool="é" * 128)
    there.add(only)

    assert here.knows_any
    assert cause(here) == is_tied(only, INFERRED)
    assert cause(here, caller="bob") is None


def test_the_client_of_a_session_is_known_in_each_worker(memory):
    here = OtherWorkers(memory, 0)
    there = OtherWorkers(SharedMemory(memory.file, 3), 2)
    session = uuid4()
    here.clients.note(session, Client("claude-code", "2.1"))

    assert there.clients.client_of(session) == Client("claude-code", "2.1")
    assert not here.of("anna")


def test_nothing_is_inferred_between_two_workers(workers):
    here, there, third = workers
    mine, theirs = call(), call()
    here.add(mine)
    there.add(theirs)

    assert cause(here) is cause(there) is cause(third) is None
    there.remove(theirs)
    assert cause(there) == cause(third) == is_tied(mine, INFERRED)


def test_nothing_is_inferred_from_two_in_another_worker(workers):
    here, there, _ = workers
    first, second = call(), call()
    there.add(first)
    there.add(second)

    assert cause(here) is None
    there.remove(first)
    assert cause(here) == is_tied(second, INFERRED)


def test_an_id_that_was_sent_along_is_exact_in_every_worker_and_after_the_end(workers):
    here, there, _ = workers
    first, second = call(ours=["1"]), call(ours=["2"], theirs=["x"])
    there.add(first)
    there.add(second)

    assert cause(here, "2") == cause(here, "2", "x") == is_tied(second, EXACT)
    there.remove(second)
    assert cause(here, "2") == is_tied(second, EXACT)
    assert cause(here) == is_tied(first, INFERRED)


def test_an_id_that_the_client_chose_forbids_inference_in_every_worker_and_after_the_end(workers):
    here, there, _ = workers
    first, second = call(), call(theirs=["x"])
    there.add(first)
    there.add(second)
    there.remove(second)

    assert cause(here, "x") is None
    assert cause(here, "y") == is_tied(first, INFERRED)


def test_another_trace_than_that_of_the_only_tool_call_is_not_inferred(workers):
    here, there, _ = workers
    only = call(theirs=["trace 1"])
    there.add(only)

    assert cause(here, "trace 2") is None
    assert cause(here, "request 2") == is_tied(only, INFERRED)


def test_of_other_tokens_only_ids_of_ours_say_something(workers):
    here, there, _ = workers
    bobs = call(caller="bob", ours=["1"], theirs=["x"])
    hubs = call(caller=HUB_KEY, ours=["2"], theirs=["y"])
    for each in (bobs, hubs, only := call()):
        there.add(each)

    assert cause(here, "1") is None
    assert cause(here, "x") == cause(here, "y") == is_tied(only, INFERRED)
    assert cause(here, "2") == is_tied(hubs, EXACT)


def test_tool_calls_of_one_trace_are_told_apart_by_an_id_of_ours(workers):
    here, there, third = workers
    calls = [call(ours=[str(number)], theirs=["trace"]) for number in range(4)]
    for each, worker in zip(calls, [there, there, third, here], strict=True):
        worker.add(each)

    assert cause(here, "trace") is None
    for number, each in enumerate(calls):
        assert cause(here, "trace", str(number)) == is_tied(each, EXACT)
    assert cause(here, "0", "1") is None


def test_ties_made_in_other_workers_are_counted_at_the_end(workers):
    here, there, third = workers
    for _ in range(2):  # the second uses a slot again
        only = call()
        there.add(only)
        for worker in (here, third, there, here):
            assert cause(worker) is not None
        there.remove(only)
        assert only.api_calls == 4


def test_a_caller_with_more_than_its_share_elsewhere_has_nothing_inferred(workers):
    here, there, _ = workers
    many = [call() for _ in range(MAX_IN_FLIGHT_PER_CALLER + 1)]
    bobs = call(caller="bob")
    for each in (*many, bobs):
        there.add(each)
    for each in many[:-1]:
        there.remove(each)

    assert cause(here) is None
    assert cause(here, caller="bob") == is_tied(bobs, INFERRED)
    there.remove(many[-1])
    assert cause(here) is None
    here.add(only := call())
    assert cause(there) == is_tied(only, INFERRED)


def test_more_than_all_slots_are_told_as_hidden(workers):
    here, there, _ = workers
    callers = [str(number) for number in range(SLOTS + 1)]
    for caller in callers:
        there.add(call(caller=caller))

    assert cause(here, caller=callers[-1]) is None
    shown = [caller for caller in callers[:-1] if cause(here, caller=caller)]
    # Counts of what is hidden are by a hash of the caller, which others may have too.
    assert len(shown) > SLOTS - 10


def test_a_worker_that_begins_again_shows_nothing(memory, workers):
    here, there, _ = workers
    there.add(call(ours=["1"]))
    again = ToolCallsInFlight(OtherWorkers(memory, 1))

    assert not here.knows_any
    assert cause(here, "1") is None
    again.add(only := call())
    assert cause(here) == is_tied(only, INFERRED)


def test_what_has_ended_gives_its_slot_back(workers):
    here, there, _ = workers
    for number in range(SLOTS + 2 * MAX_ENDED):
        each = call(ours=[str(number)], theirs=["x"])
        there.add(each)
        there.remove(each)

    there.add(only := call())
    assert cause(here) == is_tied(only, INFERRED)
    assert cause(here, "0") == is_tied(only, INFERRED)
    assert cause(here, "x") is None
