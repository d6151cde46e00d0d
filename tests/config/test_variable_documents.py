"""Reading documents: what is taken, what is warned of, what is refused and where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Invalid
from contracts.runs import MASK
from services.config.variables.document import MOST_BYTES, keep_secrets, parse
from services.config.variables.values import Secret, masked, scalars
from services.config.variables.written import as_yaml
from tests.config.trees import documents


def test_plain_values_are_what_they_look_like():
    text = "a: 1\nb: -2.5\nc: true\nd: null\ne: text\nf: [1, x]\ng: {h: ''}\ni: 0x1F\nj: 1.5e+3\nk:\n"
    document = parse(text)
    assert document.values == {
        "a": 1,
        "b": -2.5,
        "c": True,
        "d": None,
        "e": "text",
        "f": [1, "x"],
        "g": {"h": ""},
        "i": 31,
        "j": 1500.0,
        "k": None,
    }
    assert document.warnings == []


AMBIGUOUS = {
    "no": ("no", "false"),
    "Off": ("Off", "false"),
    "y": ("y", "true"),
    "on": ("on", "true"),
    "0755": ("0755", "octal"),
    "0899": ("0899", "a number"),
    "22:22": ("22:22", "base 60"),
    "190:20:30.15": ("190:20:30.15", "base 60"),
    "2026-11-23": ("2026-11-23", "a date"),
    "2026-11-23T10:00:00Z": ("2026-11-23T10:00:00Z", "a date"),
    "1_000": ("1_000", "a number"),
    "1_000.5": ("1_000.5", "a number"),
    "0x_ff": ("0x_ff", "a number"),
    "0b101": ("0b101", "binary"),
    "1e3": (1000.0, "text"),
    "0o17": (15, "text"),
}


@pytest.mark.parametrize(("word", "meant"), AMBIGUOUS.items(), ids=AMBIGUOUS)
def test_words_that_others_read_differently_are_kept_and_warned_of(word, meant):
    document = parse(f"x: 1\nmode: {word}\n")
    value, elsewhere = meant
    assert document.values["mode"] == value
    [warned] = document.warnings
    assert (warned.line, warned.column) == (2, 7)
    assert word in warned.message
    assert elsewhere in warned.message


@pytest.mark.parametrize("word", AMBIGUOUS)
def test_in_quotes_nothing_is_ambiguous(word):
    document = parse(f"mode: '{word}'\n")
    assert document.values == {"mode": word}
    assert document.warnings == []


def test_an_ambiguous_key_is_text_and_warned_of():
    document = parse("on: [push]\n")
    assert document.values == {"on": ["push"]}
    assert [(each.line, each.column) for each in document.warnings] == [(1, 1)]


REFUSED = {
    "Y1 a tag that calls": ("a: !!python/object/apply:os.system [id]", "malformed", (1, 4)),
    "Y1 a tag that names": ("a: !!python/name:os.system", "malformed", (1, 4)),
    "Y1 a tag of a mapping": ("a: !thing {b: 1}", "malformed", (1, 4)),
    "Y1 a tag of the root": ("!!map\na: 1", "malformed", (1, 1)),
    "Y2 aliases that multiply": (
        "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]",
        "malformed",
        (1, 4),
    ),
    "Y2 an alias of nothing": ("a: *b", "malformed", (1, 4)),
    "Y3 20,000 lists": ("[" * 20_000, "malformed", None),
    "Y3 20,000 lists inside": ("a: " + "[" * 20_000, "malformed", None),
    "Y3 3,000 nested mappings": ("a: " + "{a: " * 3000, "malformed", (1, 80)),
    "Y3 deep by lines": ("\n".join(" " * n + "a:" for n in range(400)), "malformed", (21, 21)),
    "Y3 more than 256 KiB": ("#" * (MOST_BYTES + 1), "too_large", None),
    "Y3 more than 256 KiB by its bytes": ("#" + "é" * (MOST_BYTES // 2), "too_large", None),
    "Y3 too many items": ("a: [" + "1," * 6000 + "]", "malformed", (1, 10003)),
    "Y4 a key twice": ("a: 1\nb: 2\na: 3", "duplicate_key", (3, 1)),
    "Y4 a key twice inside": ("a:\n  b: 1\n  'b': 2", "duplicate_key", (3, 3)),
    "Y5 a dotted key beside its nested path": ("region: {id: 1}\nregion.id: 2", "key_clash", (2, 1)),
    "Y5 the reverse": ("region.id: 2\nregion: {id: 1}", "key_clash", (1, 1)),
    "Y5 inside": ("a:\n  b.c: 1\n  b: {c: 1}", "key_clash", (2, 3)),
    "Y7 a recursive alias": ("a: &a [*a]", "malformed", (1, 4)),
    "Y7 two documents": ("a: 1\n---\nb: 2", "malformed", (2, 1)),
    "Y7 a tab": ("a:\n\t- b", "malformed", (2, 1)),
    "Y7 4,301 digits": ("a: " + "9" * 4301, "malformed", (1, 4)),
    "Y8 no number": ("a: .nan", "malformed", (1, 4)),
    "Y8 infinity": ("a: -.inf", "malformed", (1, 4)),
    "Y8 more than a float holds": ("a: 1e999", "malformed", (1, 4)),
    "Y8 2^63": ("a: 9223372036854775808", "malformed", (1, 4)),
    "Y8 -2^63 - 1": ("a: -9223372036854775809", "malformed", (1, 4)),
    "Y8 more than 64 bits in hex": ("a: 0x1ffffffffffffffff", "malformed", (1, 4)),
    "Y8 a NUL in text": ('a: "\\0"', "malformed", (1, 4)),
    "Y8 a NUL": ("a: \0", "malformed", None),
    "Y8 a number as key": ("1: a", "malformed", (1, 1)),
    "Y8 null as key": ("~: a", "malformed", (1, 1)),
    "Y8 true as key": ("a:\n  true: a", "malformed", (2, 3)),
    "Y8 a list as key": ("? [a]\n: b", "malformed", (1, 3)),
    "an empty key": ("'': a", "malformed", (1, 1)),
    "a key of two lines": ('"a\\nb": a', "malformed", (1, 1)),
    "a merge key": ("<<: {a: 1}", "malformed", (1, 1)),
    "half a pair": ("a: \ud800", "malformed", None),
    "half a pair, escaped": ('a: "\\ud800"', "malformed", (1, 7)),
    "a list": ("- a", "malformed", (1, 1)),
    "a word": ("a", "malformed", (1, 1)),
    "no YAML": ("a: b: c", "malformed", (1, 5)),
    "an open quote": ("a: '" + "b" * 200_000, "malformed", None),
    "question marks": ("? " * 100_000, "malformed", (1, 3)),
    "hyphens": ("- " * 100_000, "malformed", (1, 41)),
    "a secret list": ("a: !secret [b]", "malformed", (1, 4)),
    "a reserved name": ("a: 1\nhost:\n  ip: 1", "reserved", (2, 1)),
    "a reserved name in a dotted key": ("global.limit: 1", "reserved", (1, 1)),
    "the host's own name": ("inventory_hostname: web", "reserved", (1, 1)),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(case):
    text, reason, where = case
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert refused.value.reason == f"variables.{reason}"
    if where is not None:
        assert (refused.value.details["line"], refused.value.details["column"]) == where
        assert refused.value.message.startswith(f"Line {where[0]}, column {where[1]}: ")


def test_a_reserved_name_is_free_further_down():
    assert parse("db: {host: x, global: 1}").values == {"db": {"host": "x", "global": 1}}


def test_largest_and_smallest_numbers_are_taken():
    assert parse(f"a: {2**63 - 1}\nb: {-(2**63)}").values == {"a": 2**63 - 1, "b": -(2**63)}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "~", "\ufeff"])
def test_an_empty_document_says_nothing(text):
    assert parse(text).values == {}


def test_a_byte_order_mark_is_left_out():
    document = parse("\ufeffa: !secret b\n")
    assert (document.values, document.masked()) == ({"a": Secret("b")}, f'a: !secret "{MASK}"\n')


SECRETS = {
    "plain": ("a: !secret hunter2 # why\nb: 1\n", f'a: !secret "{MASK}" # why\nb: 1\n', "hunter2"),
    "quoted": ('a: !secret "hun\\nter2"\n', f'a: !secret "{MASK}"\n', "hun\nter2"),
    "a number": ("a: !secret 0755\n", f'a: !secret "{MASK}"\n', "0755"),
    "in braces": ("x: {a: !secret hunter2, b: 1}\n", f'x: {{a: !secret "{MASK}", b: 1}}\n', "hunter2"),
    "in a list": ("a: [!secret hunter2]\n", f'a: [!secret "{MASK}"]\n', "hunter2"),
    "of several lines": (
        "a: !secret |\n  BEGIN\n  END\n\n# more\nb: 1\n",
        f'a: !secret "{MASK}"\n\n# more\nb: 1\n',
        "BEGIN\nEND\n",
    ),
    "folded at the end": ("a: !secret >-\n  one\n  two", f'a: !secret "{MASK}"', "one two"),
    "after letters of two bytes": ("é: ü\na: !secret hunter2\n", f'é: ü\na: !secret "{MASK}"\n', "hunter2"),
    "empty": ("a: !secret\n", f'a: !secret "{MASK}"\n', ""),
}


@pytest.mark.parametrize("case", SECRETS.values(), ids=SECRETS)
def test_secrets_are_masked_where_they_stand(case):
    text, shown, secret = case
    document = parse(text)
    assert [value for _, value in scalars(document.values) if isinstance(value, Secret)] == [Secret(secret)]
    assert document.masked() == shown
    assert masked(parse(shown).values) == masked(document.values)


@given(documents)
def test_masking_changes_nothing_but_secrets(tree):
    document = parse(as_yaml(tree))
    again = parse(document.masked())
    assert document.values == tree
    assert masked(again.values) == masked(tree)
    assert all(value.text == MASK for _, value in scalars(again.values) if isinstance(value, Secret))


def test_a_masked_secret_keeps_what_it_was():
    earlier = parse("db: {password: !secret hunter2, keys: [!secret one, two]}").values
    edited = parse(f'db: {{password: !secret "{MASK}", keys: [!secret "{MASK}", three]}}\nport: 1')
    assert keep_secrets(edited, earlier) == {
        "db": {"password": Secret("hunter2"), "keys": [Secret("one"), "three"]},
        "port": 1,
    }


def test_a_new_value_of_a_secret_replaces_it():
    earlier = parse("password: !secret hunter2").values
    assert keep_secrets(parse("password: !secret hunter3"), earlier) == {"password": Secret("hunter3")}


@pytest.mark.parametrize(
    "text",
    [
        f'new: !secret "{MASK}"',
        f"password: {MASK}",
        f'keys: [!secret "{MASK}"]',
        f'user: !secret "{MASK}"',
    ],
)
def test_a_mask_that_stands_for_nothing_is_refused(text):
    earlier = parse("password: !secret hunter2\nuser: me").values
    with pytest.raises(Invalid) as refused:
        keep_secrets(parse(text), earlier)
    assert refused.value.reason == "variables.secret_missing"
    assert refused.value.details["line"] == 1


YAML = st.text(st.sampled_from("ab1.:-?&*!|>'\"%@`#,[]{}<~=_ \n\t\0\\é\ud800") | st.characters(), max_size=40)


@given(YAML)
def test_whatever_is_written_is_read_or_refused(text):
    try:
        document = parse(text)
    except Invalid as refused:
        assert refused.reason.startswith("variables.")
        return
    assert parse(as_yaml(document.values)).values == document.values
    assert masked(parse(document.masked()).values) == masked(document.values)
