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
    *("browser/test_page_for_everyone.py", "end_to_end/test_make_run.py"),
    *("integration/test_fault_promoted.py", "integration/test_audit_api_openapi.py"),
    *("browser/test_page_narrows.py", "browser/test_page_shows.py"),
    *("integration/test_workers.py", "integration/test_fault_database_away.py"),
    *("mcp/test_ties_across_workers.py", "mcp/test_conformance.py"),
    *("integration/test_audit_api_stream.py", "browser/test_page_live.py"),
    *("integration/test_purge.py", "integration/test_conversion.py"),
    *("integration/test_audit_api_export.py", "browser/test_page_hostile.py"),
    *("browser/test_page_session.py", "browser/test_page_tools.py"),
    *("browser/test_page_trouble.py", "integration/test_audit_api_readers.py"),
    *("integration/test_nats.py", "integration/test_strangers.py"),
    *("integration/test_postgres_launcher.py", "integration/test_orphaned_journals.py"),
    *("integration/test_journal_command.py", "integration/test_fault_full.py"),
    *("integration/test_early_response.py", "mcp/test_attribution.py", "mcp/test_sessions.py"),
    *("integration/test_fault_killed.py", "integration/test_relay_pressure.py"),
    *("integration/test_operate_document.py", "integration/test_tracing.py"),
    *("integration/test_webhook.py", "integration/test_logical_subscriber.py"),
)
"""The files that take longest: begun last, one of them would keep one worker busy alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; `--no-loadscope-reorder` keeps that order."""
    order = {f"tests/{name}": place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))
