"""Watching with `drover`: what a person at a terminal sees, and what a bad network cannot break."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.exits import Exit
from tests.e2e.command_line import drover, environment, terminal, wire
from tests.plane import PASSWORD, Plane
from tests.servers import until


@dataclass
class Held:
    """A script that runs until the test lets it go."""

    folder: Path

    @property
    def script(self) -> str:
        began, go = self.folder / "began", self.folder / "go"
        return f"echo began; touch {began}; while [ ! -e {go} ]; do sleep 0.1; done; echo let go"

    async def begun(self) -> None:
        await until((self.folder / "began").exists, "the script runs")

    def let_go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def held(tmp_path):
    made = Held(tmp_path)
    yield made
    made.let_go()


async def test_ctrl_c_ends_the_watching_and_not_the_run(plane: Plane, held, tmp_path):
    async with terminal(environment(plane, tmp_path), "x", held.script, "-t", "js-1") as shown:
        await shown.until("0/1")
        await held.begun()
        shown.type("\x03")
        assert await shown.status() == Exit.INTERRUPTED
    [run] = set(re.findall(r"drover run (?:watch|stop) (\w+)", shown.screen))
    assert f"run {run} goes on" in shown.screen
    assert "Traceback" not in shown.screen
    assert (await plane.show(run))["state"] == "running"
    held.let_go()
    watched = await drover(environment(plane, tmp_path), "run", "watch", run)
    assert watched.returncode == Exit.SUCCEEDED
    assert watched.stdout.splitlines()[1:] == ["began", "let go"]


async def test_time_out_of_watching_is_status_6_and_the_run_can_be_stopped(plane: Plane, held, tmp_path):
    environ = environment(plane, tmp_path)
    said = await drover(environ, "x", held.script, "-t", "js-1", "--timeout", "2")
    assert (said.returncode, said.stdout) == (Exit.STILL_RUNNING, ""), said.stderr
    run = said.stderr.split()[1]
    await held.begun()
    stopped = await drover(environ, "run", "stop", run, "--why", "enough")
    assert stopped.returncode == 0, stopped.stderr
    ended = await drover(environ, "run", "watch", run)
    assert ended.returncode == Exit.FAILED_HOSTS
    assert ended.stdout.startswith("1 host: stopped")


@contextlib.asynccontextmanager
async def watching_through(plane: Plane, held: Held, home: Path, *, deaf: bool) -> AsyncIterator[tuple]:
    async with wire(plane, deaf_to_streams=deaf) as between:
        environ = environment(plane, home, DROVER_URL=between.url)
        async with terminal(environ, "x", held.script, "-t", "js-1") as shown:
            yield between, shown


async def test_a_stream_that_is_cut_is_taken_up_again(plane: Plane, held, tmp_path):
    async with watching_through(plane, held, tmp_path, deaf=False) as (between, shown):
        await held.begun()
        await until(lambda: between.numbered > 0, "an event has a number")
        for times in (1, 2, 3):
            await until(lambda wanted=times: len(between.streams) >= wanted, f"stream {times} is opened")
            between.cut(whole=times == 1)
        await until(lambda: len(between.streams) >= 4, "the stream is opened again")
        held.let_go()
        assert await shown.status() == Exit.SUCCEEDED
    assert "let go" in shown.screen
    assert any("Last-Event-ID:" in head for head in between.streams[1:])


async def test_without_a_stream_the_run_is_asked_for(plane: Plane, held, tmp_path):
    async with watching_through(plane, held, tmp_path, deaf=True) as (between, shown):
        await held.begun()
        held.let_go()
        assert await shown.status() == Exit.SUCCEEDED
    assert between.streams
    assert "let go" in shown.screen


async def test_a_gateway_that_comes_back_is_enough(plane: Plane, held, tmp_path):
    async with terminal(environment(plane, tmp_path), "x", held.script, "-t", "js-1") as shown:
        await held.begun()
        await plane.kill("gateway")
        held.let_go()
        await plane.start("gateway")
        assert await shown.status() == Exit.SUCCEEDED
    assert "let go" in shown.screen


async def test_output_is_followed_as_it_comes(plane: Plane, held, tmp_path):
    environ = environment(plane, tmp_path)
    run = (await drover(environ, "x", held.script, "-t", "js-1", "--detach", "-o", "name")).stdout.strip()
    async with terminal(environ, "run", "output", run, "js-1", "--follow") as shown:
        await shown.until("began\n")
        held.let_go()
        await shown.until("let go\n")
        assert await shown.status() == 0
    assert shown.screen == "began\nlet go\n"


async def test_followed_output_survives_a_cut(plane: Plane, tmp_path):
    environ, lines = environment(plane, tmp_path), 40_000
    script = f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; done"
    run = (await drover(environ, "x", script, "-t", "js-1", "--detach", "-o", "name")).stdout.strip()
    async with wire(plane) as between:
        following = asyncio.create_task(
            drover({**environ, "DROVER_URL": between.url}, "run", "output", run, "js-1", "--follow")
        )
        for times in (1, 2):
            await until(lambda wanted=times: following.done() or len(between.streams) >= wanted, "it follows")
            between.cut()
        said = await following
    assert said.returncode == 0, said.stderr
    assert said.stdout == "".join(f"line {n}\n" for n in range(1, lines + 1))


async def test_a_person_is_asked_before_many_hosts(plane: Plane, tmp_path):
    environ = environment(plane, tmp_path)
    command = ["x", "true", "-t", "all", "--ask-above", "5"]
    async with terminal(environ, *command) as shown:
        await shown.until("Run on 6 hosts? Type 6 to start")
        shown.type("yes\n")
        assert await shown.status() == Exit.USAGE
    assert "nothing was started" in shown.screen
    async with terminal(environ, *command) as shown:
        await shown.until("Type 6 to start")
        shown.type("6\n")
        assert await shown.status() == Exit.SUCCEEDED
    async with terminal(environ, *command, "-y") as shown:
        assert await shown.status() == Exit.SUCCEEDED
    assert "Type 6" not in shown.screen


async def test_login_asks_at_a_terminal_and_does_not_show_the_password(plane: Plane, tmp_path):
    environ = environment(plane, tmp_path, DROVER_URL="", DROVER_TOKEN="")
    async with terminal(environ, "login", plane.url) as shown:
        await shown.until("User: ")
        shown.type("admin\n")
        await shown.until("Password: ")
        shown.type(PASSWORD + "\n")
        assert await shown.status() == 0
    assert PASSWORD not in shown.screen
    async with terminal(environ, "login", plane.url) as shown:
        await shown.until("User: ")
        assert await shown.interrupted() == Exit.INTERRUPTED


async def test_a_host_cannot_steer_the_terminal(plane: Plane, tmp_path):
    async with terminal(environment(plane, tmp_path), "x", "printf '\\033]0;owned\\007\\n'", "-t", "js-1") as shown:
        assert await shown.status() == Exit.SUCCEEDED
    assert "\\x1b]0;owned\\x07" in shown.screen
    assert "\x1b]0;" not in shown.screen
