"""The Activity Log page over HTTP: what is served, and what a browser is told about it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from yarl import URL

import audit_api.page
from tests.neighbours.audit_api import serving_audit_api

PAGE = "/settings/mcp/activity"


# One service and one database for all tests here: none of them depends on a row.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(module_database_url: str) -> AsyncIterator[ClientSession]:
    async with serving_audit_api(module_database_url) as client:
        yield client


async def test_the_page_is_served_to_anyone_as_it_holds_nothing(client: ClientSession) -> None:
    async with client.get(PAGE) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert '<noscript><p class="banner">This page needs JavaScript.' in await response.text()


async def test_every_asset_that_the_page_and_its_modules_name_is_there(
    client: ClientSession,
) -> None:
    async with client.get(PAGE) as response:
        waiting = re.findall(r'(?:src|href)="activity/assets/([^"]+)"', await response.text())
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        async with client.get(f"{PAGE}/assets/{name}") as response:
            assert response.status == 200, name
            waiting += re.findall(r'from ?"\./([^"]+)"', await response.text())

    assert len(seen) > 20


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/assets/page.js", f"{PAGE}/assets/layout.css"])
async def test_a_browser_may_run_nothing_but_our_own_files(
    client: ClientSession, path: str
) -> None:
    async with client.get(path) as response:
        policy = response.headers["Content-Security-Policy"]

        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"


async def test_nothing_in_the_page_runs_or_looks_inline(client: ClientSession) -> None:
    async with client.get(PAGE) as response:
        page = await response.text()

    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []
    assert re.findall(r"https?://", page) == []


async def test_what_a_browser_has_is_not_sent_again(client: ClientSession) -> None:
    path = f"{PAGE}/assets/page.js"
    async with client.get(path) as first:
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]

    async with client.get(path, headers={"If-None-Match": tag}) as again:
        assert again.status == 304
        assert "Content-Security-Policy" in again.headers
    async with client.get(path, headers={"If-None-Match": '"of-an-older-release"'}) as newer:
        assert newer.status == 200


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2factivity.py", "%2e%2e%2factivity.html", "page.js/"]
)
async def test_what_is_no_asset_is_not_found(client: ClientSession, name: str) -> None:
    async with client.get(URL(f"{PAGE}/assets/{name}", encoded=True)) as response:
        assert response.status == 404


async def test_a_slash_too_many_leads_to_the_page(client: ClientSession) -> None:
    async with client.get(f"{PAGE}/") as response:
        assert response.url.path == PAGE
        assert response.status == 200


async def test_script_and_style_are_small(client: ClientSession) -> None:
    """Readers on a slow line wait for all of it before they see the first call."""
    files = sorted((Path(audit_api.page.__file__).parent / "assets").iterdir())
    served = 0
    for file in files:
        async with client.get(f"{PAGE}/assets/{file.name}") as response:
            served += len(await response.read())

    assert served <= 150_000


async def test_a_script_is_served_without_comments(client: ClientSession) -> None:
    async with client.get(f"{PAGE}/assets/page.js") as response:
        code = await response.text()

    assert "/**" not in code


async def test_no_text_of_a_script_is_altered(client: ClientSession) -> None:
    texts = 0
    for file in sorted((Path(audit_api.page.__file__).parent / "assets").glob("*.js")):
        plain = [
            line for line in file.read_text().splitlines() if not re.search(r"[\\'`*]|//", line)
        ]
        async with client.get(f"{PAGE}/assets/{file.name}") as response:
            code = await response.text()
        for text in re.findall(r'"[^"]*"', "\n".join(plain)):
            texts += 1
            assert text in code, (file.name, text)

    assert texts > 1_000
