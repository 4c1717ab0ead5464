import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.mcp.budget import REQUEST, Budget
from proxy.mcp.json_stream import MAX_STRING_BYTES, JsonStream, Trouble

WANTED = frozenset(
    {("method",), ("id",), ("params", "name"), ("params", "_meta", "t"), ("error",)}
)

keys = st.sampled_from(["method", "id", "params", "name", "_meta", "t", "error", "x", 'q"\\', "é"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)
)
documents = st.dictionaries(keys, values, max_size=5)
cuts = st.lists(st.integers(min_value=0, max_value=2_000), max_size=8)


def read(wire, cuts=()):
    found: list[dict[tuple[str, ...], object]] = []
    budget = Budget(REQUEST)
    stream = JsonStream(WANTED, lambda values: found.append(dict(values)), budget)
    at = sorted({cut % (len(wire) + 1) for cut in cuts} | {0, len(wire)})
    for start, end in pairwise(at):
        budget.grant(end - start)
        stream.feed(wire[start:end])
    return found


def expected(document):
    """What a JSON parser finds at the wanted paths."""
    values = {}
    for path in WANTED:
        value = document
        for key in path:
            if not isinstance(value, dict) or key not in value:
                break
            value = value[key]
        else:
            values[path] = True if isinstance(value, (dict, list)) else value
    return values


@given(documents, cuts, st.sampled_from([None, 1]))
@example({"params": {"arguments": {"a": ["]}", '"']}, "name": "x"}}, [], 1)
def test_the_wanted_values_are_found_however_the_bytes_are_split(document, cuts, indent):
    wire = json.dumps(document, indent=indent, ensure_ascii=indent is None).encode()

    assert read(wire, cuts) == [expected(document)]


@given(st.lists(documents, max_size=4), cuts)
def test_each_object_of_a_batch_is_found(batch, cuts):
    assert read(json.dumps(batch).encode(), cuts) == [expected(each) for each in batch]


@given(st.binary(max_size=200), cuts)
def test_bytes_that_are_no_json_are_passed_over(wire, cuts):
    read(wire, cuts)


def test_the_last_of_equal_keys_counts_with_all_that_is_in_it():
    assert read(b'{"method":"a","method":"b"}') == [{("method",): "b"}]
    assert read(b'{"params":{"name":"a"},"params":{}}') == [{}]


def test_a_document_that_is_cut_half_way_says_nothing():
    assert read(b'{"method":"tools/call","params":{"name":"x"}') == []


def test_after_nonsense_nothing_is_believed_until_the_reader_begins_anew():
    found: list[object] = []
    stream = JsonStream(WANTED, found.append, Budget(REQUEST))
    stream.feed(b'{"method" "a"} {"method":"b"}')
    assert stream.trouble is Trouble.INVALID

    stream.reset()
    stream.feed(b'{"method":"c"}')
    assert found == [{("method",): "c"}]


def test_no_more_of_a_string_is_held_than_is_ever_needed():
    [values] = read(b'{"params":{"name":"' + b"a" * 100_000 + b'"}}')

    assert values[("params", "name")] == "a" * MAX_STRING_BYTES


def test_broken_utf_8_and_broken_escapes_are_still_text():
    assert read(b'{"method":"\xff\\ud800x"}')[0][("method",)]
    assert read(b'{"method":"\\q"}')[0][("method",)] == "\\q"


def test_a_large_document_of_ordinary_shape_is_read():
    pod = {"kind": "Pod", "metadata": {"labels": {"app": "web"}}, "spec": {"ports": [{"p": 80}]}}
    document = {"method": "m", "params": {"arguments": [pod] * 10_000, "name": "x"}}

    assert read(json.dumps(document).encode()) == [expected(document)]
    assert read(json.dumps(document, separators=(",", ":")).encode()) == [expected(document)]


def test_a_large_text_with_escapes_is_read():
    document = {"params": {"text": json.dumps([{"a": 'b"\\\n'}] * 20_000), "name": "x"}}

    assert read(json.dumps(document).encode()) == [expected(document)]


def test_a_document_that_costs_too_much_says_so_and_the_next_one_is_read():
    found: list[object] = []
    budget = Budget(REQUEST)
    stream = JsonStream(WANTED, found.append, budget)
    stream.feed(b"{" + b'"x":1,' * 1_000 + b'"id":1}')
    assert (stream.trouble, found) == (Trouble.TOO_COSTLY, [])

    stream.reset()
    budget.renew()
    stream.feed(b'{"id":2}')
    assert found == [{("id",): 2}]
