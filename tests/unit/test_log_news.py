"""What asyncio logs is news, but for a loss that is logged by the part that met it."""

import logging

import asyncpg
import pytest

from audit_log.process.logs import is_news


def record_of(error, message="…"):
    given = (type(error), error, None) if error else None
    return logging.LogRecord("asyncio", logging.ERROR, "base_events.py", 1, message, (), given)


@pytest.mark.parametrize("error", [None, ValueError("a defect"), ConnectionResetError("lost")])
def test_a_line_of_asyncio_is_news(error):
    assert is_news(record_of(error))


def test_a_connection_that_the_driver_has_lost_is_none():
    assert not is_news(record_of(asyncpg.exceptions.ConnectionDoesNotExistError("closed")))


def test_a_reply_that_makes_no_sense_to_the_driver_is_none():
    said = (
        "Fatal error on transport\nprotocol: <asyncpg.protocol.protocol.Protocol object at 0x7f>"
    )
    assert not is_news(record_of(IndexError("deque index out of range"), said))
