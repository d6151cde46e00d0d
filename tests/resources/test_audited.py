"""What this service changes is in its audit trail first."""

import json

import pytest

from contracts import hosts
from contracts.errors import Unavailable
from contracts.hosts import ChangeHost, CreateJoinToken
from tests.auditing import ended, refusing, rows
from tests.servers import until


async def test_nothing_is_made_if_it_cannot_be_written(ask):
    for each in ask.services:  # whichever of the two answers
        assert each._auditor is not None
    async with refusing(ask.database):
        with pytest.raises(Unavailable) as refused:
            await ask(hosts.create_join_token, CreateJoinToken(idc="js"))
        assert refused.value.reason == "audit.away"
        assert await ask.database["join_tokens"].count_documents({}) == 0
    assert await ask.token()


async def test_a_changed_host_is_there_before_and_after(ask):
    host = await ask.host(hostname="web", tags=("web",))
    await ask(hosts.change_host, ChangeHost(host=host, tags=("db",)))
    await until(lambda: ended(ask.database, hosts.change_host.subject), "how it ended is written")
    [asked, done] = sorted(
        await rows(ask.database, call=hosts.change_host.subject), key=lambda row: row["kind"] == "done"
    )
    assert (asked["object"], done["object"], done["outcome"]) == (host, host, "ok")
    assert json.loads(done["before"])["tags"] == ["web"]
    assert json.loads(done["after"])["tags"] == ["db"]


async def test_whoever_enrols_is_in_it_and_no_secret_is(ask):
    token = await ask.token()
    await ask.enrol(token)
    await until(lambda: ended(ask.database, hosts.enrol.subject), "how it ended is written")
    written = str(await rows(ask.database))
    assert "resources.enrolment.enrol" in written
    assert "resources.enrolment.challenge" not in written
    assert token not in written
    [asked, _] = await rows(ask.database, call=hosts.enrol.subject)
    assert asked["who"]["kind"] == "anonymous"
