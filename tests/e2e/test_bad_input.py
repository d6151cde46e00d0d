"""What people, programs and attackers get wrong: each a clear refusal, nothing started, nothing broken."""

import asyncio
import json
import time

import msgspec
import pytest
import pytest_asyncio

from contracts import subjects
from contracts.agents import GRANT_CONTEXT, GRANT_HEADER, SIGNATURE_HEADER, Ack, Grant, Language, RunScript, Verb
from runtime.signing import Signer, decode, sha256
from tests.conftest import service_bus
from tests.plane import Plane
from tests.servers import until

GOOD = {"script": "echo never", "targets": {"all": True}}
REFUSED_RUNS = {
    "no targets named": ({**GOOD, "targets": {}}, 422, "targets.none_asked"),
    "empty list": ({**GOOD, "targets": {"ips": []}}, 422, "targets.none_asked"),
    "unknown IP": ({**GOOD, "targets": {"ips": ["203.0.113.9"]}}, 422, "targets.unknown"),
    "unknown id": ({**GOOD, "targets": {"ids": ["h-nobody"]}}, 422, "targets.unknown"),
    "nothing left": ({**GOOD, "targets": {"all": True, "exclude": {"idcs": ["js", "bj"]}}}, 422, "targets.empty"),
    "group that is not there": ({**GOOD, "targets": {"groups": ["nosuch"]}}, 422, "group.unknown_member"),
    "expression with a typing error": (
        {**GOOD, "targets": {"all": True, "exclude": {"where": "tagg = web"}}}, 422, "expression.unknown_attribute",
    ),
    "expression of parentheses": ({**GOOD, "targets": {"where": "(" * 10_000}}, 422, "expression.too_large"),
    "expression of a megabyte": ({**GOOD, "targets": {"where": "x" * 900_000}}, 422, "expression.too_large"),
    "expression of many terms": (
        {**GOOD, "targets": {"where": " or ".join(["tag=a"] * 10_000)}}, 422, "expression.too_large",
    ),
    "expression with a query in it": ({**GOOD, "targets": {"where": {"$where": "1"}}}, 422, "bus.malformed"),
    "expression for nobody": ({**GOOD, "targets": {"where": "tag = (a+)+$"}}, 422, "expression.malformed"),
    "another set than expected": ({**GOOD, "expect_hash": "0" * 64}, 409, "targets.changed"),
    "script too large": ({**GOOD, "script": "x" * (512 * 1024 + 1)}, 413, "run.script_too_large"),
    "NUL in the script": ({**GOOD, "script": "echo \0"}, 422, None),
    "NUL in an argument": ({**GOOD, "args": ["a\0b"]}, 422, None),
    "empty script": ({**GOOD, "script": ""}, 422, None),
    "no time": ({**GOOD, "timeout_s": 0}, 422, None),
    "too much time": ({**GOOD, "timeout_s": 259_201}, 422, None),
    "time as a word": ({**GOOD, "timeout_s": "long"}, 422, None),
    "wrong type": ({**GOOD, "script": {"$ne": None}}, 422, None),
    "unknown field": ({**GOOD, "sudo": True}, 422, "http.unknown_field"),
    "unknown field deeper": ({**GOOD, "targets": {"idc": ["js"]}}, 422, "http.unknown_field"),
    "unknown language": ({**GOOD, "language": "perl"}, 422, None),
    "account by number": ({**GOOD, "account": "0"}, 422, None),
    "account with a line": ({**GOOD, "account": "root\n"}, 422, None),
    "loader variable": ({**GOOD, "env": {"LD_PRELOAD": "x.so"}}, 422, "run.refused_variable"),
    "parameter twice": (
        {**GOOD, "parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}, 422, "run.duplicate_parameter"
    ),
}  # fmt: skip


async def number_of_runs(plane: Plane) -> int:
    return await plane.database("jobs")["runs"].count_documents({})


@pytest.mark.parametrize("case", REFUSED_RUNS)
async def test_a_wrong_run_is_refused_with_a_sentence(plane: Plane, case):
    body, expected, reason = REFUSED_RUNS[case]
    before = await number_of_runs(plane)
    status, problem = await plane.api("POST", "/runs", body)
    assert status == expected, problem
    assert reason in {None, problem["reason"]}
    assert len(problem["detail"]) > 10
    assert await number_of_runs(plane) == before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000, 400),
        (b"\xff\xfe", 400),
        (b'{"script":"id","script":"reboot","targets":{"all":true}}', 400),
        (b'{"script":"\\ud800","targets":{"all":true}}', 422),
        (b'{"script":"id","targets":{"all":true},"timeout_s":' + b"9" * 5000 + b"}", 400),
        (b'{"script":"id","targets":{"all":true},"timeout_s":NaN}', 400),
        (b'{"script":"id","targets":{"all":true},"timeout_s":1e999}', 422),
        (b"null", 422),
        (b"[]", 422),
    ],
)
async def test_a_body_that_is_no_request_is_refused(plane: Plane, body, expected):
    before = await number_of_runs(plane)
    headers = {"Authorization": f"Bearer {plane.token}", "Content-Type": "application/json"}
    async with plane.http.post(f"{plane.url}/api/v1/runs", data=body, headers=headers) as answer:
        problem = json.loads(await answer.text())
        assert answer.status in {expected, 400 if expected == 422 else 422}, problem
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert await number_of_runs(plane) == before


