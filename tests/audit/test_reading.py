"""What is asked of a trail, and that MongoDB reads no more for it than is shown."""

import contextlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio

from contracts import hosts
from contracts.audit import (
    UNKNOWN,
    Actor,
    AskHeads,
    AskRows,
    AuditKind,
    AuditRow,
    ListAudit,
    entries_of,
    heads_of,
    row_digest,
    rows_of,
)
from contracts.errors import Forbidden
from tests.audit.conftest import SERVICE
from tests.conftest import service_bus

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CHAINS, PAIRS = 4, 400


def chain(name):
    """Pairs of rows, one pair a second: ada's, but for every fiftieth, which is bob's and refused."""
    rows, digest = [], ""
    for n in range(1, 2 * PAIRS + 1):
        pair, asks = (n - 1) // 2, n % 2
        rare = pair % 50 == 0
        at = BEGAN + timedelta(seconds=pair, milliseconds=0 if asks else 5)
        row = AuditRow(
            service=SERVICE,
            chain=name,
            n=n,
            at=at,
            kind=AuditKind.ASKED if asks else AuditKind.DONE,
            who=Actor(kind="person", name="bob" if rare else "ada"),
            call=hosts.revoke_host.subject if rare else hosts.change_host.subject,
            object=f"h-{pair}",
            request='{"why":"Rare"}' if asks and rare else "",
            trace=f"t-{name}-{pair}",
            ref="" if asks else rows[-1].id,
            outcome="" if asks else ("host.revoked" if rare else "ok"),
        )
        digest = row_digest(digest, row)
        rows.append(msgspec.structs.replace(row, digest=digest))
    return rows


@pytest_asyncio.fixture
async def trail(rig):
    for n in range(CHAINS):
        await rig.store.add(chain(f"{SERVICE}-{n}"))
    await rig.serve()
    return rig


async def entries(trail, **wanted):
    return await trail.gateway.call(entries_of(SERVICE), ListAudit(**wanted))


@contextlib.asynccontextmanager
async def profiled(database):
    seen = []
    await database.command("profile", 2)
    try:
        yield seen
    finally:
        await database.command("profile", 0)
        seen += await database["system.profile"].find({"ns": {"$not": {"$regex": "system"}}}).to_list(None)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"who": "bob"}, 32),
        ({"call": hosts.revoke_host.subject}, 32),
        ({"object": "h-7"}, 4),
        ({"trace": f"t-{SERVICE}-2-9"}, 1),
        ({"outcome": "host.revoked"}, 32),
        ({"since": BEGAN + timedelta(seconds=398)}, 8),
        ({"until": BEGAN + timedelta(seconds=2)}, 8),
        ({"who": "bob", "object": "h-50", "outcome": "host.revoked"}, 4),
    ],
)
async def test_a_criterion_reads_what_it_shows(trail, wanted, count):
    async with profiled(trail.database) as seen:
        found = (await entries(trail, **wanted, limit=100)).entries
    assert len(found) == count
    assert [each.id for each in found] == sorted((each.id for each in found), reverse=True)
    reads = [each for each in seen if each["op"] in {"query", "getmore"}]
    assert reads
    for read in reads:
        assert read.get("planSummary", "").startswith("IXSCAN"), read["command"]
        assert read["docsExamined"] <= max(2 * count, 70), read["command"]


async def test_pages_follow_each_other_without_a_gap(trail):
    seen, after = [], ""
    while True:
        page = await entries(trail, after=after, limit=37)
        seen += page.entries
        after = page.next
        if not after:
            break
    assert len(seen) == CHAINS * PAIRS
    assert [each.id for each in seen] == sorted({each.id for each in seen}, reverse=True)
    assert {each.outcome for each in seen} == {"ok", "host.revoked"}


async def test_a_text_is_found_page_by_page_whatever_its_case(trail):
    seen, pages, after = [], 0, ""
    while pages == 0 or after:
        page = await entries(trail, after=after, text="rARE")
        seen, pages, after = seen + page.entries, pages + 1, page.next
    assert len(seen) == 32
    assert pages > 1


async def test_a_page_of_everything_reads_that_page_only(trail):
    async with profiled(trail.database) as seen:
        await entries(trail, limit=20)
    assert sum(each["docsExamined"] for each in seen) <= 80


async def test_what_never_ended_is_found(trail):
    lonely = chain(f"{SERVICE}-9")[:1]
    await trail.store.add(lonely)
    seen, after = [], ""
    while not seen:
        page = await entries(trail, outcome=UNKNOWN, after=after)
        seen, after = page.entries, page.next
    assert [entry.id for entry in seen] == [lonely[0].id]


async def test_rows_come_in_the_order_of_their_chains_page_by_page(trail):
    seen, asking = [], AskRows(limit=70)
    async with profiled(trail.database) as profile:
        while True:
            page = await trail.gateway.call(rows_of(SERVICE), asking)
            seen += page.rows
            if not page.more:
                break
            asking = AskRows(chain=seen[-1].chain, n=seen[-1].n, limit=70)
    assert seen == [row for n in range(CHAINS) for row in chain(f"{SERVICE}-{n}")]
    for read in profile:
        assert read.get("planSummary", "").startswith("IXSCAN { chain: 1, n: 1 }")
        assert read["docsExamined"] <= 70


async def test_of_each_chain_its_newest_row_is_read_for_the_heads(trail):
    async with profiled(trail.database) as seen:
        found = await trail.gateway.call(heads_of(SERVICE), AskHeads(since=BEGAN))
    assert [(head.chain, head.n) for head in found.heads] == [(f"{SERVICE}-{n}", 2 * PAIRS) for n in range(CHAINS)]
    [read] = [each for each in seen if "aggregate" in each["command"]]
    assert read["planSummary"].startswith("DISTINCT_SCAN")
    assert read["docsExamined"] == CHAINS
    assert (await trail.gateway.call(heads_of(SERVICE), AskHeads(since=datetime.now(UTC)))).heads == []
    first = await trail.gateway.call(heads_of(SERVICE), AskHeads(since=BEGAN, limit=2))
    rest = await trail.gateway.call(heads_of(SERVICE), AskHeads(since=BEGAN, limit=2, after=first.next))
    assert first.heads + rest.heads == found.heads


async def test_only_the_gateway_reads_a_services_trail(nats, trail):
    async with service_bus(nats, "jobs") as jobs:
        for call, request in (
            (entries_of(SERVICE), ListAudit()),
            (rows_of(SERVICE), AskRows()),
            (heads_of(SERVICE), AskHeads(since=BEGAN)),
        ):
            with pytest.raises(Forbidden):
                await jobs.call(call, request)
