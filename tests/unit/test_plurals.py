"""Words that agree with a count."""

from audit_log.plurals import agreeing, counted


def test_a_noun_is_singular_where_there_is_one():
    assert [counted(count, "row") for count in (0, 1, 2, 5_000)] == [
        *("0 rows", "1 row", "2 rows", "5,000 rows")
    ]
    assert counted(2, "leaf", "leaves") == "2 leaves"


def test_each_choice_of_words_agrees():
    text = "[row is|rows are] gone, and nothing proves [its|their] age"

    assert agreeing(1, text) == "row is gone, and nothing proves its age"
    assert agreeing(2, text) == "rows are gone, and nothing proves their age"
    assert agreeing(1, "[1, 2] stays") == "[1, 2] stays"
