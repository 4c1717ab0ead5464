"""A task beside a block: who is told of its end, and when."""

import asyncio

import pytest

from audit_log.process.background import in_background


async def for_ever():
    await asyncio.Event().wait()


async def test_work_ends_with_its_block_and_nobody_is_told():
    told: list[BaseException | None] = []
    async with in_background(for_ever(), "work", told.append) as task:
        await asyncio.sleep(0)
        assert task.get_name() == "work"
    assert task.cancelled()
    assert told == []


async def test_work_that_fails_is_told_with_its_error_while_the_block_goes_on():
    told: list[BaseException | None] = []

    async def fails():
        raise ValueError("a defect")

    async with in_background(fails(), "work", told.append) as task:
        await asyncio.wait({task})
        [error] = told
        assert str(error) == "a defect"
    assert len(told) == 1


async def test_work_that_returns_early_is_told_without_an_error():
    told: list[BaseException | None] = []
    async with in_background(asyncio.sleep(0), "work", told.append) as task:
        await asyncio.wait({task})
    assert told == [None]


async def test_work_that_fails_when_it_is_cancelled_is_told_as_well():
    told: list[BaseException | None] = []

    async def fails_late():
        try:
            await for_ever()
        finally:
            raise ValueError("a defect")

    async with in_background(fails_late(), "work", told.append):
        await asyncio.sleep(0)
    [error] = told
    assert str(error) == "a defect"


async def test_work_that_ends_well_when_it_is_cancelled_is_no_news():
    told: list[BaseException | None] = []

    async def gives_in():
        try:
            await for_ever()
        except asyncio.CancelledError:
            return

    async with in_background(gives_in(), "work", told.append):
        await asyncio.sleep(0)
    assert told == []


async def test_an_error_of_the_block_ends_the_work():
    with pytest.raises(ValueError, match="of the block"):
        async with in_background(for_ever(), "work", print) as task:
            raise ValueError("of the block")
    assert task.done()
