"""What is written down of a request holds no secret, and no more than anybody reads."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import hosts, people, registry, runs
from contracts.hosts import Targets
from contracts.redaction import DEEPEST, HIDDEN, LARGEST, LONGEST_TEXT, MOST_ITEMS, TAG, is_secret, written
from contracts.runs import Parameter, StartRun
from services.gateway.pages.login import LogIn

CANARY = "canary-7c1f"

KNOWN_SECRETS = (
    LogIn(name="ada", password=CANARY),
    people.CreatePerson(name="ada", password=CANARY, roles=()),
    people.ApiToken(id="t", label="l", owner="o", created_at=None, expires_at=None, secret=CANARY),
    people.Integration(name="i-x", calls=(), events=(), created_at=None, expires_at=None, credentials=CANARY),
    hosts.Enrol(token=CANARY, nonce="n", user_key="U", box_key="b", signature=CANARY),
    hosts.JoinToken(id="j", idc="js", expires_at=None, uses_left=1, created_by="ada", secret=CANARY),
    hosts.Enrolled(host="h", idc="js", jwt=CANARY, ca="", command_keys={}, relays=()),
    StartRun(
        script="true",
        targets=Targets(all=True),
        parameters=(Parameter(name="p", value=CANARY, masked=True),),
        env={"DB_PASSWORD": CANARY, "apiToken": CANARY},
    ),
)


@pytest.mark.parametrize("message", KNOWN_SECRETS, ids=lambda message: type(message).__name__)
def test_what_is_known_to_be_secret_is_hidden(message):
    assert CANARY in str(msgspec.to_builtins(message))
    text = written(message)
    assert CANARY not in text
    assert HIDDEN in json.loads(text).values() or HIDDEN in json.dumps(json.loads(text), ensure_ascii=False)


def test_every_secret_by_name_of_every_request_is_hidden():
    found = 0
    for call in registry.calls():
        _, schemas = msgspec.json.schema_components([call.request])
        for name, schema in schemas.items():
            given = {field: CANARY for field in schema.get("properties", {}) if is_secret(field)}
            found += len(given)
            assert CANARY not in written({name: [given]}), call.subject
    assert found >= 3  # passwords, join tokens, signatures


def test_every_field_whose_type_is_secret_is_hidden():
    found = 0
    for call in registry.calls():
        for field in msgspec.structs.fields(call.request):
            kind = msgspec.inspect.type_info(field.type)
            if isinstance(kind, msgspec.inspect.Metadata) and (kind.extra or {}).get("secret"):
                assert CANARY not in written({field.name: CANARY}, call.conceals), (call.subject, field.name)
                found += 1
    assert found >= 4


secret_names = st.sampled_from(
    ["password", "newPassword", "API_TOKEN", "secret", "join_token", "Cookie", "signing_seed"]
)
names = st.text(max_size=5).filter(lambda name: not is_secret(name))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=10,
)
trees = st.recursive(
    st.dictionaries(secret_names, st.just(CANARY) | st.just([CANARY]) | st.just({"a": CANARY}), min_size=1)
    | st.fixed_dictionaries({"name": names, "masked": st.just(True), "value": st.just(CANARY)})
    | st.fixed_dictionaries({"secret": st.just(True), "default": st.just([CANARY])})
    | st.just(f"db: {TAG} {CANARY}"),
    lambda inner: st.lists(inner | plain, max_size=4) | st.dictionaries(names, inner | plain, max_size=4),
    max_leaves=8,
)


@given(trees)
def test_no_secret_gets_through_wherever_it_stands(tree):
    assert CANARY not in written(tree)


@given(plain)
def test_what_is_written_is_json_with_one_spelling(value):
    text = written(value)
    if value is None:
        assert text == ""
    else:
        assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) == text
        assert text.isascii()


def test_a_call_can_conceal_what_no_name_shows():
    assert CANARY not in written({"document": CANARY, "scope": "global"}, ("document",))
    assert json.loads(written({"document": "", "scope": "global"}, ("document",))) == {
        "document": "",
        "scope": "global",
    }


def test_flags_and_empty_values_of_secret_fields_stay():
    assert json.loads(written({"secret": False, "token": "", "password": None})) == {
        "secret": False,
        "token": "",
        "password": None,
    }


def test_a_long_text_is_its_beginning_and_the_hash_of_the_whole():
    script = "x" * (LONGEST_TEXT + 1)
    told = json.loads(written({"script": script}))["script"]
    assert told == {
        "begins": script[:LONGEST_TEXT],
        "characters": len(script),
        "sha256": hashlib.sha256(script.encode()).hexdigest(),
    }


def test_a_long_list_is_its_beginning_and_how_many_more():
    told = json.loads(written({"hosts": [f"h-{n}" for n in range(10_000)]}))["hosts"]
    assert len(told) == MOST_ITEMS + 1
    assert told[-1]["more"] == 10_000 - MOST_ITEMS


@pytest.mark.parametrize(
    "value",
    [
        {f"k{n}": "v" * LONGEST_TEXT for n in range(1000)},
        [["v" * LONGEST_TEXT] * 100] * 100,
        {"script": "\N{SNOWMAN}" * 900_000},
        json.loads('{"a":' * 100 + "1" + "}" * 100),
    ],
)
def test_nothing_makes_a_row_large(value):
    assert len(written(value)) <= LARGEST


def test_what_is_nested_too_deeply_ends_there():
    deep = CANARY
    for _ in range(DEEPEST + 1):
        deep = [deep]
    assert CANARY not in written(deep)


def test_runs_are_shown_without_masked_values():
    told = json.loads(written(KNOWN_SECRETS[-1]))
    assert told["parameters"] == [{"name": "p", "masked": True, "value": HIDDEN}]
    assert told["script"] == "true"
    assert runs.MASK == HIDDEN
