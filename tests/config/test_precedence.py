"""Which value wins: the table, and what holds for all documents."""

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config.variables.layers import Hidden, Layer, LayerKind, Origin, Whole, explain, merge, merged, ordered
from services.config.variables.values import Secret, flatten, masked, read, revealed, scalars, unflatten, written
from tests.config import trees

GLOBAL, IDC, SET, CUSTOM, HOST, TASK = LayerKind
ALL = 1000


def origin(of):
    """`custom/web/10` → the origin; a kind alone has no name."""
    kind, _, rest = of.partition("/")
    name, _, number = rest.partition("/")
    return Origin(LayerKind(kind), name, int(number or 0))


class Case(NamedTuple):
    says: str
    layers: dict[str, dict]
    effective: dict
    key: str
    source: str
    hid: list[tuple[str, object, str]]
    """Flattened key, value, origin; the nearest first."""


def pair(low, high):
    return Case(
        f"{high} wins over {low}",
        {low: {"x": "low"}, high: {"x": "high"}},
        {"x": "high"},
        "x",
        high,
        [("x", "low", low)],
    )


KINDS = ("global", "idc/js", "set/blue", "custom/web/10", "host/h-1", "task")
TABLE = [
    # Every kind over every lower kind: 15 cases.
    *(pair(low, high) for low, high in itertools.combinations(KINDS, 2)),
    # Within custom: by number, then by name.
    pair("custom/web/10", "custom/db/20"),
    pair("custom/web/9", "custom/web2/10"),
    pair("custom/db/10", "custom/web/10"),
    pair("custom/Web/10", "custom/db/10"),
    pair("custom/a/0", "custom/b/0"),
    pair("custom/zzz/1", "custom/aaa/1000000"),
    # Names decide among sets and IDCs too, and no number lifts a kind above the next.
    pair("set/blue", "set/green"),
    pair("idc/bj", "idc/js"),
    pair("set/blue/1000000", "custom/web/0"),
    pair("idc/js/1000000", "set/blue/0"),
    pair("global//1000000", "idc/js"),
    pair("custom/web/1000000", "host/h-1"),
    # Mappings merge deep.
    Case(
        "different keys come together",
        {"global": {"a": 1}, "host/h-1": {"b": 2}},
        {"a": 1, "b": 2},
        "a",
        "global",
        [],
    ),
    Case(
        "mappings merge key by key",
        {"global": {"r": {"id": 1, "name": "x"}}, "idc/js": {"r": {"id": 2}}},
        {"r": {"id": 2, "name": "x"}},
        "r.id",
        "idc/js",
        [("r.id", 1, "global")],
    ),
    Case(
        "what a higher mapping does not say comes from below",
        {"global": {"r": {"id": 1, "name": "x"}}, "idc/js": {"r": {"id": 2}}},
        {"r": {"id": 2, "name": "x"}},
        "r.name",
        "global",
        [],
    ),
    Case(
        "at any depth",
        {"global": {"a": {"b": {"c": {"d": 1, "e": 1}}}}, "task": {"a": {"b": {"c": {"d": 2}}}}},
        {"a": {"b": {"c": {"d": 2, "e": 1}}}},
        "a.b.c.d",
        "task",
        [("a.b.c.d", 1, "global")],
    ),
    Case(
        "three layers, each key from another",
        {"global": {"r": {"a": 1, "b": 1, "c": 1}}, "set/blue": {"r": {"b": 2, "c": 2}}, "host/h-1": {"r": {"c": 3}}},
        {"r": {"a": 1, "b": 2, "c": 3}},
        "r.c",
        "host/h-1",
        [("r.c", 2, "set/blue"), ("r.c", 1, "global")],
    ),
    # Lists and scalars replace.
    Case(
        "a list replaces a list",
        {"global": {"hosts": ["a", "b"]}, "idc/js": {"hosts": ["c"]}},
        {"hosts": ["c"]},
        "hosts",
        "idc/js",
        [("hosts", ["a", "b"], "global")],
    ),
    Case(
        "mappings inside lists do not merge",
        {"global": {"l": [{"a": 1}]}, "task": {"l": [{"b": 2}]}},
        {"l": [{"b": 2}]},
        "l",
        "task",
        [("l", [{"a": 1}], "global")],
    ),
    Case(
        "an empty list is a value",
        {"global": {"l": [1]}, "task": {"l": []}},
        {"l": []},
        "l",
        "task",
        [("l", [1], "global")],
    ),
    Case(
        "a number replaces text",
        {"global": {"x": "8"}, "task": {"x": 8}},
        {"x": 8},
        "x",
        "task",
        [("x", "8", "global")],
    ),
    Case(
        "false is a value",
        {"global": {"x": True}, "task": {"x": False}},
        {"x": False},
        "x",
        "task",
        [("x", True, "global")],
    ),
    Case(
        "empty text is a value",
        {"global": {"x": "a"}, "task": {"x": ""}},
        {"x": ""},
        "x",
        "task",
        [("x", "a", "global")],
    ),
    # null is a value.
    Case(
        "null hides what lies below",
        {"global": {"x": 1}, "host/h-1": {"x": None}},
        {"x": None},
        "x",
        "host/h-1",
        [("x", 1, "global")],
    ),
    Case(
        "null hides a mapping",
        {"global": {"x": {"a": 1, "b": 2}}, "host/h-1": {"x": None}},
        {"x": None},
        "x",
        "host/h-1",
        [("x.a", 1, "global"), ("x.b", 2, "global")],
    ),
    Case(
        "a value hides null",
        {"global": {"x": None}, "host/h-1": {"x": 1}},
        {"x": 1},
        "x",
        "host/h-1",
        [("x", None, "global")],
    ),
    # Mapping over value and the reverse.
    Case(
        "a value replaces a mapping",
        {"global": {"x": {"a": 1}}, "idc/js": {"x": 2}},
        {"x": 2},
        "x",
        "idc/js",
        [("x.a", 1, "global")],
    ),
    Case(
        "a mapping replaces a value",
        {"global": {"x": 2}, "idc/js": {"x": {"a": 1}}},
        {"x": {"a": 1}},
        "x.a",
        "idc/js",
        [("x", 2, "global")],
    ),
    Case(
        "what a value hid stays hidden under a mapping above it",
        {"global": {"x": {"p": 1}}, "idc/js": {"x": 5}, "host/h-1": {"x": {"q": 2}}},
        {"x": {"q": 2}},
        "x.q",
        "host/h-1",
        [("x", 5, "idc/js"), ("x.p", 1, "global")],
    ),
    Case(
        "mappings above a value merge with each other",
        {"idc/js": {"x": 5}, "set/blue": {"x": {"p": 1}}, "host/h-1": {"x": {"q": 2}}},
        {"x": {"p": 1, "q": 2}},
        "x.p",
        "set/blue",
        [("x", 5, "idc/js")],
    ),
    Case(
        "a list replaces a mapping",
        {"global": {"x": {"a": 1}}, "task": {"x": [1]}},
        {"x": [1]},
        "x",
        "task",
        [("x.a", 1, "global")],
    ),
    # Empty mappings.
    Case(
        "an empty mapping over a mapping changes nothing",
        {"global": {"x": {"a": 1}}, "task": {"x": {}}},
        {"x": {"a": 1}},
        "x.a",
        "global",
        [],
    ),
    Case(
        "an empty mapping over a value replaces it",
        {"global": {"x": 1}, "task": {"x": {}}},
        {"x": {}},
        "x",
        "task",
        [("x", 1, "global")],
    ),
    Case(
        "an empty mapping alone is a value",
        {"global": {"x": {}}},
        {"x": {}},
        "x",
        "global",
        [],
    ),
    # Keys with dots, and secrets.
    Case(
        "a key with a dot is one key",
        {"global": {"nginx.conf": 1, "nginx": {"conf": 2}}, "task": {"nginx.conf": 3}},
        {"nginx.conf": 3, "nginx": {"conf": 2}},
        '"nginx.conf"',
        "task",
        [('"nginx.conf"', 1, "global")],
    ),
    Case(
        "a secret is a value like others",
        {"global": {"x": Secret("a")}, "task": {"x": Secret("b")}},
        {"x": Secret("b")},
        "x",
        "task",
        [("x", Secret("a"), "global")],
    ),
    Case(
        "a document that says nothing hides nothing",
        {"global": {"x": 1}, "idc/js": {}, "host/h-1": {}},
        {"x": 1},
        "x",
        "global",
        [],
    ),
]  # fmt: skip


