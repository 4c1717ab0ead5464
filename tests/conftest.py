"""The real neighbours of the tests: each in a module of its own."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping

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
