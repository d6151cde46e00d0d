"""Reading requests, without HTTP: whatever is sent, the answer is a struct or a refusal."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import registry
from contracts.errors import Invalid, NotFound
from contracts.hosts import ListHosts
from contracts.runs import RunRef, StartRun
from services.gateway.edge import reading
from services.gateway.edge.rates import ADDRESSES, Rates

KINDS = st.sampled_from([call.request for call in registry.calls()])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_refused(body):
    try:
        reading.parse(body)
    except Invalid as error:
        assert error.reason.startswith(("http.", "bus."))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(KINDS, st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_any_object_fits_or_is_refused(kind, value):
    try:
        text = json.dumps(value).encode()
        made = reading.fit(reading.parse(text), kind)
    except Invalid as error:
        assert error.reason.startswith(("http.", "bus."))
    else:
        msgspec.json.encode(made)


@given(KINDS, st.lists(st.tuples(st.text(max_size=10), st.text(max_size=20)), max_size=5))
def test_any_query_fits_or_is_refused(kind, pairs):
    try:
        query = reading.Query(kind)
    except TypeError:
        return
    try:
        reading.fit(query.read(pairs), kind)
    except Invalid as error:
        assert error.reason.startswith(("http.", "bus."))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"9" * 4301, "A number of the body does not fit in 64 bits."),
        (b'{"a": -' + b"9" * 9999 + b"}", "A number of the body does not fit in 64 bits."),
        (b'"\xff"', "The body is not JSON: not UTF-8."),
        (b'{"a"}', "The body is not JSON at character 4."),
    ],
)
def test_what_is_wrong_with_a_body_is_said(body, sentence):
    with pytest.raises(Invalid) as refused:
        reading.parse(body)
    assert refused.value.message == sentence


def test_what_fits_means_the_same_as_on_the_bus():
    body = b'{"script":"x","targets":{"ids":["a"],"exclude":{"tags":["b"]}},"env":{"A":"1"}}'
    assert reading.fit(reading.parse(body), StartRun) == msgspec.json.decode(body, type=StartRun)


def test_an_unknown_field_is_named_with_its_place():
    body = b'{"script":"x","targets":{"exclude":{"tag":["b"]}}}'
    with pytest.raises(Invalid) as refused:
        reading.fit(reading.parse(body), StartRun)
    assert refused.value.details == {"field": "$.targets.exclude.tag"}


def test_a_query_reads_lists_numbers_and_booleans():
    pairs = [("idcs", "js"), ("idcs", "1"), ("online", "true"), ("limit", "5"), ("search", "7")]
    made = reading.fit(reading.Query(ListHosts).read(pairs), ListHosts)
    assert made == ListHosts(idcs=("js", "1"), online=True, limit=5, search="7")


def test_a_path_that_can_name_nothing_is_not_found():
    assert reading.path({"run": "r-1"}, RunRef) == {"run": "r-1"}
    with pytest.raises(NotFound):
        reading.path({"run": "../x"}, RunRef)


def test_an_address_has_its_burst_and_then_its_rate():
    now = [0.0]
    rates = Rates(burst=3, per_second=1, clock=lambda: now[0])
    for _ in range(3):
        rates.take("a")
    with pytest.raises(Invalid) as refused:
        rates.take("a")
    assert refused.value.details == {"retry_after_s": 1}
    rates.take("b")
    now[0] = 1.0
    rates.take("a")
    with pytest.raises(Invalid):
        rates.take("a")


def test_addresses_that_asked_long_ago_are_forgotten():
    rates = Rates(burst=1, per_second=0.001)
    rates.take("first")
    for number in range(ADDRESSES):
        rates.take(str(number))
    rates.take("first")
    with pytest.raises(Invalid):
        rates.take(str(ADDRESSES - 1))
