"""What may go, when it must be confirmed, and when the budget is reached."""

from datetime import UTC, datetime, timedelta

import pytest

from audit_log.forecast import Forecast
from audit_log.log_size import Kind, LogSize, Part
from audit_log.retention import Retention

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in (8, 9, 10, 11, 12)]
FOR_EVER = Retention()


def partition(number: int, **values: int) -> Part:
    start = MONTHS[number]
    sizes = {"records": 1_000, "bytes": 1_000_000, "used_bytes": 1_000_000, **values}
    return Part("p", Kind.PARTITION, start, MONTHS[number + 1], start, **sizes)


def adopted(used_bytes: int, since: datetime) -> LogSize:
    return LogSize(
        [Part("mcp_audit_log", Kind.UNPARTITIONED, None, None, since, 500, 9_000_000, used_bytes)]
    )


FOUR_MONTHS = LogSize([partition(number) for number in range(4)])
EMPTY = LogSize([])


@pytest.mark.parametrize(
    ("retention", "moment"),
    [
        (FOR_EVER, None),
        (Retention(days=90), datetime(2026, 8, 26, 12, tzinfo=UTC)),
        (Retention(max_bytes=4_000_000), None),
        (Retention(max_bytes=3_000_000), MONTHS[1]),
        (Retention(max_bytes=2_900_000), MONTHS[1] + (MONTHS[2] - MONTHS[1]) / 10),
        (Retention(max_bytes=2_182_000), MONTHS[2]),
        (Retention(max_bytes=3_999_999), MONTHS[0] + (MONTHS[1] - MONTHS[0]) / 1_000_000),
        (Retention(max_bytes=2_500_000), MONTHS[1] + (MONTHS[2] - MONTHS[1]) / 2),
        (Retention(max_bytes=500_000), MONTHS[3] + (NOW - MONTHS[3]) / 2),
        (Retention(days=90, max_bytes=2_000_000), MONTHS[2]),
        (Retention(days=30, max_bytes=2_500_000), datetime(2026, 10, 25, 12, tzinfo=UTC)),
        (Retention(max_bytes=1), NOW - timedelta(days=1)),
    ],
)
def test_what_is_older_than_the_age_or_beyond_the_budget_may_go(retention, moment):
    assert retention.keeps_from(FOUR_MONTHS, NOW) == moment


def test_of_an_unpartitioned_table_as_much_goes_as_is_too_much():
    since = NOW - timedelta(days=100)

    assert Retention(max_bytes=750_000).keeps_from(adopted(1_000_000, since), NOW) == (
        NOW - timedelta(days=75)
    )


def test_room_that_deleted_records_left_does_not_make_others_go():
    assert Retention(max_bytes=1_000_000).keeps_from(adopted(900_000, MONTHS[0]), NOW) is None


def test_records_of_a_clock_gone_astray_do_not_say_how_old_the_log_is():
    astray = Part("d", Kind.DEFAULT, None, None, datetime(1970, 1, 1, tzinfo=UTC), 1, 8_192, 8_192)

    assert LogSize([partition(3), astray]).oldest == MONTHS[3]


@pytest.mark.parametrize(
    ("before", "after", "log_size", "answer"),
    [
        (Retention(days=365), Retention(days=183), EMPTY, False),
        (Retention(days=365), Retention(days=182), EMPTY, True),
        (Retention(max_bytes=100), Retention(max_bytes=49), EMPTY, True),
        (Retention(days=30), Retention(days=365), FOUR_MONTHS, False),
        (Retention(days=30), FOR_EVER, FOUR_MONTHS, False),
        (FOR_EVER, Retention(days=1), EMPTY, False),
        (FOR_EVER, Retention(days=90), FOUR_MONTHS, False),
        (FOR_EVER, Retention(days=50), FOUR_MONTHS, True),
        (FOR_EVER, Retention(max_bytes=1_500_000), FOUR_MONTHS, True),
        (Retention(days=50), Retention(days=50), FOUR_MONTHS, False),
    ],
)
def test_cutting_the_log_short_by_more_than_half_is_noticed(before, after, log_size, answer):
    assert after.is_cut_short(before, log_size, NOW) is answer


def test_growth_is_that_of_the_last_weeks():
    grown = LogSize([partition(0, records=1), partition(3, records=23_500, used_bytes=47_000_000)])

    forecast = Forecast.of(grown, Retention(max_bytes=100_000_000), NOW)

    assert forecast.records == 23_501
    assert forecast.records_per_day == pytest.approx(1_000, rel=0.01)
    assert forecast.bytes_per_day == pytest.approx(2_000_000, rel=0.01)
    assert forecast.days_until_budget == pytest.approx(26, rel=0.01)


def test_of_a_log_that_has_just_begun_no_growth_is_told():
    forecast = Forecast.of(adopted(1, NOW - timedelta(minutes=5)), Retention(max_bytes=2), NOW)

    assert (forecast.records_per_day, forecast.days_until_budget) == (None, None)


def test_a_budget_that_age_never_lets_fill_up_is_not_reached():
    retention = Retention(days=10, max_bytes=9_000_000)

    assert Forecast.of(FOUR_MONTHS, retention, NOW).days_until_budget is None


def test_room_in_a_month_that_goes_bit_by_bit_is_no_reason_to_warn():
    log = LogSize([partition(2, bytes=2_000_000), partition(3)])
    budget = Retention(max_bytes=2_000_000)

    assert Forecast.of(log, budget, NOW).warning(budget, has_met_budget=True) is None


@pytest.mark.parametrize(
    ("retention", "has_met_budget", "warning"),
    [
        (FOR_EVER, False, None),
        (Retention(max_bytes=6_000_000), False, None),
        (Retention(max_bytes=4_400_000), False, "reaches AUDIT_LOG_MAX_BYTES in 9 days"),
        (Retention(max_bytes=4_400_000), True, None),
        (Retention(days=365, max_bytes=4_400_000), True, "reaches AUDIT_LOG_MAX_BYTES in 9 days"),
        (Retention(max_bytes=2_000_000), True, "takes 4000000 bytes"),
    ],
)
def test_the_operator_is_warned_well_before_the_budget_is_reached(
    retention, has_met_budget, warning
):
    forecast = Forecast.of(FOUR_MONTHS, retention, NOW)

    said = forecast.warning(retention, has_met_budget=has_met_budget)

    assert (said is None) if warning is None else (said is not None and warning in said)
