from audit_log.record import Attribution
from proxy.audit.shares import Standing
from proxy.mcp.in_flight import (
    HUB_KEY,
    MAX_ENDED,
    MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_PER_CALLER,
    ToolCallInFlight,
    ToolCallsInFlight,
)

EXACT, INFERRED = Attribution.EXACT, Attribution.INFERRED


def call(caller="anna", ours=(), theirs=(), tool="t", standing=Standing.KNOWN):
    return ToolCallInFlight(tool, caller, frozenset(ours), frozenset(theirs), standing)


def flying(*calls):
    in_flight = ToolCallsInFlight()
    for each in calls:
        in_flight.add(each)
    return in_flight


def cause(in_flight, *ids, caller="anna"):
    return in_flight.cause_of(caller, frozenset(ids))


def test_an_id_of_ours_tells_two_tool_calls_of_a_token_apart():
    a, b = call(ours=["1"]), call(ours=["2"])
    in_flight = flying(a, b)

    assert cause(in_flight, "2", "foreign") == (b, EXACT)
    assert cause(in_flight, "1") == (a, EXACT)
    assert (a.api_calls, b.api_calls) == (1, 1)


def test_without_an_id_the_only_tool_call_of_the_token_is_inferred():
    a = call(ours=["1"])
    in_flight = flying(a, call(caller="bob"))

    assert cause(in_flight) == (a, INFERRED)
    assert cause(in_flight, "foreign") == (a, INFERRED)


def test_without_an_id_nothing_is_guessed_between_two():
    assert cause(flying(call(), call())) is None


def test_a_token_without_tool_calls_has_none_tied_to_it():
    assert cause(flying(call(caller="bob", ours=["1"])), "1") is None


def test_an_id_of_ours_that_went_to_another_tokens_tool_call_is_tied_to_nothing():
    """The MCP server has a token of its own, which makes tool calls as well."""
    in_flight = flying(call(ours=["1"]), call(caller="bob", ours=["2"]))

    assert cause(in_flight, "2") is None


def test_an_id_of_a_sidecar_that_is_not_known_is_tied_to_nothing():
    """It may be that of a tool call before this sidecar was started again."""
    assert cause(flying(call()), "call 1") is None


def test_an_id_that_another_tokens_client_chose_says_nothing():
    mine = call(ours=["1"])
    in_flight = flying(mine, call(caller="bob", theirs=["x"]))

    assert cause(in_flight, "x") == (mine, INFERRED)


def test_an_id_that_the_client_chose_is_tied_to_nothing():
    """It sends that id with its own API calls as well, and with other tool calls."""
    assert cause(flying(call(theirs=["x"])), "x") is None
    assert cause(flying(call(theirs=["x"]), call()), "x") is None


def test_an_api_call_in_the_trace_of_an_ended_tool_call_is_not_taken_for_one_of_another():
    ended, going_on = call(theirs=["x"]), call()
    in_flight = flying(ended, going_on)
    in_flight.remove(ended)

    assert cause(in_flight, "x") is None
    assert cause(in_flight) == (going_on, INFERRED)


def test_an_api_call_in_another_trace_than_the_clients_is_tied_to_nothing():
    traced, untraced = call(theirs=["trace 1"]), call(theirs=["request 1"])

    assert cause(flying(traced), "trace 2") is None
    assert cause(flying(traced)) == (traced, INFERRED)
    assert cause(flying(untraced), "trace 2", "request 2") == (untraced, INFERRED)


def test_two_tool_calls_of_one_trace_are_told_apart_by_an_id_of_ours():
    a, b = call(ours=["1"], theirs=["x"]), call(ours=["2"], theirs=["x"])

    assert cause(flying(a, b), "x", "2") == (b, EXACT)


def test_ids_that_speak_for_different_tool_calls_tie_to_neither():
    assert cause(flying(call(ours=["1"]), call(ours=["2"])), "1", "2") is None


def test_a_client_that_chooses_an_id_of_ours_can_not_take_over_the_other_tool_call():
    a, b = call(ours=["1"]), call(theirs=["1"])

    assert cause(flying(a, b), "1") is None
    assert cause(flying(a, call(caller="bob", theirs=["1"])), "1") == (a, EXACT)


def test_an_api_call_after_the_answer_is_not_taken_for_one_of_another_tool_call():
    ended, going_on = call(ours=["1"]), call(ours=["2"])
    in_flight = flying(ended, going_on)
    in_flight.remove(ended)

    assert cause(in_flight, "1") == (ended, EXACT)
    assert cause(in_flight) == (going_on, INFERRED)


def test_what_has_ended_is_forgotten_in_time():
    in_flight = ToolCallsInFlight()
    for number in range(MAX_ENDED + 1):
        each = call(ours=[str(number)], theirs=[f"x{number}"])
        in_flight.add(each)
        in_flight.remove(each)
    in_flight.add(call())

    assert cause(in_flight, "x0") is not None
    assert cause(in_flight, "x1") is None
    assert cause(in_flight, "0")[1] is INFERRED
    assert cause(in_flight, "1")[1] is EXACT
    assert len(in_flight) == 1


def test_a_caller_with_too_many_in_flight_has_nothing_inferred_and_others_do():
    many = [call() for _ in range(MAX_IN_FLIGHT_PER_CALLER + 1)]
    other = call(caller="bob")
    in_flight = flying(*many, other)
    assert len(in_flight) == MAX_IN_FLIGHT_PER_CALLER + 2
    for each in many[1:-1]:
        in_flight.remove(each)

    assert cause(in_flight) is None
    assert cause(in_flight, caller="bob") == (other, INFERRED)
    in_flight.remove(many[-1])
    assert cause(in_flight) == (many[0], INFERRED)


def test_callers_that_are_not_known_leave_the_known_their_room():
    strangers = [
        call(caller=str(number), standing=Standing.UNKNOWN) for number in range(MAX_IN_FLIGHT)
    ]
    mine = call()
    in_flight = flying(*strangers, mine)

    assert cause(in_flight) == (mine, INFERRED)
    assert cause(in_flight, caller=str(MAX_IN_FLIGHT - 1)) is None


def test_what_comes_by_the_hub_is_tied_by_ids_of_ours_alone():
    """Anybody may claim to be the Hub, so nothing that it chose speaks for others' calls."""
    hub = call(caller=HUB_KEY, ours=["1"], theirs=["x"])
    in_flight = flying(hub)

    assert cause(in_flight, "1") == (hub, EXACT)
    assert cause(in_flight, "x") is None
    assert cause(in_flight) is None


def test_the_hub_can_not_take_over_tool_calls_of_a_token():
    mine = call(theirs=["x"])
    in_flight = flying(mine, call(caller=HUB_KEY, ours=["1"], theirs=["x"]))

    assert cause(in_flight) == (mine, INFERRED)
    assert cause(in_flight, "1")[0].caller == HUB_KEY


def test_nothing_is_kept_of_tool_calls_without_ids():
    in_flight = ToolCallsInFlight()
    each = call()
    known = [in_flight.knows_any]
    in_flight.add(each)
    known.append(in_flight.knows_any)
    in_flight.remove(each)
    known.append(in_flight.knows_any)

    assert known == [False, True, False]
