"""A host's whole output as a file."""

import aiohttp
import pytest
import pytest_asyncio

from tests.gateway.live_runs import Stored, live_runs


@pytest_asyncio.fixture(scope="module")
async def runs(nats):
    async with live_runs(nats) as made:
        yield made


@pytest.mark.parametrize("text", [b"", b"short\n", "é漢\n".encode() * 200_000], ids=["empty", "short", "long"])
async def test_the_file_is_the_whole_text(viewer, runs, text):
    run = runs.begin()
    runs.stored[run, "h-1"] = Stored("t")
    runs.stored[run, "h-1"].text = text
    answer = await viewer.get(f"/runs/{run}/hosts/h-1/output.txt")
    assert answer.status == 200
    assert answer.body == text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{run}-h-1.txt"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_what_is_not_there_is_a_problem_and_no_file(viewer, browser, runs):
    run = runs.begin()
    assert (await viewer.get(f"/runs/{run}/hosts/h-1/output.txt")).reason == "run.host_unknown"
    assert (await browser.get(f"/runs/{run}/hosts/h-1/output.txt")).reason == "auth.required"


async def test_half_a_file_does_not_look_like_a_whole_one(viewer, runs):
    run = runs.begin()
    stored = runs.stored[run, "h-1"] = Stored("t")
    stored.text = b"x" * 300_000

    class Vanishing(bytes):
        def __getitem__(self, key):
            del runs.stored[run, "h-1"]
            return bytes(stored.whole)[key]

    stored.whole = stored.text
    stored.text = Vanishing(stored.text)
    with pytest.raises(aiohttp.ClientError):
        await viewer.get(f"/runs/{run}/hosts/h-1/output.txt")
