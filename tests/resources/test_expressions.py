"""Expressions: what they mean, what is refused, and that MongoDB and Python mean the same by them."""

import secrets
import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from contracts.errors import Invalid
from services.resources.expressions.attributes import Kind
from services.resources.expressions.globs import Wildcard, after_all_with, mongo_pattern, python_pattern
from services.resources.expressions.lexer import MOST_BYTES
from services.resources.expressions.parser import DEEPEST, MOST_TERMS, parse
from services.resources.expressions.predicate import Around, predicate
from services.resources.expressions.query import condition
from services.resources.expressions.tree import groups, labels
from services.resources.hosts import addresses

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DECLARED = {"slots": Kind.NUMBER, "gpu": Kind.YES_NO, "owner": Kind.TEXT}
HOST = {
    "_id": "h-1",
    "hostname": "web-1.example",
    "ips": ["10.1.2.3", "fd00::5"],
    "ip_keys": addresses.keys(["10.1.2.3", "fd00::5"]),
    "idc": "js",
    "rack": "r7",
    "room": "a",
    "host_set": "blue",
    "business": "shop",
    "product_line": "cart",
    "state": "in_service",
    "host_class": "physical",
    "tags": ["web", "x86"],
    "labels": {"env": "prod", "example.com/team": "core"},
    "attributes": {"slots": 4, "gpu": True, "owner": "ann"},
    "facts": {"os": "Debian 12", "kernel": "6.1", "architecture": "x86_64", "cpus": 8, "memory_bytes": 64 * 2**30, "agent_version": "0.1.0"},
    "presence": {"last_seen": NOW},
    "revoked": False,
    "groups": ["front"],
}  # fmt: skip


def fits(text, host=HOST, heard_after=NOW):
    return predicate(parse(text, DECLARED))(host, Around(host.get("groups", ()), heard_after))


def refused(text):
    with pytest.raises(Invalid) as told:
        parse(text, DECLARED)
    return told.value


@pytest.mark.parametrize(
    "text",
    [
        "id = h-1",
        "hostname = WEB-1.Example",
        "host = web-*",
        "host = *.example and host = w?b-1*e",
        "ip = 10.1.2.3",
        "ip = FD00:0::0005",
        "ip = 10.1.*",
        "ip in 10.1.0.0/16",
        "ip in (192.168.0.0/24, fd00::/8)",
        "ip = ::ffff:10.1.2.3",
        "idc in (bj, js)",
        "idc=js",
        "rack = r7 and room = a and set = blue",
        "business = shop and line = cart and product_line = 'cart'",
        "state = in_service and class = physical",
        "tag = web and tags = x86",
        "tag in (web, db) and tag not in (db, cache)",
        "labels.env = prod",
        'labels."example.com/team" = core and labels.example.com/team = c*',
        "labels.env = *",
        "attributes.slots >= 4 and attr.slots < 5 and attributes.gpu and attributes.owner = a?n",
        "attributes.gpu = true and not attributes.gpu = false",
        "os = Debian* and kernel = 6.1 and arch = x86_64",
        "cpus = 8 and cpus > 7 and cpus <= 8 and cpus in (4, 8)",
        "memory >= 64GiB and memory < 1TiB and memory = 65536MiB",
        "agent_version = 0.1.*",
        "online",
        "online = true and not online = false",
        'group("front") and group(front)',
        "not group(back)",
        "NOT tag = db AND (idc = bj OR idc = js)",
        "tag = db or tag = web and idc = js",
        "not tag = db or idc = bj",
        "labels.nosuch != x",
        "  tag\t=\nweb  ",
    ],
)
def test_what_fits(text):
    assert fits(text), text
    assert not fits(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        "(tag = db or tag = web) and idc = bj",
        "hostname = web",
        "hostname = eb-*",
        "ip in 10.2.0.0/16",
        "ip in (10.1.2.4, 10.1.2.0/31)",
        "tag != web",
        "tag = 'we?b'",
        "labels.nosuch = *",
        "cpus < 8",
        "cpus = 0",
        "attributes.slots in (1, 2)",
        'tag = "w\\*b"',
        'tag = "*\\?"',
        "not online",
    ],
)
def test_what_does_not_fit(text):
    assert not fits(text), text


def test_and_binds_tighter_than_or_and_not_tighter_than_and():
    assert parse("online or tag = a and not tag = b", {}) == parse("online or (tag = a and (not (tag = b)))", {})


