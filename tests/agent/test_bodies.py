"""Large scripts: once for all hosts of an IDC, encrypted; whoever missed a piece asks."""

import os

import msgspec
import pytest

from agent import bodies
from contracts import subjects
from contracts.agents import BODY_HEADER, PIECE_BYTES, AgentCall, AskBody, BodyPiece, RunScript, Verb
from contracts.errors import NotFound
from contracts.states import Outcome
from contracts.subjects import HostSubject
from runtime.bus import answer_agent
from runtime.signing import Box, encode, sha256
from tests.agent.agent_rig import DEADLINE_S, Dispatcher, Home, new_task, reached
from tests.servers import until


class Large:
    def __init__(self, what: str, size: int = 20_000) -> None:
        script = f"echo {what}\n" + "# padding\n" * (size // 10)
        self.plain = msgspec.json.encode(RunScript(language="shell", script=script, timeout_s=60))
        self.sha256 = sha256(self.plain)
        self.key = os.urandom(Box.SIZE)
        self.parts = [self.plain[at : at + PIECE_BYTES] for at in range(0, len(self.plain), PIECE_BYTES)]

    async def publish(self, jobs: Dispatcher, numbers: list[int] | None = None, *, garbled: bool = False) -> None:
        for number in numbers if numbers is not None else range(len(self.parts)):
            data = Box(self.key).close(self.parts[number])
            headers = {BODY_HEADER: f"{self.sha256} {number} {len(self.parts)}"}
            await jobs.bus.connection.publish(subjects.body("js"), data[::-1] if garbled else data, headers=headers)

    async def grant(self, jobs: Dispatcher, own, task: str) -> None:
        headers = jobs.headers(own, Verb.RUN, task, self.plain, body_key=encode(self.key))
        await jobs.bus.connection.publish(subjects.command(own.idc, own.host), b"", headers=headers)


class Desk:
    """The jobs service's answer to agents that missed a body."""

    def __init__(self) -> None:
        self.bodies: dict[str, Large] = {}
        self.asked: list[tuple[str, int]] = []

    async def piece(self, request: AskBody, sender: HostSubject) -> BodyPiece:
        self.asked.append((sender.host, request.piece))
        if request.sha256 not in self.bodies:
            raise NotFound("run.unknown", "The task has no such body.")
        parts = self.bodies[request.sha256].parts
        return BodyPiece(piece=request.piece, pieces=len(parts), data=encode(parts[request.piece]))


@pytest.fixture(scope="module")
async def desk(jobs: Dispatcher) -> Desk:
    answering = Desk()
    await jobs.bus.serve([answer_agent(AgentCall.BODY, AskBody, answering.piece)])
    return answering


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent asks for what does not come; here nobody is to ask because the machine stood still."""
    monkeypatch.setattr(bodies, "WAIT_S", DEADLINE_S)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("first", ["body", "grant"])
async def test_body_and_grant_may_come_in_either_order(jobs: Dispatcher, home: Home, desk: Desk, first: str):
    own = await reached(jobs, await home.agent())
    body, task = Large("broadcast"), new_task()
    if first == "body":
        await body.publish(jobs)
        await body.grant(jobs, own, task)
    else:
        await body.grant(jobs, own, task)
        await body.publish(jobs)
    assert (await jobs.report(own, task)).head == "broadcast\n"
    assert all(host != own.host for host, _ in desk.asked)


@pytest.mark.usefixtures("patience")
async def test_a_body_of_several_pieces_may_come_out_of_order(jobs: Dispatcher, home: Home, desk: Desk):
    own = await reached(jobs, await home.agent())
    body, task = Large("ä" * 50, 510_000), new_task()
    assert len(body.parts) == 2
    await body.publish(jobs, [1, 0])
    await body.grant(jobs, own, task)
    assert (await jobs.report(own, task)).head == "ä" * 50 + "\n"
    assert all(host != own.host for host, _ in desk.asked)


@pytest.mark.parametrize("arrived", ["nothing", "half", "garbled"])
async def test_an_agent_that_missed_it_asks(jobs: Dispatcher, home: Home, desk: Desk, arrived: str):
    own = await reached(jobs, await home.agent())
    body, task = Large("asked for", 510_000), new_task()
    desk.bodies[body.sha256] = body
    if arrived == "half":
        await body.publish(jobs, [1])
    elif arrived == "garbled":
        await body.publish(jobs, garbled=True)
    await body.grant(jobs, own, task)
    assert (await jobs.report(own, task)).head == "asked for\n"
    assert [piece for host, piece in desk.asked if host == own.host] == [0, 1]


async def test_without_its_body_a_command_starts_nothing_and_may_come_again(jobs: Dispatcher, home: Home, desk: Desk):
    own = await reached(jobs, await home.agent())
    body, task = Large("late"), new_task()
    await body.grant(jobs, own, task)
    ack = await jobs.ack(own, task)
    assert (ack.state, ack.reason) == (None, "command.body_missing")
    await body.publish(jobs)
    await body.grant(jobs, own, task)
    assert (await jobs.report(own, task)).outcome is Outcome.SUCCEEDED


@pytest.mark.usefixtures("patience")
async def test_bodies_are_never_mixed_up(jobs: Dispatcher, home: Home, desk: Desk):
    own = await reached(jobs, await home.agent())
    larges = [Large(f"body {n}") for n in range(10)]
    tasks = [new_task() for _ in larges]
    for body in reversed(larges):
        await body.publish(jobs)
    for body, task in zip(larges, tasks, strict=True):
        await body.grant(jobs, own, task)
    for n, task in enumerate(tasks):
        assert (await jobs.report(own, task)).head == f"body {n}\n"


@pytest.mark.usefixtures("patience")
async def test_pieces_that_nobody_needs_take_little_memory(jobs: Dispatcher, home: Home, desk: Desk):
    agent = await home.agent()
    own = await reached(jobs, agent)
    for n in range(20):
        headers = {BODY_HEADER: f"{n:064x} 0 2"}
        await jobs.bus.connection.publish(subjects.body("js"), bytes(PIECE_BYTES), headers=headers)
    for header in ("", "x 0 1", f"{0:064x} 5 2", f"{0:064x} 0 999", f"{0:064x} -1 2"):
        await jobs.bus.connection.publish(subjects.body("js"), b"x", headers={BODY_HEADER: header or "-"})
    body, task = Large("still works"), new_task()
    await body.publish(jobs)
    await body.grant(jobs, own, task)
    await jobs.report(own, task)
    await until(lambda: agent.parts.bodies.held_bytes <= 4 * 1024 * 1024, "what is kept is bounded")
