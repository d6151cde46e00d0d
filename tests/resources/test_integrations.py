"""A program gets credentials for exactly the calls and events it was given, speaks plain NATS with them, and can be
cut off."""

import ssl
from datetime import UTC, datetime, timedelta

import nats.errors
import pytest
import pytest_asyncio
from msgspec import json
from nats.aio.client import Client, RawCredentials

from contracts import groups, hosts, people, registry, topology
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.groups import GroupRef
from contracts.hosts import ChangeHost
from contracts.people import ChangeIntegration, CreateIntegration, IntegrationRef, Nothing
from contracts.permissions import EVERYTHING, Scope
from contracts.topology import PlaceKind, PlaceRef
from services.resources.integrations.store import IntegrationStore
from services.resources.revocations.store import RevocationStore
from tests.resources.people import OPERATOR
from tests.servers import until

LIST = "resources.hosts.list"
SHOP = Scope(businesses=("shop",))


async def create(ask, name="i-cmdb", calls=(LIST,), **more):
    return await ask(people.create_integration, CreateIntegration(name=name, calls=calls, **more))


@pytest_asyncio.fixture
async def connect(tmp_path):
    """Connects as any NATS client would, with nothing but what the answer says."""
    clients = []

    async def plain(integration):
        client = Client()
        client.errors, client.cut = [], []

        async def failed(error):
            client.errors.append(str(error))

        async def closed():
            client.cut.append(True)

        await client.connect(
            list(integration.servers),
            user_credentials=RawCredentials(integration.credentials),
            tls=ssl.create_default_context(cadata=integration.ca),
            tls_handshake_first=True,
            inbox_prefix=integration.inbox_prefix,
            allow_reconnect=False,
            error_cb=failed,
            closed_cb=closed,
        )
        clients.append(client)
        return client

    yield plain
    for client in clients:
        if not client.is_closed:
            await client.close()


async def settled(client):
    """The server has taken everything. Twice, because nats-py writes a flush's PING before what is still pending."""
    await client.flush(timeout=30)
    await client.flush(timeout=30)


async def test_it_calls_and_hears_what_it_was_given_and_nothing_else(ask, connect):
    host = await ask.host(hostname="web")
    integration = await create(ask, calls=(LIST, "resources.targets.resolve"), events=("resources.host",))
    client = await connect(integration)
    answer = await client.request("svc.i-cmdb.resources.hosts.list", b'{"hostnames": ["web"]}', timeout=30)
    assert [each["id"] for each in json.decode(answer.data)["hosts"]] == [host]
    answer = await client.request("svc.i-cmdb.resources.targets.resolve", b'{"targets": {}}', timeout=30)
    assert json.decode(answer.data)["reason"] == "targets.none_asked"
    assert answer.headers["Nats-Service-Error-Code"] == "400"
    heard = await client.subscribe("evt.resources.host.>")
    await settled(client)
    await ask(hosts.change_host, ChangeHost(host=host, tags=("shop",)))
    assert json.decode((await heard.next_msg(timeout=30)).data) == {"host": host, "what": "changed", "revision": 2}
    for subject in ("svc.i-cmdb.resources.hosts.show", "svc.gateway.resources.hosts.list", "cmd.js.h.x", "evt.x.y.z"):
        with pytest.raises(nats.errors.Error):
            await client.request(subject, b"{}", timeout=0.3)
    await client.subscribe("cmd.>")
    await settled(client)
    violations = [each for each in client.errors if "permissions violation" in each]
    assert len(violations) == 5


async def test_revoked_it_is_cut_and_its_name_is_free_again(ask, connect):
    first = await create(ask)
    client = await connect(first)
    revoked = await ask(people.revoke_integration, IntegrationRef(name="i-cmdb"))
    assert revoked.revoked
    await until(lambda: bool(client.cut), "its connection is cut")
    with pytest.raises(nats.errors.Error, match="Authorization"):
        await connect(first)
    assert (await ask(people.revoke_integration, IntegrationRef(name="i-cmdb"))).revoked
    second = await create(ask)
    await connect(second)
    [listed] = (await ask(people.list_integrations, Nothing())).integrations
    assert (listed.name, listed.revoked, listed.credentials) == ("i-cmdb", False, "")
    assert (listed.servers, listed.inbox_prefix) == (second.servers, "_INBOX.i-cmdb")


