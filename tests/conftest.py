"""The real neighbours of the tests: each in a module of its own."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping

import pytest
import uvloop
from hypothesis import settings

pytest_plugins = [
    "tests.neighbours.postgres",
    "tests.neighbours.upstream",
    "tests.neighbours.sidecar",
]

# A busy machine is no fault of what is tested: hypothesis's limit of 200 ms an example is one.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Run each test on the loop that the services run on: many serve in the test's own."""
    return {"uvloop": uvloop.new_event_loop}


LONGEST_FIRST = (
    *("integration/test_fault_promoted.py", "integration/test_audit_api_stream.py"),
    *("integration/test_seal.py", "integration/test_verify_operations.py"),
    *("end_to_end/test_make_run.py", "browser/test_page_for_everyone.py"),
    *("integration/test_fault_recorder.py", "browser/test_page_live.py"),
    *("integration/test_verify_honest.py", "browser/test_page_questions.py"),
    *("integration/test_fault_database_away.py", "browser/test_page_own_views.py"),
    *("integration/test_logical_subscriber.py", "browser/test_page_takes_along.py"),
    *("integration/test_rule_delivery.py", "integration/test_audit_api_process.py"),
    *("integration/test_nats.py", "integration/test_verify_attacks.py"),
    *("browser/test_first_minutes.py", "browser/test_page_seal.py"),
    *("integration/test_workers.py", "browser/test_page_shows.py"),
    *("integration/test_fault_odd_database.py", "integration/test_journal_removed.py"),
    *("integration/test_audit_api_export.py", "browser/test_page_around.py"),
    *("integration/test_audit_api_openapi.py", "browser/test_page_narrows.py"),
    *("integration/test_audit_api_readers.py", "integration/test_fault_stream.py"),
    *("browser/test_page_timeline.py", "integration/test_orphaned_journals.py"),
    *("integration/seal/test_sealed_reads.py", "integration/test_fault_full.py"),
    *("integration/test_recorded_calls.py", "integration/test_push.py"),
    *("integration/test_conversion.py", "integration/test_early_response.py"),
    *("integration/test_purge.py", "integration/test_webhook.py"),
    *("integration/test_partition_move.py", "integration/test_database.py"),
    *("integration/test_nats_stream.py", "mcp/test_other_sdks.py"),
    *("integration/test_schema.py", "integration/test_tracing.py"),
    *("browser/test_page_agents.py", "mcp/test_conformance.py"),
)
"""Those of ten seconds and more: begun last, one of them would keep one worker busy alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; `--no-loadscope-reorder` keeps that order."""
    order = {f"tests/{name}": place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))
