"""Links that sign a browser in."""

from datetime import timedelta

import pytest

from audit_api.access.sign_in_links import LINK_LIFETIME, MOST_LINKS, SignInLinks
from tests.neighbours.set_clock import SetClock


def redeem(links: SignInLinks, code: str) -> str | None:
    with links.redeemed(code) as token_hash:
        return token_hash


@pytest.fixture
def clock():
    return SetClock()


def test_a_link_stands_for_its_token_once(clock):
    links = SignInLinks(clock)
    link = links.issue("hash")

    assert link.expires_at == clock.now + LINK_LIFETIME
    assert redeem(links, link.code) == "hash"
    assert redeem(links, link.code) is None


def test_a_link_is_good_for_five_minutes(clock):
    links = SignInLinks(clock)
    early, late = links.issue("hash"), links.issue("hash")

    clock.now += LINK_LIFETIME - timedelta(seconds=1)
    assert redeem(links, early.code) == "hash"
    clock.now += timedelta(seconds=1)
    assert redeem(links, late.code) is None


def test_another_code_is_none(clock):
    links = SignInLinks(clock)
    links.issue("hash")

    assert redeem(links, "") is None
    assert redeem(links, "guessed") is None


def test_so_many_links_are_kept_and_the_newest_are(clock):
    links = SignInLinks(clock)
    codes = [links.issue(f"{number}").code for number in range(MOST_LINKS + 1)]

    assert redeem(links, codes[0]) is None
    assert [redeem(links, code) for code in codes[1:]] == [f"{n + 1}" for n in range(MOST_LINKS)]


def test_the_code_is_in_no_repr(clock):
    links = SignInLinks(clock)
    link = links.issue("hash")

    assert link.code not in f"{link!r} {vars(links)!r}"
