"""Reading results and output, page by page and piece by piece."""

import pytest

from contracts import runs
from contracts.errors import NotFound
from contracts.runs import ListHostResults, ReadOutput, RetryRun, SearchOutput
from contracts.states import Outcome
from tests.servers import until


async def pages(jobs, call, request_type, items, **fields):
    found, after, count = [], "", 0
    while True:
        page = await jobs.ask(call, request_type(after=after, **fields))
        found += getattr(page, items)
        count += 1
        after = page.next
        if not after:
            return found, count


async def whole(jobs, run, host, limit):
    text, at = "", 0
    while True:
        part = await jobs.ask(runs.read_output, ReadOutput(run=run.id, host=host, offset=at, limit=limit))
        assert part.offset == at
        assert len(part.text.encode()) == part.next_offset - part.offset <= limit
        text, at = text + part.text, part.next_offset
        if part.complete and at >= part.stored_bytes:
            return text


async def test_hosts_come_page_by_page_and_by_outcome(jobs):
    for n in range(7):
        await jobs.agent(f"h-{n}", exit_code=n % 2)
    jobs.known("h-8", "h-9")
    run = await jobs.ended(await jobs.start())

    found, count = await pages(jobs, runs.list_host_results, ListHostResults, "hosts", run=run.id, limit=2)
    assert [each.host for each in found] == sorted(jobs.hosts)
    assert count == 5
    failed, _ = await pages(
        jobs,
        runs.list_host_results,
        ListHostResults,
        "hosts",
        run=run.id,
        limit=2,
        outcomes=(Outcome.FAILED, Outcome.OFFLINE),
    )
    assert [(each.host, each.state, each.exit_code) for each in failed] == [
        ("h-1", "failed", 1), ("h-3", "failed", 1), ("h-5", "failed", 1), ("h-8", "offline", None), ("h-9", "offline", None),
    ]  # fmt: skip
    assert (failed[0].ip, failed[0].hostname) == (jobs.hosts["h-1"].ip, "h-1.test")


async def test_heads_that_do_not_fit_one_message_make_shorter_pages(jobs):
    for n in range(20):
        await jobs.agent(f"h-{n:02d}", output="\x1b" * 60_000)
    run = await jobs.ended(await jobs.start())

    found, count = await pages(
        jobs, runs.list_host_results, ListHostResults, "hosts", run=run.id, head_bytes=65_536, limit=1000
    )
    assert [len(each.head) for each in found] == [60_000] * 20
    assert count > 5


@pytest.mark.parametrize("limit", [1000, 65_536, 300_000, 524_288])
async def test_long_output_is_read_whole_and_in_order(jobs, limit):
    output = "".join(f"line {n}\n" for n in range(60_000))
    await jobs.agent("h-1", output=output)
    run = await jobs.ended(await jobs.start("h-1"))
    if limit == 1000:
        output_at = await jobs.ask(runs.read_output, ReadOutput(run=run.id, host="h-1", offset=65_530, limit=1000))
        assert output_at.text == output[65_530:66_530]
        return
    assert await whole(jobs, run, "h-1", limit) == output


async def test_output_that_json_makes_larger_still_travels(jobs):
    await jobs.agent("h-1", output="\x1b" * 600_000)
    run = await jobs.ended(await jobs.start("h-1"))
    assert await whole(jobs, run, "h-1", 524_288) == "\x1b" * 600_000


async def test_output_of_a_host_that_is_not_part_of_the_run_is_refused(jobs):
    await jobs.agent("h-1")
    run = await jobs.ended(await jobs.start("h-1"))
    for ref in ({"run": run.id, "host": "h-2"}, {"run": "nobody", "host": "h-1"}):
        with pytest.raises(NotFound):
            await jobs.ask(runs.read_output, ReadOutput(**ref))


async def test_output_is_read_while_the_script_runs(jobs):
    agent = await jobs.agent("h-1", hold=True, output="")
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    before = await jobs.ask(runs.read_output, ReadOutput(run=run.id, host="h-1"))
    agent.finish()
    await jobs.ended(run)
    after = await jobs.ask(runs.read_output, ReadOutput(run=run.id, host="h-1"))

    assert (before.text, before.complete) == ("", False)
    assert (after.text, after.complete, after.stored_bytes) == ("", True, 0)


async def test_a_text_is_found_across_hosts_and_pieces(jobs):
    # The second piece begins inside the word.
    border = "x" * (65_536 - 3 - 10) + "\n" + "y" * 9 + "NeedleHere" + "\n"
    await jobs.agent("h-1", output=border + "nothing\nneedle again\n")
    await jobs.agent("h-2", output="nothing\n")
    await jobs.agent("h-3", output="a needle\n" * 20)
    jobs.known("h-4")
    run = await jobs.ended(await jobs.start())

    found, count = await pages(jobs, runs.search_output, SearchOutput, "hosts", run=run.id, text="needle", limit=1)
    assert count >= 2
    assert [(each.host, each.count) for each in found] == [("h-1", 2), ("h-3", 20)]
    assert [(each.line, each.text) for each in found[0].matches] == [(2, "y" * 9 + "NeedleHere"), (4, "needle again")]
    assert found[0].matches[0].offset == border.index("\n") + 1
    exact, _ = await pages(
        jobs, runs.search_output, SearchOutput, "hosts", run=run.id, text="NeedleHere", ignore_case=False
    )
    assert [each.host for each in exact] == ["h-1"]
    nothing, _ = await pages(jobs, runs.search_output, SearchOutput, "hosts", run=run.id, text="(a+)+$")
    assert nothing == []


async def test_after_another_try_the_newest_output_is_shown(jobs):
    agent = await jobs.agent("h-1", output="first\n", exit_code=1)
    run = await jobs.ended(await jobs.start("h-1"))
    agent.knobs.output, agent.knobs.exit_code = "second\n", 0
    await jobs.ask(runs.retry, RetryRun(run=run.id))
    await jobs.ended(run)

    assert await whole(jobs, run, "h-1", 1000) == "second\n"
    found, _ = await pages(jobs, runs.list_host_results, ListHostResults, "hosts", run=run.id, head_bytes=100)
    assert [(each.task, each.head) for each in found] == [(f"{run.id}-0-2-0", "second\n")]
    assert (await jobs.ask(runs.search_output, SearchOutput(run=run.id, text="first"))).hosts == []
    await until(lambda: not agent.unstored, "all is stored")
