"""What asyncio logs is news, but for a loss that is logged by the part that met it."""

import logging

import asyncpg
import pytest

from audit_log.process.logs import is_news


def record_of(error):
    given = (type(error), error, None) if error else None
    return logging.LogRecord("asyncio", logging.ERROR, "base_events.py", 1, "…", (), given)


@pytest.mark.parametrize("error", [None, ValueError("a defect"), ConnectionResetError("lost")])
def test_a_line_of_asyncio_is_news(error):
    assert is_news(record_of(error))


def test_a_connection_that_the_driver_has_lost_is_none():
    assert not is_news(record_of(asyncpg.exceptions.ConnectionDoesNotExistError("closed")))
