"""How long tool calls and sessions took, as it is told to Prometheus."""

from audit_log.record import ToolOutcome
from proxy.telemetry.durations import BOUNDS
from proxy.telemetry.session_durations import SessionDurations
from proxy.telemetry.tool_durations import MAX_TOOLS, ToolDurations
from tests.neighbours.records import a_tool_call

FAILED = {"outcome": ToolOutcome.TOOL_ERROR, "status_code": 500}


def told(durations, suffix):
    """Return the samples by tool, class of error, and bound if they have one."""
    return {
        tuple(sample.labels[name] for name in ("gen_ai_tool_name", "error_type", "le")
              if name in sample.labels): sample.value
        for sample in durations.metric().samples
        if sample.name == f"mcp_server_operation_duration_seconds_{suffix}"
    }  # fmt: skip


def test_a_tool_call_counts_by_its_tool_its_error_and_its_duration():
    durations = ToolDurations()
    for milliseconds in (10, 11, 400_000):
        durations.note(a_tool_call(duration_ms=milliseconds))
    durations.note(a_tool_call(duration_ms=5, **FAILED))

    assert told(durations, "count") == {
        ("list_clusters", ""): 3,
        ("list_clusters", "tool_error"): 1,
    }
    assert told(durations, "sum")["list_clusters", ""] == 400.021
    buckets = told(durations, "bucket")
    assert len(buckets) == 2 * (len(BOUNDS) + 1)
    assert [buckets["list_clusters", "", le] for le in ("0.01", "0.02", "300.0", "+Inf")] == [
        1, 2, 2, 3,
    ]  # fmt: skip


def test_names_that_clients_invent_are_one_and_tools_have_a_limit():
    durations = ToolDurations()
    durations.note(a_tool_call(tool="invented", duration_ms=1, **FAILED))
    for number in range(MAX_TOOLS + 5):
        durations.note(a_tool_call(tool=f"tool {number}", duration_ms=1))

    counts = told(durations, "count")
    assert len(counts) == MAX_TOOLS + 2
    assert (counts["_OTHER", ""], counts["_OTHER", "tool_error"]) == (5, 1)


def test_time_that_a_user_took_to_answer_does_not_count():
    durations = ToolDurations()
    durations.note(a_tool_call(duration_ms=60_000, rounds=2))
    durations.note(a_tool_call(duration_ms=None))

    assert told(durations, "count") == {}


def test_what_went_on_unseen_does_not_count():
    """The time until its client hung up says nothing of the tool, nor that it went well."""
    durations = ToolDurations()
    durations.note(a_tool_call(outcome=ToolOutcome.UNKNOWN, status_code=499, duration_ms=700))
    durations.note(a_tool_call(outcome=ToolOutcome.ABANDONED, status_code=499, duration_ms=20))

    assert told(durations, "count") == {}
    durations.note(a_tool_call(outcome=ToolOutcome.UNKNOWN, duration_ms=5))
    assert told(durations, "count") == {("_OTHER", ""): 1}, "its response came, and was not read"


def test_a_session_counts_by_its_version_and_its_duration():
    durations = SessionDurations()
    for version in ("2025-11-25", "2025-11-25", None, "x" * 64):
        durations.note(400.0, version)
    for number in range(30):
        durations.note(1.0, f"2025-11-{number:02}")

    counts = {
        sample.labels["mcp_protocol_version"]: sample.value
        for sample in durations.metric().samples
        if sample.name == "mcp_server_session_duration_seconds_count"
    }
    assert len(counts) == 20
    assert (counts["2025-11-25"], counts[""]) == (3, 1)
    assert sum(counts.values()) == 34
