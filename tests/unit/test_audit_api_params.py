from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_api.errors import InvalidParameterError
from audit_api.params import read_limit, read_token_id

TOKEN_ID = UUID("0198d5b0-6f00-7c3e-8a52-0123456789ab")


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ({}, 100),
        ({"limit": "1"}, 1),
        ({"limit": "007"}, 7),
        ({"limit": "499"}, 499),
        ({"limit": "500"}, 500),
        ({"limit": "501"}, 500),
        ({"limit": "9" * 5_000}, 500),
        ({"limit": "0" * 5_000 + "3"}, 3),
        ({"offset": "3"}, 100),
    ],
)
def test_a_limit_is_100_unless_asked_for_and_500_at_most(query, limit):
    assert read_limit(query) == limit


@pytest.mark.parametrize("text", ["0", "-0", "-1", "000", "-" + "9" * 5_000])
def test_a_limit_below_1_is_refused(text):
    with pytest.raises(InvalidParameterError) as refused:
        read_limit({"limit": text})
    assert refused.value.status == 422
    assert refused.value.detail == [
        {
            "loc": ["query", "limit"],
            "msg": "Input should be greater than or equal to 1",
            "type": "greater_than_equal",
        }
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ten",
        "1.5",
        "5.0",
        "1e2",
        "0x10",
        "1_0",
        "\u0661\u0662",
        "5 ",
        "--5",
        "5\n",
        "NaN",
    ],
)
def test_a_limit_that_is_no_whole_number_is_refused(text):
    with pytest.raises(InvalidParameterError) as refused:
        read_limit({"limit": text})
    assert refused.value.detail == [
        {
            "loc": ["query", "limit"],
            "msg": "Input should be a valid integer",
            "type": "int_parsing",
        }
    ]


@given(st.text())
def test_a_limit_is_between_1_and_500_or_refused_whatever_is_asked(text):
    with suppress(InvalidParameterError):
        assert 1 <= read_limit({"limit": text}) <= 500


@given(st.integers(min_value=1))
def test_any_whole_number_above_0_is_granted_up_to_500(number):
    assert read_limit({"limit": str(number)}) == min(number, 500)


@pytest.mark.parametrize("text", [str(TOKEN_ID), str(TOKEN_ID).upper(), TOKEN_ID.hex])
def test_a_token_id_is_a_uuid_in_either_case_with_or_without_hyphens(text):
    assert read_token_id(text) == TOKEN_ID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "all",
        str(TOKEN_ID)[:-1],
        str(TOKEN_ID) + "0",
        str(TOKEN_ID) + "\n",
        f"{{{TOKEN_ID}}}",
        f"urn:uuid:{TOKEN_ID}",
        "-".join(TOKEN_ID.hex),
        "0198d5b06f00-7c3e-8a52-0123456789ab",
        "\u0660" * 32,
        "0198d5b0-6f00-7c3e-8a52-0123456789a\u212a",
    ],
)
def test_a_token_id_that_is_no_uuid_is_refused(text):
    with pytest.raises(InvalidParameterError) as refused:
        read_token_id(text)
    assert refused.value.status == 422
    assert refused.value.detail == [
        {
            "loc": ["path", "token_id"],
            "msg": "Input should be a valid UUID",
            "type": "uuid_parsing",
        }
    ]
