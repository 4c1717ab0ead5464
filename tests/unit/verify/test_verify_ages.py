"""Which rows may be gone, and which were deleted."""

import pytest

from audit_log.verify.ages import DAY, Age, Fate, Kept, keeping

NOW = 1_000 * DAY


def age(days_since: float | None, days_until: float | None) -> Age:
    """Return the age of a line that was made between so many days ago."""
    return Age(
        None if days_since is None else NOW - int(days_since * DAY),
        None if days_until is None else NOW - int(days_until * DAY),
    )


@pytest.mark.parametrize(
    ("made", "fate"),
    [
        (age(91, 91), Fate.RETENTION),
        (age(None, 90.5), Fate.RETENTION),
        (age(89, 89), Fate.DELETED),
        (age(89, None), Fate.DELETED),
        (age(95, 85), Fate.UNDECIDED),
        (age(None, None), Fate.UNDECIDED),
    ],
)
def test_the_auditors_word_says_what_has_to_be_there(made, fate):
    assert keeping(NOW, 90, [Kept(0, 10)], None).fate(made) is fate


@pytest.mark.parametrize(
    ("made", "fate"),
    [
        (age(91, 91), Fate.BY_HAND),
        (age(89, 89), Fate.DELETED),
        (age(95, 85), Fate.UNDECIDED),
    ],
)
def test_all_entries_older_than_the_oldest_one_may_have_been_deleted_together(made, fate):
    assert keeping(NOW, None, [], NOW - 90 * DAY).fate(made) is fate


def test_no_row_of_the_last_day_may_be_gone():
    nothing_left = keeping(NOW, None, [], None)

    assert nothing_left.fate(age(0.5, 0.5)) is Fate.DELETED
    assert nothing_left.fate(age(1.5, 1.5)) is Fate.BY_HAND


def test_a_retention_that_was_signed_holds_until_the_next_one():
    signed = [
        Kept(NOW - 500 * DAY, 90),
        Kept(NOW - 300 * DAY, 30),  # until 200 days ago: what was older than 230 days went
        Kept(NOW - 200 * DAY, None),
    ]
    found = keeping(NOW, None, signed, NOW - 400 * DAY)

    assert found.fate(age(231, 231)) is Fate.RETENTION
    assert found.fate(age(229, 229)) is Fate.DELETED


def test_without_any_retention_and_with_older_rows_nothing_may_be_gone():
    assert keeping(NOW, None, [], 0).fate(age(None, None)) is Fate.UNDECIDED
    assert keeping(NOW, None, [Kept(0, None)], 0).fate(age(10, 10)) is Fate.DELETED