async def test_unknown_runs_hosts_and_pages_are_not_found(plane: Plane):
    run = await plane.run("true", {"hostnames": ["js-1"]})
    await plane.finished(run)
    for path in (
        "/runs/nosuch",
        "/runs/nosuch/hosts",
        f"/runs/{run}/hosts/h-nosuch/output",
        "/hosts/h-nosuch",
        "/nosuch",
    ):
        status, problem = await plane.api("GET", path)
        assert status == 404, (path, problem)
    for path in (f"/runs/{run}/hosts/..%2f..%2fetc%2fpasswd/output", "/hosts/%2a", "/hosts/a.b", "/runs/%3E"):
        assert (await plane.api("GET", path))[0] in {404, 422}, path


async def test_a_finished_run_cannot_be_stopped_into_another_state(plane: Plane):
    run = await plane.run("true", {"hostnames": ["js-1"]})
    await plane.finished(run)
    status, _ = await plane.api("POST", f"/runs/{run}/stop", {"why": "late"})
    assert status in {200, 409}
    assert (await plane.show(run))["state"] == "succeeded"
    status, problem = await plane.api("POST", f"/runs/{run}/retry", {})
    assert (status, problem["reason"]) == (409, "run.nothing_to_retry")


class Forger:
    """Speaks to one host over the real bus with the service's credential, as whoever took over the broker could."""

    def __init__(self, plane: Plane, bus, host: str) -> None:
        self.plane, self.bus, self.host = plane, bus, host
        self.signer = Signer(decode(plane.nats.trust.command_seed.read_text().strip()), GRANT_CONTEXT)
        self.acks: list[Ack] = []

    async def listen(self) -> None:
        async def ack(message):
            if message.data:
                self.acks.append(msgspec.json.decode(message.data, type=Ack))

        await self.bus.hear(subjects.ack("js", self.host, self.bus.instance), ack)
        await self.bus.connection.flush()

    def command(self, script: str, task: str, **changed):
        body = msgspec.json.encode(RunScript(language=Language.SHELL, script=script, timeout_s=60))
        now = time.time()
        grant = Grant(
            **{
                "kid": self.signer.key_id, "verb": Verb.RUN, "task": task, "host": self.host, "instance": self.bus.instance,
                "issued": now, "not_after": now + 60, "sha256": sha256(body), **changed,
            }
        )  # fmt: skip
        data = msgspec.json.encode(grant)
        return data, self.signer.sign(data), body

    async def send(self, data: bytes, signature: str, body: bytes) -> None:
        headers = {GRANT_HEADER: data.decode(), SIGNATURE_HEADER: signature}
        await self.bus.connection.publish(subjects.command("js", self.host), body, headers=headers)
        await self.bus.connection.flush()


@pytest_asyncio.fixture
async def forger(plane: Plane):
    host = (await plane.hosts())["js-1"]
    async with service_bus(plane.nats, "jobs") as bus:
        forger = Forger(plane, bus, host)
        await forger.listen()
        yield forger


async def test_forged_commands_start_nothing(plane: Plane, forger: Forger, tmp_path):
    mark = tmp_path / "mark"
    script = f"echo line >> {mark}"
    other = Signer(b"e" * 32, GRANT_CONTEXT)
    data, signature, body = forger.command(script, "forged-1-1-1")
    forged = [
        (data, other.sign(data), body),
        (data, f"{forger.signer.key_id}.{other.sign(data).partition('.')[2]}", body),
        (data.replace(b"forged-1-1-1", b"forged-1-1-2"), signature, body),
        (data, signature, body.replace(b"line", b"evil")),
        (data, "", body),
    ]
    now = time.time()
    for n, changed in enumerate((
        {"host": "h-000000000000"},
        {"not_after": now - 300, "issued": now - 900},
        {"issued": now + 600, "not_after": now + 900},
        {"not_after": now + 86_400},
        {"v": 0},
        {"v": 99},
    )):  # fmt: skip
        forged.append(forger.command(script, f"forged-2-1-{n}", **changed))
    for each in forged:
        await forger.send(*each)
    # The genuine one comes last: once it has been acknowledged, the host has seen all the others.
    await forger.send(*forger.command(f"echo genuine >> {mark}", f"genuine{int(now)}-1-1-1"))
    await until(lambda: mark.exists() and mark.read_text() != "", "the genuine command runs")
    assert mark.read_text() == "genuine\n"
    assert all(ack.reason for ack in forger.acks if ack.task.startswith("forged"))


async def test_a_replayed_command_runs_once(plane: Plane, forger: Forger, tmp_path):
    mark = tmp_path / "mark"
    task = f"replayed{int(time.time())}-1-1-1"
    command = forger.command(f"echo line >> {mark}", task)
    for _ in range(200):
        await forger.send(*command)
    await until(lambda: mark.exists() and mark.read_text() != "", "it runs")
    await asyncio.gather(*(forger.send(*command) for _ in range(50)))
    # Commands of a host are taken in order: when a later one has run, all copies have been looked at.
    await forger.send(*forger.command(f"touch {mark}.later", f"later{int(time.time())}-1-1-1"))
    await until(mark.with_suffix(".later").exists, "a later command runs")
    assert mark.read_text() == "line\n"
    await until(lambda: any(ack.task == task for ack in forger.acks), "it is answered")
    assert {ack.reason for ack in forger.acks if ack.task == task} == {""}


async def test_join_tokens_end(plane: Plane):
    status, token = await plane.api("POST", "/join-tokens", {"idc": "js", "uses": 1})
    assert status == 201
    assert (await plane.api("DELETE", f"/join-tokens/{token['id']}"))[0] == 200
    for bad in (
        {"idc": "gateway"},
        {"idc": "mars"},
        {"idc": "a.b"},
        {"idc": "js", "uses": 0},
        {"idc": "js", "expires_in_s": 1},
    ):
        status, problem = await plane.api("POST", "/join-tokens", bad)
        assert status == 422, problem
