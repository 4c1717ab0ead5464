"""Times leaves: the second of each line of a tile, in few bytes and in one spelling."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.errors import SealFormatError
from audit_log.seal.times import second_of, times_in, times_leaf

seconds = st.lists(st.integers(-(2**40), 2**40), min_size=255, max_size=255)


@given(seconds)
def test_the_seconds_come_back(told):
    assert times_in(times_leaf(told)) == told


@given(st.integers(0, 2**32), st.lists(st.integers(-63, 63), min_size=255, max_size=255))
def test_a_busy_minute_takes_a_byte_a_line(start, steps):
    told = [start + sum(steps[:at]) for at in range(255)]
    assert len(times_leaf(told)) <= len('["times",,""]') + 10 + 4 * 255 // 3


def test_a_times_leaf_is_this():
    told = [1_795_000_000] * 253 + [1_795_000_001, 1_794_999_000]
    leaf = times_leaf(told)
    differences = bytes(253) + b"\x02\xd1\x0f"
    assert leaf == b'["times",1795000000,"%b"]' % b64encode(differences)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b'["missing"]',
        b'["other",1,""]',
        b'["times",1,""]',
        b'["times",1,"AAAA"]',
        b'["times",1,"!"]',
        b'["times","1","AAAA"]',
        times_leaf([0] * 255).replace(b'AAAA"]', b'AACA"]'),
        msgspec.json.encode(("times", 0, "gICAgICAgICAgICAgICA" * 50)),
    ],
)
def test_what_is_no_times_leaf_is_refused(data):
    with pytest.raises(SealFormatError):
        times_in(data)


def test_a_tile_has_255_lines():
    with pytest.raises(ValueError, match="254"):
        times_leaf([0] * 254)


@given(st.datetimes(timezones=st.timezones()))
def test_a_second_is_rounded_down_in_every_time_zone(moment):
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert timedelta(0) <= moment - epoch - timedelta(seconds=second_of(moment)) < timedelta(0, 1)


def test_a_second_before_1970_is_rounded_down_too():
    moment = datetime(1969, 12, 31, 23, 59, 58, 1, tzinfo=timezone(timedelta(hours=0)))
    assert second_of(moment) == -2
