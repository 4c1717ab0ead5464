"""What is kept of a question, and which questions of the page are one view."""

import asyncio

import pytest

from audit_api.reads.page_views import PageViews, filters_of
from audit_api.reads.question_text import question_text
from audit_log.reads import MOST_CHARACTERS


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([], "/a"),
        ([("status", "4xx"), ("limit", "9")], "/a?limit=9&status=4xx"),
        ([("duration_ms>", "1500"), ("path", "/x y/*")], "/a?duration_ms>=1500&path=/x+y/*"),
        ([("cursor", "abc"), ("after", "abc")], "/a?after=...&cursor=..."),
        ([("token_name", "pwm_A-b_1,x")], "/a?token_name=pwm_...,x"),
        ([("path", "/pwc_key/own_key")], "/a?path=/pwc_.../own_..."),
        ([("user_agent", "\ud800")], "/a?user_agent=%3F"),
    ],
)
def test_a_question_is_kept_as_in_a_url_without_secrets(pairs, text):
    assert question_text("/a", pairs, "own_") == text


def test_a_long_question_is_cut():
    text = question_text("/a", [("path", "x" * 5_000)], "pwm_")
    assert len(text) == MOST_CHARACTERS
    assert text.endswith("x...")


def test_how_something_is_told_makes_no_other_view():
    shown = [("expand", "details"), ("limit", "100"), ("status", "4xx")]
    chart = [("bucket", "auto"), ("zone", "UTC"), ("status", "4xx")]
    counts = [("by", "token"), ("compare", "true"), ("limit", "8"), ("status", "4xx")]
    assert filters_of(shown) == filters_of(chart) == filters_of(counts)
    for other in (("limit", "101"), ("limit", "9" * 5_000), ("cursor", "a"), ("path", "/")):
        assert filters_of([*chart, other]) != filters_of(chart)


async def test_a_view_is_recorded_once_by_the_first_that_succeeds():
    views, recorded, fails = PageViews(), list[str](), asyncio.Event()

    async def fail() -> None:
        await fails.wait()
        raise RuntimeError

    async def succeed() -> None:
        recorded.append("second")

    first = asyncio.create_task(views.once("view", fail))
    others = [asyncio.create_task(views.once("view", succeed)) for _ in range(3)]
    await asyncio.sleep(0)
    assert recorded == []
    fails.set()
    with pytest.raises(RuntimeError):
        await first
    await asyncio.gather(*others)
    assert recorded == ["second"]


async def test_a_reader_that_leaves_while_its_view_is_recorded_leaves_it_to_the_next():
    views, recorded = PageViews(), list[str]()

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def succeed() -> None:
        recorded.append("next")

    first = asyncio.create_task(views.once("view", wait_for_ever))
    following = asyncio.create_task(views.once("view", succeed))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, following, return_exceptions=True)
    assert recorded == ["next"]
