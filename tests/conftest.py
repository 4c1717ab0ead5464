"""The real neighbours of the tests: each in a module of its own."""

from hypothesis import settings

pytest_plugins = [
    "tests.neighbours.postgres",
    "tests.neighbours.upstream",
    "tests.neighbours.services",
]

# A busy machine is no fault of what is tested: hypothesis's limit of 200 ms an example is one.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")