def layers_of(case):
    return [Layer(origin(of), tree) for of, tree in case.layers.items()]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.says)
def test_the_table(case):
    for shuffled in itertools.permutations(layers_of(case)):
        layers = ordered(shuffled)
        assert [layer.origin for layer in layers] == [origin(of) for of in case.layers]
        assert merged(layer.values for layer in layers) == case.effective
        found = explain(layers)[case.key]
        assert found.origin == origin(case.source)
        assert found.hid == tuple(Hidden(key, value, origin(of)) for key, value, of in case.hid)


def test_the_table_has_at_least_forty_cases():
    assert len({case.says for case in TABLE}) >= 40


def exactly(value):
    """With the marks of mappings that replaced a value, which equality of dictionaries does not see."""
    if isinstance(value, dict):
        return type(value), {key: exactly(each) for key, each in value.items()}
    return value


@given(trees.layers, trees.layers, trees.layers)
def test_merging_is_associative(a, b, c):
    assert exactly(merge(merge(a, b), c)) == exactly(merge(a, merge(b, c)))


@given(st.lists(trees.layers, max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_documents_of_one_scope_may_be_merged_before_the_others(documents, start, length):
    """Any neighbours, such as the custom groups of a host, count as one layer."""
    together = [*documents[:start], merged(documents[start : start + length]), *documents[start + length :]]
    assert merged(together) == merged(documents)


@given(trees.layers)
def test_merging_with_nothing_or_with_itself_changes_nothing(tree):
    assert merge({}, tree) == merge(tree, {}) == merge(tree, tree) == tree


@given(st.lists(trees.layers, min_size=1, max_size=4))
def test_merging_leaves_its_layers_alone(documents):
    before = [repr(each) for each in documents]
    merged(documents)
    assert [repr(each) for each in documents] == before


def numbered(documents):
    return [Layer(Origin(CUSTOM, f"g{number}", number), tree) for number, tree in enumerate(documents)]


@given(st.lists(trees.layers, max_size=5))
def test_explain_agrees_with_the_values(documents):
    explained = explain(numbered(documents), ALL)
    assert {key: each.value for key, each in explained.items()} == flatten(merged(documents))


@given(st.lists(trees.layers, max_size=5))
def test_every_value_is_effective_or_hidden_by_one_that_is_higher(documents):
    layers = numbered(documents)
    explained = explain(layers, ALL)
    told = {(key, each.origin) for key, each in explained.items()}
    told |= {(hidden.key, hidden.origin) for each in explained.values() for hidden in each.hid}
    for layer in layers:
        for key, value in flatten(layer.values).items():
            assert value == {} or (key, layer.origin) in told


@given(st.lists(trees.layers, max_size=5))
def test_what_is_hidden_is_what_its_document_says_and_lies_lower(documents):
    layers = {layer.origin: layer for layer in numbered(documents)}
    for each in explain(list(layers.values()), ALL).values():
        order = [each.origin.number, *(hidden.origin.number for hidden in each.hid)]
        assert order == sorted(order, reverse=True)
        for hidden in each.hid:
            assert hidden.origin.number < each.origin.number
            assert flatten(layers[hidden.origin].values)[hidden.key] == hidden.value


@given(trees.trees(st.text(max_size=4)))
def test_flatten_and_unflatten_are_inverse(tree):
    assert unflatten(flatten(tree)) == tree


@given(st.lists(st.text(), min_size=1).map(tuple))
def test_a_written_path_reads_as_the_same_path(path):
    assert read(written(path)) == path


def test_flattened_keys_read_as_people_write_them():
    tree = {"region": {"mongodb": {"hosts": ["172.27.117.201"], "port": 27017}}, "limits": {"nginx.conf": 1}}
    assert flatten(tree) == {
        "region.mongodb.hosts": ["172.27.117.201"],
        "region.mongodb.port": 27017,
        'limits."nginx.conf"': 1,
    }


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", '"a', 'a"b"', '"a"b', '"\\x"'])
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(ValueError, match=r"flattened key|escape"):
        read(key)


@pytest.mark.parametrize("flat", [{"a": 1, "a.b": 2}, {"a.b": 1, "a": 2}, {"a": 1, '"a"': 2}])
def test_flattened_keys_that_clash_are_refused(flat):
    with pytest.raises(ValueError, match="a"):
        unflatten(flat)


def holds_secret(tree):
    return any(isinstance(value, Secret) for _, value in scalars(tree))


@given(trees.trees())
def test_masked_shows_no_secret_and_revealed_shows_all(tree):
    assert not holds_secret(masked(tree))
    assert not holds_secret(revealed(tree))
    assert (masked(tree) == tree) == (not holds_secret(tree))


def test_a_mapping_that_replaced_a_value_goes_out_as_a_plain_one():
    assert type(merge({"x": 1}, {"x": {"a": 1}})["x"]) is Whole
    assert type(masked(merge({"x": 1}, {"x": {"a": 1}}))["x"]) is dict


def test_of_many_hidden_values_the_nearest_are_listed_and_the_rest_is_counted():
    """A list for each of many keys would otherwise grow with both."""
    many = {f"k{n}": n for n in range(300)}
    explained = explain(numbered([{"x": many}, {"x": 1}, {"x": many}]), 20)
    assert len(explained) == 300
    for each in explained.values():
        assert (each.hid[0].key, each.hid[0].value, len(each.hid), each.more) == ("x", 1, 20, 281)
