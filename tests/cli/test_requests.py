"""Every call of the contracts becomes a request that the gateway reads back as it was."""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.client import API, encoded
from contracts import hosts, registry, runs
from contracts.kinds import Call
from services.gateway.edge import reading
from tests.smallest import smallest

ROUTED = [call for call in registry.calls() if call.http]


def read_back(call: Call[Any, Any], path: str, body: bytes | None) -> Any:
    """As the gateway does it, without its network."""
    assert call.http is not None
    parts = urlsplit(path)
    pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", API + call.http.path)
    match = re.fullmatch(pattern, parts.path)
    assert match, path
    named = reading.path({name: unquote(value) for name, value in match.groupdict().items()}, call.request)
    if body is None:
        given = reading.Query(call.request).read(parse_qsl(parts.query, keep_blank_values=True))
    else:
        given = reading.parse(body)
    return reading.fit({**given, **named}, call.request)


@pytest.mark.parametrize("call", ROUTED, ids=lambda call: call.subject)
def test_the_smallest_request_of_every_call_arrives(call):
    request = smallest(call.request)
    assert read_back(call, *encoded(call.http, request)) == request


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)


@given(
    TEXT, st.lists(st.sampled_from(["js", "bj", "a-b_c"])), st.sampled_from([None, True, False]), st.integers(1, 1000)
)
def test_queries_carry_texts_lists_and_booleans(search, idcs, online, limit):
    request = hosts.ListHosts(search=search, idcs=tuple(idcs), online=online, limit=limit)
    assert read_back(hosts.list_hosts, *encoded(hosts.list_hosts.http, request)) == request


@given(
    TEXT.filter(bool),
    st.lists(TEXT),
    st.dictionaries(st.from_regex(r"[A-Za-z_]\w{0,9}", fullmatch=True).filter(str.isascii), TEXT),
)
def test_bodies_carry_scripts(script, args, env):
    request = runs.StartRun(
        script=script,
        args=tuple(args),
        env=env,
        targets=hosts.Targets(idcs=("js",), exclude=hosts.HostFilter(ips=("10.0.0.1",))),
        parameters=(runs.Parameter(name="key", value="x", masked=True),),
    )
    assert read_back(runs.start, *encoded(runs.start.http, request)) == request


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_change_the_path_is_refused(name):
    with pytest.raises(click.UsageError):
        encoded(runs.show.http, runs.RunRef(run=name))


def test_a_name_cannot_leave_its_place_in_the_path():
    path, _ = encoded(runs.show.http, runs.RunRef(run="../hosts?x=1#y"))
    assert path == "/api/v1/runs/..%2Fhosts%3Fx%3D1%23y"
