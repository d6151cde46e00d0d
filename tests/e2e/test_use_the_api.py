"""The how-to's commands, run as they stand there; and the live stream of real scripts."""

import asyncio
import os
import re
from pathlib import Path

from tests.plane import PASSWORD, PROJECT, RUN_S, Plane
from tests.servers import until


async def test_the_commands_of_the_how_to_work(plane: Plane, tmp_path):
    text = (PROJECT / "docs" / "howto" / "use-the-api.md").read_text()
    script = "set -eu\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S))
    environ = {**os.environ, "DROVER_URL": plane.url, "DROVER_NAME": "admin", "DROVER_PASSWORD": PASSWORD}
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=tmp_path, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), RUN_S)
    assert process.returncode == 0, (out, err)
    assert b"event: jobs.run" in out
    assert b'"reason":"auth.required"' in out
    [file] = tmp_path.glob("output-h-*.txt")
    assert file.read_text().startswith("hello from ")


def say(flag: Path, before: str, after: str, *, status: int = 0) -> str:
    return f"echo {before}; while [ ! -e {flag} ]; do sleep 0.1; done; echo {after}; exit {status}"


async def collect(plane: Plane, run: str, host: str, told: list):
    async for event in plane.stream(run, output=[f"{run}:{host}"]):
        told.append(event)


async def test_who_comes_late_sees_the_beginning_while_the_script_runs_and_then_the_rest(plane: Plane, tmp_path):
    flag = tmp_path / "go on"
    run = await plane.run(say(f"'{flag}'", "early", "late", status=1), {"hostnames": ["js-1"]})

    async def has_begun():
        [result] = await plane.results(run)
        return result["state"] == "running"

    await until(has_begun, "the script runs")
    [result] = await plane.results(run)
    told: list = []
    watching = asyncio.create_task(collect(plane, run, result["host"], told))

    def text():
        return [(each.data["task"], each.data["offset"], each.data["text"]) for each in told if each.kind == "output"]

    def ends():
        return [each.data for each in told if each.kind == "output.end"]

    try:
        await until(lambda: bool(text()), "the beginning is shown while the script runs")
        assert text() == [(result["task"], 0, "early\n")]
        assert not ends()
        flag.touch()
        await until(lambda: len(ends()) == 1, "the output ends")
        assert "".join(each for _, _, each in text()) == "early\nlate\n"
        assert ends()[0]["offset"] == len("early\nlate\n")
        assert (await plane.finished(run))["state"] == "failed"
        told.clear()
        status, _ = await plane.api("POST", f"/runs/{run}/retry", {})
        assert status == 200
        await until(lambda: bool(ends()), "the second try ends")
        assert {task for task, _, _ in text()} == {ends()[0]["task"]} != {result["task"]}
        assert "".join(each for _, _, each in text()) == "early\nlate\n"
        await until(
            lambda: "running" in [each.data["state"] for each in told if each.kind == "jobs.run"], "it runs again", 60
        )
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
