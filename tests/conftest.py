"""The real neighbours of the tests: each in a module of its own."""

pytest_plugins = [
    "tests.neighbours.postgres",
    "tests.neighbours.upstream",
    "tests.neighbours.services",
]