def test_a_host_that_was_not_heard_of_lately_is_not_online():
    assert not fits("online", heard_after=NOW + timedelta(seconds=1))
    assert not fits("online", host={**HOST, "revoked": True})


def test_keywords_are_plain_words_in_quotes():
    assert fits('tag in ("and", or1)', host={**HOST, "tags": ["and"]})


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "an attribute"),
        ("tag", 4, "="),
        ("tag =", 6, "a value"),
        ("tag web", 5, "="),
        ("tag = web idc = js", 11, '"and"'),
        ("tag = web and", 14, "an attribute"),
        ("(tag = web", 11, ")"),
        ("tag = web)", 10, "the end"),
        ("tag in web, db", 11, "the end"),
        ("tag in (web db)", 13, ")"),
        ("tag in ()", 9, "a value"),
        ("tag not web", 9, "in"),
        ('tag = "web', 7, 'another "'),
        ("tag ! web", 5, "!="),
        ("tag = a\x00b", 8, "a visible one"),
        ("tag = a\u202eb", 8, "a visible one"),
        ("tag == web", 6, "a value"),
        ("tag < 3", 5, "="),
        ("cpus = many", 8, "a whole number"),
        ("cpus > 1.5", 8, "a whole number"),
        ("memory > 64GB", 10, "a number such as 64GiB"),
        ("memory > 99999999TiB", 10, f"at most {2**63 - 1}"),
        ("cpus > 99999999999999999999", 8, "a whole number"),
        ("ip = 10.1.2.3/16", 6, "10.1.0.0/16"),
        ("ip = 10.1.2.300", 6, "an address"),
        ("ip in 10.0.0.0/99", 7, "one such as 10.1.0.0/16 or fd00::/8"),
        ("state = broken", 9, "faulty"),
        ("state = in_*", 9, "in_service"),
        ("online = maybe", 10, "true"),
        ("attributes.slots = four", 20, "a whole number"),
        ("group()", 7, "the name of a group"),
        ("group(a*)", 7, "the name of one group"),
        ("group(a", 8, ")"),
        ("group = a", 7, "("),
        ("labels. = x", 8, "the name of one of the labels"),
        ("labels.$where = 1", 1, "letters, digits and any of _ . : / - in its name"),
        ('not labels."$x" = 1', 5, "letters, digits and any of _ . : / - in its name"),
        ("{$where: 1}", 1, None),
        ("$where = 1", 1, None),
        ("a.$[] = 1", 1, None),
        ("nosuch = 1", 1, None),
        ("not nosuch", 5, None),
        ("online and attributes.nosuch = 1", 12, None),
        ("tagg = web", 1, None),
    ],
)
def test_what_cannot_be_read_is_told_with_its_column(text, column, expected):
    error = refused(text)
    assert error.reason == ("expression.malformed" if expected else "expression.unknown_attribute")
    assert error.details["column"] == column, error.message
    assert f"Column {column} " in error.message
    if expected:
        assert any(expected in each for each in error.details["expected"]), error.details


def test_a_misspelt_attribute_is_told_what_was_meant():
    assert "did you mean hostname" in refused("hostnam = web").message
    assert "attributes.slots" in refused("attributes.slot = 1").message


