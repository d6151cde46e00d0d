"""Rows are there before anything happens, and nothing happens without them."""

import asyncio
import json
import sys
from datetime import UTC, datetime

import pytest
from structlog.contextvars import bind_contextvars

from contracts import hosts
from contracts.audit import UNKNOWN, AskRows, ListAudit, entries_of, row_digest, rows_of
from contracts.errors import Conflict, Forbidden, ServiceError, Unavailable
from contracts.hosts import ChangeHost, CreateJoinToken, HostRef, Hosts, JoinToken, JoinTokenRef, ListHosts, RevokeHost
from runtime.audit import note
from runtime.mongo import connect
from tests.audit.conftest import SERVICE, VIEWER, Rig
from tests.auditing import ended, refusing, rows
from tests.conftest import service_bus
from tests.plane import PROJECT
from tests.servers import mongod, until

REVOKE = RevokeHost(host="h-1", why="stolen")
TOKEN = JoinToken(
    id="j-7", idc="js", expires_at=datetime(2030, 1, 1, tzinfo=UTC), uses_left=1, created_by="ada", secret="s3cret"
)
REVOKED = hosts.revoke_host.subject


async def written(rig, call=REVOKED):
    await until(lambda: ended(rig.database, call), "how it ended is written")
    return await rows(rig.database, call=call)


async def test_the_row_is_there_when_the_handler_begins(rig):
    seen = []

    async def withdraw(_request, _principal):
        seen.extend(await rows(rig.database))
        note(before={"uses": 3, "secret": "s3cret"}, after={"uses": 0})
        return TOKEN

    await rig.serve((hosts.withdraw_join_token, withdraw))
    bind_contextvars(trace_id="t-1")
    await rig.ask(hosts.withdraw_join_token, JoinTokenRef(id="j-7"))
    [asked] = seen
    assert (asked["kind"], asked["n"], asked["outcome"]) == ("asked", 1, "")
    assert asked["who"] == {
        "kind": "person",
        "name": "ada",
        "via": "session",
        "roles": ["admin"],
        "address": "10.9.8.7",
    }
    assert (asked["call"], asked["object"], asked["trace"]) == (hosts.withdraw_join_token.subject, "j-7", "t-1")
    assert json.loads(asked["request"]) == {"id": "j-7"}
    _, done = await written(rig, hosts.withdraw_join_token.subject)
    assert (done["kind"], done["n"], done["ref"], done["outcome"]) == ("done", 2, asked["_id"], "ok")
    assert json.loads(done["before"]) == {"uses": 3, "secret": "••••••"}
    assert json.loads(done["after"]) == {"uses": 0}
    assert done["trace"] == "t-1"


async def test_a_refusal_and_a_crash_are_outcomes(rig):
    async def refuse(_request, _principal):
        raise Conflict("host.revoked", "It is revoked already.")

    async def crash(_request, _principal):
        raise RuntimeError("password=hunter2")

    await rig.serve((hosts.revoke_host, refuse), (hosts.change_host, crash))
    with pytest.raises(Conflict):
        await rig.ask(hosts.revoke_host, REVOKE)
    with pytest.raises(ServiceError):
        await rig.ask(hosts.change_host, ChangeHost(host="h-1", business="shop"))
    assert [each["outcome"] for each in await written(rig)] == ["", "host.revoked"]
    found = await written(rig, hosts.change_host.subject)
    assert [each["outcome"] for each in found] == ["", "internal"]
    assert "hunter2" not in str(found)


async def test_who_may_not_leaves_one_row_and_no_effect(rig):
    called = []

    async def revoke(_request, _principal):
        called.append(True)

    await rig.serve((hosts.revoke_host, revoke))
    with pytest.raises(Forbidden):
        await rig.ask(hosts.revoke_host, REVOKE, by=VIEWER)
    await rig.trail.settled()
    [row] = await rows(rig.database)
    assert (row["kind"], row["outcome"], row["who"]["name"], row["object"]) == (
        "denied",
        "auth.forbidden",
        "vic",
        "h-1",
    )
    assert not called


async def test_reading_leaves_no_row(rig):
    async def show(_request, _principal):
        return Hosts(hosts=[])

    await rig.serve((hosts.list_hosts, show))
    await rig.ask(hosts.list_hosts, ListHosts())
    with pytest.raises(ServiceError):
        await rig.ask(hosts.show_host, HostRef(host="h-1"))
    await rig.trail.settled()
    assert await rows(rig.database) == []


async def test_what_a_service_asks_joins_what_a_person_asked(nats, rig):
    async def revoke(_request, _principal):
        raise Conflict("host.revoked", "No.")

    await rig.serve((hosts.revoke_host, revoke))
    bind_contextvars(trace_id="t-person")
    async with service_bus(nats, "jobs") as jobs:
        with pytest.raises(Forbidden):
            await jobs.call(hosts.revoke_host, REVOKE)
    await rig.trail.settled()
    [row] = await rows(rig.database)
    assert (row["who"]["kind"], row["who"]["name"], row["trace"]) == ("service", "jobs", "t-person")


async def test_what_is_made_is_found_by_its_id(rig):
    async def create(_request, _principal):
        return TOKEN

    await rig.serve((hosts.create_join_token, create))
    await rig.ask(hosts.create_join_token, CreateJoinToken(idc="js"))
    asked, done = await written(rig, hosts.create_join_token.subject)
    assert (asked["object"], done["object"]) == ("", "j-7")
    assert "s3cret" not in str((asked, done))


async def inserts(rig):
    """Commands, each with many documents."""
    status = await rig.database.client.admin.command("serverStatus")
    return status["metrics"]["commands"]["insert"]["total"]


