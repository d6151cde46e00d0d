"""Whatever fits or does not fit the API document, sent by each built-in role: never a 5xx, and never a hang.

On a plane without hosts: what is made up here may ask for anything, and some of it is a script for all hosts.
"""

import asyncio
from collections import Counter

import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from contracts.permissions import Role
from tests.plane import Plane

EXAMPLES = 4
"""Per operation, each sent by every role. The same ones every time: a test must not fail on some days only."""
SLOWEST_S = 10
STREAM = "/api/v1/stream"
"""Answers for as long as somebody listens."""

deterministic = settings(
    derandomize=True,
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest_asyncio.fixture(autouse=True)
async def forgotten(bare_plane: Plane):
    """Made-up logins lock out this address; nobody after this test is meant."""
    yield
    await bare_plane.database("gateway")["login_failures"].delete_many({})


async def test_no_request_of_any_role_is_answered_with_a_5xx(bare_plane: Plane):
    tokens = {role: await bare_plane.person(f"any-{role}", [role]) for role in Role}
    async with bare_plane.http.get(f"{bare_plane.url}/api/openapi.json") as answer:
        document = await answer.json()
    sender = Sender(bare_plane.url, tokens)
    await asyncio.to_thread(sender.send_all, document)
    assert sender.failed == []
    statuses = set(sender.statuses)
    assert {200, 201, 400, 403, 404, 422} <= statuses, "both what fits and what does not was sent"
    assert (await bare_plane.api("GET", "/me"))[0] == 200


class Sender:
    def __init__(self, url, tokens):
        self.url, self.tokens = url, tokens
        self.statuses = Counter()
        self.failed = []
        """What was answered with a 5xx."""
        self.session = requests.Session()
        self.session.trust_env = False  # this is about the plane on this machine, never about a proxy

    def send_all(self, document):
        with self.session:
            for found in schemathesis.openapi.from_dict(document).get_all_operations():
                if found.ok().path != STREAM:
                    cases = st.one_of(found.ok().as_strategy(generation_mode=mode) for mode in GenerationMode)
                    deterministic(given(cases)(self.send))()

    def send(self, case):
        for role, token in self.tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            answer = case.call(base_url=self.url, headers=headers, session=self.session, timeout=SLOWEST_S)
            self.statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                self.failed.append((case.operation.label, role, answer.status_code, answer.text, str(case.body)[:500]))