def test_limits_of_an_expression():
    """G1 of the bad inputs."""
    for text in ("(" * 10_000, "x" * 2**20, " or ".join(["tag = a"] * 10_000), "tag = " + "é" * (MOST_BYTES // 2)):
        assert refused(text).reason == "expression.too_large"
    nested = "(" * DEEPEST + "online" + ")" * DEEPEST
    assert parse(nested, {}) == parse("online", {})
    assert refused(f"({nested})").reason == refused("not " + nested).reason == "expression.too_large"
    assert refused("not " * 1000 + "online").reason == "expression.too_large"
    values = ",".join(["a"] * MOST_TERMS)
    parse(f"tag in ({values})", {})
    assert refused(f"tag in ({values},a)").reason == "expression.too_large"
    assert refused(f"tag = {'a' * 300}").reason == "expression.malformed"


def test_what_a_tree_names():
    tree = parse('group(a) or not (group("b c") and labels.x = 1) or group(a) or labels."y.z" in (1, 2)', {})
    assert groups(tree) == {"a": 7, "b c": 24}
    assert labels(tree) == {"x": 35, "y.z": 64}


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_text_fails_otherwise_than_by_a_refusal(text):
    try:
        parse(text, DECLARED)
    except Invalid as error:
        assert error.reason.startswith("expression.")
        error.message.encode()


WORDS = (
    "(",
    ")",
    "=",
    "!=",
    "<",
    ",",
    "*",
    " ",
    '"',
    "'",
    "\\",
    "and",
    "or",
    "not",
    "in",
    "group",
    "tag",
    "ip",
    "cpus",
    "labels.",
    "attributes.slots",
    "10.0.0.0/8",
    "7",
    "online",
)


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
@settings(max_examples=500, deadline=None)
def test_no_words_fail_otherwise_than_by_a_refusal(text):
    test_no_text_fails_otherwise_than_by_a_refusal.hypothesis.inner_test(text)


class TestGlobs:
    """G2 of the bad inputs: there are no regular expressions, and a glob cannot be made slow."""

    @pytest.mark.parametrize(
        "glob", ["*a" * 120 + "b", "a*" * 120 + "b", "*?" * 100 + "b", "*" * 250, "?" * 250, "*" + "a" * 200 + "b"]
    )
    def test_the_worst_glob_on_the_worst_text_ends(self, glob):
        """A pattern that looked for other places would need longer than the universe is old; this one ends at once."""
        text = "a" * 10_000
        host = {"tags": [text]}
        assert fits(f"tag = {glob}", host) == (not glob.endswith("b") and (glob[0] != "?" or len(glob) == len(text)))

    def test_what_looks_like_a_pattern_is_text(self):
        assert fits(r'tag = "(a+)+$"', {"tags": ["(a+)+$"]})
        assert not fits(r'tag = "(a+)+$"', {"tags": ["aaaa"]})
        assert not fits("tag = .*", {"tags": ["web"]})
        assert fits("tag = .*", {"tags": [".web"]})

    @given(st.text("ab*?.\n", max_size=8), st.text("ab.\n", max_size=10))
    @settings(max_examples=500, deadline=None)
    def test_a_glob_matches_what_it_would_by_trying_everything(self, glob, text):
        pieces = tuple(Wildcard(each) if each in "*?" else each for each in glob)
        assert bool(python_pattern(pieces).match(text)) == _by_trying(glob, text)

    @given(st.text(min_size=1, max_size=4), st.text(max_size=3))
    @settings(deadline=None)
    def test_the_end_of_a_range_of_beginnings(self, beginning, more):
        end = after_all_with(beginning)
        assert end is None or (beginning + more).encode("utf-32-be", "surrogatepass") < end.encode("utf-32-be")


def _by_trying(glob, text):
    if not glob:
        return not text
    if glob[0] == "*":
        return any(_by_trying(glob[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and glob[0] in {"?", text[0]} and _by_trying(glob[1:], text[1:])


# That both ways mean the same: random hosts, random expressions, the real MongoDB.

TEXTS = st.sampled_from(["", "a", "b", "ab", "abc", "a.b", "A", "商店", "*", "a*", "a?c", "$x", "a\nb", "x\U0010ffff"])
IPS = st.sampled_from(
    ["10.1.0.1", "10.1.255.255", "10.2.0.0", "192.168.0.7", "::1", "fd00::5", "fd00:0:0:1::5", "fe80::1"]
)
HOSTS = st.fixed_dictionaries(
    {
        "ips": st.lists(IPS, max_size=3),
        "tags": st.lists(TEXTS, max_size=3),
        "revoked": st.booleans(),
        "groups": st.lists(st.sampled_from(["g", "h"]), unique=True),
        "state": st.sampled_from(["in_service", "faulty"]),
    },
    optional={
        "hostname": st.sampled_from(["a", "ab", "a.b", "web-1"]),
        "business": TEXTS,
        "rack": TEXTS,
        "labels": st.dictionaries(st.sampled_from(["x", "a.b", "a"]), TEXTS, max_size=3),
        "attributes": st.fixed_dictionaries(
            {},
            optional={
                "slots": st.one_of(st.integers(-2, 4), st.booleans()),
                "gpu": st.one_of(st.booleans(), st.integers(0, 1)),
                "owner": TEXTS,
            },
        ),
        "facts": st.fixed_dictionaries({}, optional={"cpus": st.integers(0, 9), "memory_bytes": st.sampled_from([0, 2**30, 2**40])}),
        "presence": st.fixed_dictionaries({}, optional={"last_seen": st.one_of(st.none(), st.sampled_from([NOW, NOW - timedelta(seconds=1)]))}),
    },
)  # fmt: skip
QUOTED = st.text("ab*?.c商 $", max_size=4).map(lambda text: f'"{text}"') | st.just('"a\\*"') | st.just('"\\?\\\\"')
TEXT_NAMES = st.sampled_from(
    ["hostname", "business", "rack", "tag", "labels.x", "labels.a", 'labels."a.b"', "attributes.owner"]
)
NUMBERS = st.integers(-2, 9).map(str)
NETWORKS = st.sampled_from(
    [
        "10.1.0.0/16",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "10.1.0.1/32",
        "::/0",
        "fd00::/48",
        "fd00::/64",
        "10.1.0.1",
        "10.1.*",
        "*:5",
        "fe80::1",
    ]
)


def _comparisons(names, values):
    one = st.builds("{} {} {}".format, names, st.sampled_from(["=", "!="]), values)
    several = st.lists(values, min_size=1, max_size=3).map(", ".join)
    return one | st.builds("{} {} ({})".format, names, st.sampled_from(["in", "not in"]), several)


LEAVES = st.one_of(
    _comparisons(TEXT_NAMES, QUOTED),
    _comparisons(st.just("ip"), NETWORKS),
    _comparisons(st.sampled_from(["cpus", "attributes.slots"]), NUMBERS),
    _comparisons(st.sampled_from(["online", "attributes.gpu"]), st.sampled_from(["true", "false"])),
    _comparisons(st.just("state"), st.sampled_from(["in_service", "faulty", "retired"])),
    st.builds("{} {} {}".format, st.sampled_from(["cpus", "memory", "attributes.slots"]), st.sampled_from(["<", "<=", ">", ">="]), NUMBERS),
    st.sampled_from(["memory > 1GiB", "memory <= 1TiB", "online", "attributes.gpu", "group(g)", 'group("h")']),
)  # fmt: skip
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def collection(mongo):
    with MongoClient(mongo.url, tz_aware=True) as client:
        name = f"expressions-{secrets.token_hex(4)}"
        yield client[name]["hosts"]
        client.drop_database(name)


@given(hosts=st.lists(HOSTS, min_size=1, max_size=12), texts=st.lists(EXPRESSIONS, min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_mongodb_and_python_mean_the_same(collection, hosts, texts):
    documents = [{**host, "_id": number, "ip_keys": addresses.keys(host["ips"])} for number, host in enumerate(hosts)]
    collection.delete_many({})
    collection.insert_many(documents)
    for text in texts:
        tree = parse(text, DECLARED)
        query = condition(tree, lambda group: {"groups": group.name}, heard_after=NOW)
        by_query = [found["_id"] for found in collection.find(query).sort("_id")]
        holds = predicate(tree)
        assert [each["_id"] for each in documents if holds(each, Around(each["groups"], NOW))] == by_query, text


@given(st.text("ab*?.", max_size=10), st.lists(st.text("ab.\n", max_size=12), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_mongodb_and_python_mean_the_same_by_a_glob(collection, glob, texts):
    pieces = tuple(Wildcard(each) if each in "*?" else each for each in glob)
    collection.delete_many({})
    collection.insert_many([{"_id": number, "text": text} for number, text in enumerate(texts)])
    found = collection.find({"text": {"$regex": mongo_pattern(pieces), "$options": "s"}})
    assert sorted(each["text"] for each in found) == sorted(
        each for each in texts if python_pattern(pieces).match(each)
    )


def test_the_worst_globs_end_in_mongodb_too(collection):
    collection.delete_many({})
    collection.insert_one({"_id": 1, "tags": ["a" * 10_000], "labels": {"a.b": "a" * 10_000}})
    for glob in ("*a" * 120 + "b", "*?" * 100 + "b", "a*" * 120 + "b"):
        for name in ("tag", 'labels."a.b"'):
            query = condition(parse(f"{name} = {glob}", {}), lambda _: {}, heard_after=NOW)
            assert collection.find_one(query, max_time_ms=5000) is None
            assert collection.find_one({"$nor": [query]}, max_time_ms=5000) is not None


def test_every_printable_character_can_stand_in_quotes(collection):
    for character in string.printable.strip():
        escaped = "\\" + character if character in '"\\*?' else character
        tree = parse(f'tag = "{escaped}"', {})
        collection.delete_many({})
        collection.insert_many([{"_id": 1, "tags": [character]}, {"_id": 2, "tags": ["other"]}])
        query = condition(tree, lambda _: {}, heard_after=NOW)
        assert [each["_id"] for each in collection.find(query)] == [1], character