async def test_many_at_once_make_one_chain_without_a_gap_in_few_writes(rig):
    async def create(_request, _principal):
        return TOKEN

    await rig.serve((hosts.create_join_token, create))
    before = await inserts(rig)
    await asyncio.gather(*(rig.ask(hosts.create_join_token, CreateJoinToken(idc="js")) for _ in range(200)))
    await rig.trail.settled()
    assert await inserts(rig) - before < 100
    page = await rig.gateway.call(rows_of(SERVICE), AskRows(limit=1000))
    assert [row.n for row in page.rows] == list(range(1, 401))
    assert len({row.chain for row in page.rows}) == 1
    digest = ""
    for row in page.rows:
        assert row.digest == (digest := row_digest(digest, row))


async def test_when_the_database_refuses_the_row_nothing_happens(rig):
    called = []

    async def revoke(_request, _principal):
        called.append(True)
        raise Conflict("host.revoked", "No.")

    await rig.serve((hosts.revoke_host, revoke))
    async with refusing(rig.database):
        with pytest.raises(Unavailable) as refused:
            await rig.ask(hosts.revoke_host, REVOKE)
        assert refused.value.reason == "audit.away"
        assert not called
    with pytest.raises(Conflict):
        await rig.ask(hosts.revoke_host, REVOKE)
    found = await written(rig)
    assert called
    assert [each["n"] for each in found] == [1, 2]  # of a chain of its own
    assert found[0]["chain"] == f"{rig.bus.instance}-2"


async def test_how_it_ended_is_written_later_if_the_database_refuses_it_now(rig):
    go_on = asyncio.Event()

    async def revoke(_request, _principal):
        await go_on.wait()
        raise Conflict("host.revoked", "No.")

    await rig.serve((hosts.revoke_host, revoke))
    asking = asyncio.create_task(rig.ask(hosts.revoke_host, REVOKE))

    async def asked():
        return len(await rows(rig.database)) == 1

    await until(asked, "the row that asks is there")
    async with refusing(rig.database):
        go_on.set()
        with pytest.raises(Conflict):
            await asking
        await until(lambda: rig.trail._chains > 1, "writing failed")
        [entry] = (await rig.gateway.call(entries_of(SERVICE), ListAudit())).entries
        assert entry.outcome == UNKNOWN
    asked_row, done = await written(rig)
    assert done["ref"] == asked_row["_id"]
    assert done["chain"] != asked_row["chain"]
    [entry] = (await rig.gateway.call(entries_of(SERVICE), ListAudit())).entries
    assert (entry.outcome, json.loads(entry.request)["why"]) == ("host.revoked", "stolen")


async def test_a_database_that_dies_refuses_changes_until_it_is_back(nats, tmp_path):
    async def revoke(_request, _principal):
        raise Conflict("host.revoked", "No.")

    async with (
        mongod(tmp_path) as own,
        service_bus(nats, SERVICE) as bus,
        service_bus(nats, "gateway") as gateway,
    ):
        database = await connect(own.url, "audit")
        rig = Rig(bus, gateway, database)
        await rig.store.prepare()
        await rig.serve((hosts.revoke_host, revoke))
        with pytest.raises(Conflict):
            await rig.ask(hosts.revoke_host, REVOKE)
        await rig.trail.settled()
        await own.kill()
        with pytest.raises(Unavailable) as refused:
            await rig.ask(hosts.revoke_host, REVOKE)
        assert refused.value.reason == "audit.away"
        await own.start()

        async def works():
            try:
                await rig.ask(hosts.revoke_host, REVOKE)
            except Conflict:
                return True
            except Unavailable:
                return False

        await until(works, "the trail is written again", 60)
        assert len({row["chain"] for row in await written(rig)}) >= 2
        database.client.close()


async def test_a_service_that_is_killed_leaves_what_it_did_with_an_unknown_outcome(nats, mongo, rig):
    given = (nats.hub_url, nats.trust.credentials(SERVICE), nats.trust.ca, mongo.url, rig.database.name)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.audit.stuck", *map(str, given), cwd=PROJECT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        while (line := await process.stdout.readline()) != b"serving\n":
            assert line, "it ended"
        asking = asyncio.create_task(rig.ask(hosts.revoke_host, REVOKE))

        async def asked():
            return len(await rows(rig.database)) == 1

        await until(asked, "the row that asks is there")
    finally:
        process.kill()
        await process.wait()
    asking.cancel()
    await rig.serve()  # another process of the service answers from now on
    for given in ({}, {"outcome": UNKNOWN}, {"who": "ada"}, {"text": "STOLEN"}):
        [entry] = (await rig.gateway.call(entries_of(SERVICE), ListAudit(**given))).entries
        assert (entry.outcome, entry.ended_at, entry.object) == (UNKNOWN, None, "h-1")


async def test_what_ends_late_is_unknown_until_then(rig):
    go_on = asyncio.Event()

    async def revoke(_request, _principal):
        await go_on.wait()
        raise Conflict("host.revoked", "No.")

    await rig.serve((hosts.revoke_host, revoke))
    asking = asyncio.create_task(rig.ask(hosts.revoke_host, REVOKE))

    async def asked():
        return len((await rig.gateway.call(entries_of(SERVICE), ListAudit(outcome=UNKNOWN))).entries) == 1

    await until(asked, "it is listed")
    go_on.set()
    with pytest.raises(Conflict):
        await asking
    await written(rig)
    assert (await rig.gateway.call(entries_of(SERVICE), ListAudit(outcome=UNKNOWN))).entries == []


async def test_nothing_is_noted_outside_of_a_change():
    note(before=1, after=2)