async def test_a_name_is_taken_until_its_owner_is_revoked_or_expired(ask):
    await create(ask)
    with pytest.raises(Conflict) as told:
        await create(ask)
    assert told.value.reason == "integration.exists"
    past = datetime.now(UTC) - timedelta(seconds=1)
    await ask.database["integrations"].update_one({"_id": "i-cmdb"}, {"$set": {"expires_at": past}})
    assert (await create(ask)).credentials


async def test_the_seed_is_shown_once_and_kept_nowhere(ask):
    seed = (await create(ask)).credentials.splitlines()[5]
    assert seed.startswith("SU")
    kept = await ask.database["integrations"].find().to_list(None)
    assert seed not in repr(kept)


@pytest.mark.parametrize(
    "call",
    [
        "resources.hosts.revoke",
        "resources.join_tokens.create",
        "resources.enrolment.enrol",
        "resources.integrations.create",
        "gateway.people.create",
        "gateway.tokens.create",
        "jobs.at.x.live",
        "resources.hosts.nothing",
        "resources.>",
        "*",
        ">",
        "",
        LIST.upper(),
    ],
)
async def test_calls_that_decide_over_others_are_not_given(ask, call):
    with pytest.raises(Invalid) as told:
        await create(ask, calls=(LIST, call))
    assert told.value.reason == "integration.unknown_call"
    assert (await ask(people.list_integrations, Nothing())).integrations == []


async def test_every_call_of_daily_work_can_be_given(ask):
    words = {"hosts:read", "hosts:change", "runs:read", "runs:start", "runs:stop"}
    daily = tuple(each.subject for each in registry.calls() if each.needs in words)
    assert "jobs.runs.start" in daily
    assert (await create(ask, calls=daily)).calls == daily


async def test_events_must_exist(ask):
    for event in ("resources.nothing", "jobs.host"):
        with pytest.raises(Invalid) as told:
            await create(ask, events=(event,))
        assert told.value.reason == "integration.unknown_call"
    for event in ("*.*", "resources.>", "a", "a.b.c"):
        with pytest.raises(Invalid) as told:
            await create(ask, events=(event,))
        assert told.value.reason == "bus.malformed"


@pytest.mark.parametrize("name", ["cmdb", "i-", "i-a.b", "i-*", "i->", "I-a", "i-a\n", "gateway"])
async def test_names_are_such_that_nobody_else_has(ask, name):
    with pytest.raises(Invalid) as told:
        await create(ask, name=name)
    assert told.value.reason == "bus.malformed"


async def listed(client):
    answer = await client.request("svc.i-cmdb.resources.hosts.list", b"{}", timeout=30)
    return {each["id"] for each in json.decode(answer.data)["hosts"]}


