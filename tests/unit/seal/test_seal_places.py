"""Places: each line has one leaf, and each tile one leaf more."""

from hypothesis import given
from hypothesis import strategies as st

from audit_log.seal.places import Sealing, is_times, log_of

lines = st.integers(1, 2**62)


@given(lines, st.integers(0, 2**62))
def test_a_place_leads_back_to_its_line(first, after):
    sealing = Sealing(7, first)
    place = sealing.place(first + after)
    assert not is_times(place)
    assert sealing.line(place) == first + after


@given(lines, st.integers(0, 10**12))
def test_places_of_neighbours_have_a_times_leaf_between_them_or_none(first, after):
    sealing = Sealing(7, first)
    place = sealing.place(first + after)
    following = sealing.place(first + after + 1)
    between = range(place + 1, following)
    assert list(map(is_times, between)) == [True] * len(between)
    assert len(between) == ((after + 1) % 255 == 0)
    assert sealing.line(place + 1) == (None if between else first + after + 1)


def test_the_place_of_the_next_line_is_the_size_of_the_log():
    sealing = Sealing(7, 100)
    assert [sealing.place(100 + lines) for lines in (0, 1, 254, 255, 510)] == [0, 1, 254, 256, 512]


def test_a_line_before_the_first_has_a_negative_place():
    assert Sealing(7, 100).place(99) < 0


def test_the_number_of_a_log_is_of_its_origin_and_fits_postgresqls_integer():
    assert log_of("podwarden-audit/sidecar-1/0123456789abcdef") == -47482050
    assert all(-(2**31) <= log_of(f"origin/{number}") < 2**31 for number in range(100))