async def test_a_scope_bounds_what_it_sees_and_changes_under_the_credentials_it_has(ask, connect):
    await ask.places("business:shop", "business:bank")
    shop, bank = await ask.host(business="shop"), await ask.host(business="bank")
    made = await create(ask, calls=(LIST, "resources.hosts.show", "resources.hosts.change"), scope=SHOP)
    client = await connect(made)
    assert await listed(client) == {shop}
    for call, more in (("show", {}), ("change", {"tags": ["x"]})):
        answers = [
            await client.request(f"svc.i-cmdb.resources.hosts.{call}", json.encode({"host": host, **more}), timeout=30)
            for host in (bank, "h-000000000000", shop)
        ]
        outside, unknown, inside = (json.decode(answer.data) for answer in answers)
        assert outside["reason"] == unknown["reason"] == "host.unknown"
        assert outside["message"].replace(bank, "_") == unknown["message"].replace("h-000000000000", "_")
        assert inside["id"] == shop
    moved = json.encode({"host": shop, "business": "bank"})
    answer = await client.request("svc.i-cmdb.resources.hosts.change", moved, timeout=30)
    assert json.decode(answer.data)["reason"] == "auth.forbidden"
    changed = await ask(people.change_integration, ChangeIntegration(name="i-cmdb", scope=EVERYTHING))
    assert (changed.scope, changed.revision, changed.credentials) == (EVERYTHING, 2, "")

    async def sees_all():
        return await listed(client) == {shop, bank}

    await until(sees_all, "the new bounds count")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"scope": Scope(businesses=())}, "grants.empty_scope"),
        ({"scope": Scope(groups=("wbe",))}, "name.unknown"),
        ({"scope": Scope(businesses=("shpo",))}, "name.unknown"),
        ({"scope": Scope(businesses=("shop",)), "events": ("jobs.run",)}, "integration.hears_everything"),
    ],
)
async def test_scopes_that_make_no_sense_are_refused(ask, given, reason):
    await ask.places("business:shop")
    with pytest.raises(Invalid) as told:
        await create(ask, **given)
    assert told.value.reason == reason
    await create(ask, events=given.get("events", ()))
    with pytest.raises(Invalid) as told:
        await ask(people.change_integration, ChangeIntegration(name="i-cmdb", scope=given["scope"]))
    assert told.value.reason == reason


async def test_what_a_scope_names_stays_until_the_integration_is_revoked(ask):
    await ask.places("business:shop")
    await ask.group("web")
    await create(ask, scope=Scope(businesses=("shop",), groups=("web",)))
    deletions = (
        (groups.delete_group, GroupRef(name="web")),
        (topology.delete_place, PlaceRef(kind=PlaceKind.BUSINESS, path="shop")),
    )
    for call, request in deletions:
        with pytest.raises(Conflict, match="the integration i-cmdb"):
            await ask(call, request)
    await ask(people.revoke_integration, IntegrationRef(name="i-cmdb"))
    with pytest.raises(Conflict) as told:
        await ask(people.change_integration, ChangeIntegration(name="i-cmdb", scope=EVERYTHING))
    assert told.value.reason == "integration.revoked"
    for call, request in deletions:
        await ask(call, request)


async def test_only_admins_manage_them(ask):
    for call, request in (
        (people.create_integration, CreateIntegration(name="i-x", calls=(LIST,))),
        (people.list_integrations, Nothing()),
        (people.change_integration, ChangeIntegration(name="i-x", scope=SHOP)),
        (people.revoke_integration, IntegrationRef(name="i-x")),
    ):
        with pytest.raises(Forbidden):
            await ask(call, request, OPERATOR)
    with pytest.raises(NotFound) as told:
        await ask(people.revoke_integration, IntegrationRef(name="i-x"))
    assert told.value.reason == "integration.unknown"


async def test_one_from_before_they_were_bounded_may_do_all_and_can_be_bounded(ask):
    await create(ask)
    lacks = dict.fromkeys(("scope", "revision", "changed_by", "changed_at"), "")
    await ask.database["integrations"].update_one({"_id": "i-cmdb"}, {"$unset": lacks})
    await IntegrationStore(ask.database, RevocationStore(ask.database)).prepare()
    [listed] = (await ask(people.list_integrations, Nothing())).integrations
    assert (listed.scope, listed.revision, listed.changed_by) == (EVERYTHING, 1, "ada")
    assert listed.changed_at == listed.created_at
    await ask.places("business:shop")
    with pytest.raises(Conflict) as lost:
        await ask(people.change_integration, ChangeIntegration(name="i-cmdb", revision=2, scope=SHOP))
    assert lost.value.details["by"] == "ada"
    changed = await ask(people.change_integration, ChangeIntegration(name="i-cmdb", revision=1, scope=SHOP))
    assert (changed.scope, changed.revision) == (SHOP, 2)
