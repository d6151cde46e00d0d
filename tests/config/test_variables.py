"""Documents of variables on the real service: set, shown, compared, merged, and what changes would do."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio

from contracts import templates, variables
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.groups import GroupKind
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.runs import MASK
from contracts.templates import SaveTemplate
from contracts.variables import (
    AskEffective,
    DiffVersions,
    LayerKind,
    ListVariables,
    ListVersions,
    PreviewVariables,
    ResolveVariables,
    ScopeKind,
    SetVariables,
    ShowVariables,
)
from tests.config.conftest import ADMIN, OPERATOR, VIEWER
from tests.config.profiling import profiled, whole_collections
from tests.conftest import service_bus
from tests.servers import until

JOBS = Principal(kind="service", name="jobs")


@pytest_asyncio.fixture
async def setting(ask, clean):
    async def set_(scope, text, **more):
        return await ask(variables.set_variables, SetVariables(scope=scope, text=text, **more))

    return set_


@pytest_asyncio.fixture(scope="module")
async def jobs(nats, config):
    async with service_bus(nats, "jobs") as bus:
        yield bus


async def test_what_was_set_is_shown_as_text_and_flattened(ask, fleet, setting):
    fleet.group("web")
    text = "# of the region\nregion:\n  id: 7001\n  mongodb: {hosts: [172.27.117.201], port: 27017}\n"
    made = await setting("group:web", text, why="first")
    shown = await ask(variables.show_variables, ShowVariables(scope="group:web"), by=VIEWER)
    assert shown == made
    assert (shown.revision, shown.why, shown.changed_by, shown.text) == (1, "first", "ada", text)
    assert shown.flat == {
        "region.id": 7001,
        "region.mongodb.hosts": ["172.27.117.201"],
        "region.mongodb.port": 27017,
    }


async def test_a_scope_without_variables_is_empty_at_revision_0(ask, fleet, clean):
    fleet.host("h-1")
    shown = await ask(variables.show_variables, ShowVariables(scope="host:h-1"))
    assert (shown.revision, shown.text, shown.flat, shown.changed_at) == (0, "", {}, None)


@pytest.mark.parametrize(("scope", "reason"), [("group:nobody", "group.unknown"), ("host:h-9", "host.unknown")])
async def test_a_scope_that_does_not_exist_is_unknown(ask, fleet, clean, scope, reason):
    for call, request in (
        (variables.show_variables, ShowVariables(scope=scope)),
        (variables.set_variables, SetVariables(scope=scope, text="a: 1")),
        (variables.preview_variables, PreviewVariables(scope=scope, text="a: 1")),
        (variables.list_variables_versions, ListVersions(scope=scope)),
        (variables.diff_variables, DiffVersions(scope=scope)),
    ):
        with pytest.raises(NotFound) as refused:
            await ask(call, request)
        assert refused.value.reason == reason


async def test_ambiguous_words_are_warned_of_when_set_and_when_shown(ask, fleet, setting):
    fleet.group("web")
    made = await setting("group:web", "mode: 0755\n")
    shown = await ask(variables.show_variables, ShowVariables(scope="group:web"))
    assert [(each.line, each.column) for each in made.warnings] == [(1, 7)]
    assert shown.warnings == made.warnings


async def test_a_bad_document_changes_nothing(ask, fleet, setting):
    fleet.group("web")
    await setting("group:web", "a: 1")
    with pytest.raises(Invalid) as refused:
        await setting("group:web", "a: 1\nb: *c")
    assert (refused.value.reason, refused.value.details) == ("variables.malformed", {"line": 2, "column": 4})
    assert (await ask(variables.show_variables, ShowVariables(scope="group:web"))).revision == 1


async def test_whoever_looked_at_an_older_revision_is_told_who_was_faster(ask, fleet, setting):
    fleet.group("web")
    await setting("group:web", "a: 1")
    await ask(variables.set_variables, SetVariables(scope="group:web", text="a: 2", revision=1), by=OPERATOR)
    with pytest.raises(Conflict) as refused:
        await setting("group:web", "a: 3", revision=1)
    assert refused.value.reason == "variables.changed_meanwhile"
    assert refused.value.details.items() >= {"revision": 2, "by": "olga"}.items()
    with pytest.raises(Conflict):
        await setting("group:global", "a: 3", revision=4)


async def test_of_many_at_once_one_wins_and_no_version_is_lost(ask, fleet, setting):
    fleet.group("web")
    said = await asyncio.gather(
        *(setting("group:web", f"a: {n}", revision=0) for n in range(5)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in said) == ["Conflict"] * 4 + ["Variables"]
    assert len((await ask(variables.list_variables_versions, ListVersions(scope="group:web"))).versions) == 1


async def test_setting_the_same_again_is_no_new_version(fleet, setting):
    fleet.group("web")
    assert (await setting("group:web", "a: !secret x\n", why="one")).revision == 1
    assert (await setting("group:web", "a: !secret x\n", why="two")).revision == 1
    assert (await setting("group:web", "a: !secret y\n")).revision == 2
    assert (await setting("group:web", "")).revision == 3


async def test_versions_never_change_and_are_paged_newest_first(ask, fleet, setting):
    fleet.group("web")
    for n in range(1, 6):
        await setting("group:web", f"a: {n}\n", why=f"change {n}")
    found = await ask(variables.list_variables_versions, ListVersions(scope="group:web", limit=2))
    assert ([each.why for each in found.versions], found.next) == (["change 5", "change 4"], 4)
    found = await ask(variables.list_variables_versions, ListVersions(scope="group:web", limit=3, after=found.next))
    assert ([each.revision for each in found.versions], found.next) == ([3, 2, 1], 0)
    old = await ask(variables.show_variables, ShowVariables(scope="group:web", revision=2))
    assert (old.text, old.why) == ("a: 2\n", "change 2")
    with pytest.raises(NotFound) as refused:
        await ask(variables.show_variables, ShowVariables(scope="group:web", revision=9))
    assert refused.value.reason == "variables.version_unknown"


async def test_versions_are_compared_by_text_and_by_key(ask, fleet, setting):
    fleet.group("web")
    await setting("group:web", "a: 1\nb: {c: 2}\nd: 1\np: !secret one\n")
    await setting("group:web", "a: 1\nb: {c: 3}\ne: 1\nd: 1.0\np: !secret two\n")
    found = await ask(variables.diff_variables, DiffVersions(scope="group:web"))
    assert (found.against, found.revision) == (1, 2)
    assert found.text.splitlines()[3:] == [
        " a: 1",
        "-b: {c: 2}",
        "-d: 1",
        "+b: {c: 3}",
        "+e: 1",
        "+d: 1.0",
        f' p: !secret "{MASK}"',
    ]
    assert [msgspec.to_builtins(each) for each in found.changes] == [
        {"key": "b.c", "before": 2, "after": 3},
        {"key": "d", "before": 1, "after": 1.0},
        {"key": "p", "before": MASK, "after": MASK},
        {"key": "e", "after": 1},
    ]
    whole = await ask(variables.diff_variables, DiffVersions(scope="group:web", revision=1, against=0))
    assert {each.key for each in whole.changes} == {"a", "b.c", "d", "p"}


async def test_secrets_are_masked_everywhere_and_encrypted_at_rest(ask, jobs, fleet, setting, database):
    fleet.host("h-1")
    secret = "hunter2-of-the-canary"
    answers = [
        await setting("group:global", f"db: {{password: !secret {secret}, user: me}}\n"),
        await setting("host:h-1", "db: {password: !secret other}\n"),
        await ask(variables.show_variables, ShowVariables(scope="group:global")),
        await ask(variables.diff_variables, DiffVersions(scope="group:global")),
        await ask(variables.list_variables, ListVariables(search="db")),
        await ask(variables.list_variables, ListVariables(search=secret)),
        await ask(variables.effective_variables, AskEffective(hosts=("h-1",), explain=True)),
        await ask(
            variables.preview_variables,
            PreviewVariables(scope="group:global", text=f'db: {{user: you, password: !secret "{MASK}"}}'),
        ),
    ]
    assert secret not in repr([msgspec.json.encode(each) for each in answers])
    assert answers[5].scopes == []
    kept = await database.list_collection_names()
    assert {"variables", "variable_versions", "audit"} <= set(kept)
    for name in kept:
        assert secret not in repr([each async for each in database[name].find({})])
    resolved = await jobs.call(variables.resolve_variables, ResolveVariables(hosts=("h-1",)))
    assert _of_documents(resolved.hosts[0]) == {"db.password": "other", "db.user": "me"}


async def test_the_audit_trail_tells_what_a_change_did(fleet, setting, database):
    fleet.group("web")
    await setting("group:web", "a: 1\npassword: !secret hunter2\n")
    await setting("group:web", "a: 2\npassword: !secret hunter3\n", why="more")
    flat = {"a": 1, "password": MASK}
    told = {"before": {"revision": 1, "flat": flat}, "after": {"revision": 2, "flat": {**flat, "a": 2}}}

    async def is_told():
        rows = database["audit"].find({"call": "config.variables.set", "kind": "done", "outcome": "ok"})
        return told in [{side: msgspec.json.decode(row.get(side) or "null") for side in told} async for row in rows]

    await until(is_told, "the end of the change is written down")


async def test_what_was_shown_masked_may_be_saved_again(ask, jobs, fleet, setting):
    fleet.host("h-1")
    await setting("group:global", "password: !secret hunter2\n")
    shown = await ask(variables.show_variables, ShowVariables(scope="group:global"))
    after = await setting("group:global", shown.text + "port: 1\n", revision=shown.revision)
    assert after.flat == {"password": MASK, "port": 1}
    resolved = await jobs.call(variables.resolve_variables, ResolveVariables(hosts=("h-1",)))
    assert (_of_documents(resolved.hosts[0]), resolved.hosts[0].secrets) == (
        {"password": "hunter2", "port": "1"},
        ("hunter2",),
    )


async def test_secrets_resolve_for_the_jobs_service_only(ask, fleet, setting):
    fleet.host("h-1")
    for by in (ADMIN, OPERATOR, VIEWER):
        with pytest.raises(Forbidden):
            await ask(variables.resolve_variables, ResolveVariables(hosts=("h-1",)), by=by)


@pytest_asyncio.fixture
async def three_hosts(fleet, setting):
    """Two in js and one in bj, with documents at every scope."""
    for host, ip, idc in (("h-1", "10.0.0.1", "js"), ("h-2", "10.0.0.2", "js"), ("h-3", "10.1.0.3", "bj")):
        fleet.host(host, ip, idc)
    fleet.group("set:blue", GroupKind.SET, add=["h-1", "h-3"])
    fleet.group("web", number=10, add=["h-1", "h-2"])
    fleet.group("db", number=20, add=["h-2"])
    await setting("group:global", "region: {id: 0, name: none}\nfile_ulimit: 65535\nlayer: global\n")
    await setting("group:idc:js", "region: {id: 7001, name: js}\nlayer: idc\n")
    await setting("group:set:blue", "layer: set\n")
    await setting("group:web", "layer: web\nweb: yes please\n")
    await setting("group:db", "layer: db\n")
    await setting("host:h-1", "layer: host\n")


async def test_effective_values_of_hosts_and_where_they_come_from(ask, three_hosts):
    found = await ask(
        variables.effective_variables, AskEffective(hosts=("h-3", "h-1", "h-2"), explain=True, task="layer: task")
    )
    assert [each.host for each in found.hosts] == ["h-1", "h-2", "h-3"]
    assert [each.flat["region.id"] for each in found.hosts] == [7001, 7001, 0]
    one = found.hosts[0]
    assert one.group_names == ("global", "idc:js", "set:blue", "web")
    layer = one.explained["layer"]
    assert (layer.value, layer.origin.kind) == ("task", LayerKind.TASK)
    assert [(each.value, each.origin.scope, each.origin.revision) for each in layer.hid] == [
        ("host", "host:h-1", 1),
        ("web", "group:web", 1),
        ("set", "group:set:blue", 1),
        ("idc", "group:idc:js", 1),
        ("global", "group:global", 1),
    ]
    assert one.text.startswith("region:\n  id: 7001\n  name: js\n")
    assert [each.flat["layer"] for each in found.hosts] == ["task"] * 3
    plain = await ask(variables.effective_variables, AskEffective(hosts=("h-2",)))
    assert (plain.hosts[0].flat["layer"], plain.hosts[0].explained) == ("db", {})


async def test_only_some_keys_may_be_asked_for(ask, three_hosts):
    asked = AskEffective(hosts=("h-1",), keys=("region", "layer", "nothing", '"'), explain=True)
    [one] = (await ask(variables.effective_variables, asked)).hosts
    assert one.flat == {"region.id": 7001, "region.name": "js", "layer": "host"}
    assert one.explained.keys() == one.flat.keys()


async def test_a_tasks_variables_are_read_like_any_document(ask, three_hosts):
    with pytest.raises(Invalid) as refused:
        await ask(variables.effective_variables, AskEffective(hosts=("h-1",), task="a: 1\na: 2"))
    assert refused.value.reason == "variables.duplicate_key"
    [one] = (await ask(variables.effective_variables, AskEffective(hosts=("h-1",), task="a: !secret b"))).hosts
    assert one.flat["a"] == MASK


async def test_an_unknown_host_is_refused(ask, three_hosts):
    with pytest.raises(NotFound) as refused:
        await ask(variables.effective_variables, AskEffective(hosts=("h-1", "h-9")))
    assert (refused.value.reason, refused.value.message) == ("host.unknown", "There is no host h-9.")


async def test_a_thousand_hosts_resolve_page_by_page(jobs, fleet, setting):
    for n in range(1000):
        fleet.host(f"h-{n:04}")
    await setting("group:global", f"text: {'x' * 2000}\nregion: {{id: 0}}\n")
    await setting("host:h-0500", "region: {id: 1}\n")
    asked, found = tuple(fleet.hosts), {}
    while asked:
        page = await jobs.call(variables.resolve_variables, ResolveVariables(hosts=asked))
        found |= {each.host: each.flat for each in page.hosts}
        asked = page.rest
    assert len(found) == 1000
    assert [host for host, values in found.items() if values["region.id"] != "0"] == ["h-0500"]


async def test_who_names_a_moment_gets_the_documents_of_then(ask, jobs, fleet, setting, database):
    fleet.host("h-1")
    await setting("group:global", "a: 1\n")
    await setting("host:h-1", "b: !secret one\n")

    async def resolved(at=None):
        page = await jobs.call(variables.resolve_variables, ResolveVariables(hosts=("h-1",), at=at))
        return page.at, _of_documents(page.hosts[0])

    at, before = await resolved()
    await until(lambda: datetime.now(UTC) > at + timedelta(milliseconds=1), "the clock has gone on")
    await setting("host:h-1", "b: !secret two\n")
    await setting("host:h-1", "b: !secret three\n")
    await setting("group:idc:js", "c: new\n")
    assert before == {"a": "1", "b": "one"}
    assert await resolved(at) == (at, before)
    assert (await resolved())[1] == {"a": "1", "b": "three", "c": "new"}
    later = datetime(2100, 1, 1, tzinfo=UTC)
    await database["variables"].update_one({"_id": "group:global"}, {"$set": {"changed_at": later}})
    assert await resolved() == (later, {"a": "1", "b": "three", "c": "new"}), "set by an instance whose clock is fast"


async def test_what_held_at_a_moment_is_found_by_indexes(database):
    newest = database["variables"].find({}, {"changed_at": 1}).sort("changed_at", -1).limit(1)
    query = {"scope": "group:global", "changed_at": {"$lte": datetime.now(UTC)}}
    for found in (newest, database["variable_versions"].find(query).sort("revision", -1).limit(1)):
        plan = str((await found.explain())["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in plan and "SORT'" not in plan


async def test_values_too_large_for_one_answer_are_refused_with_a_remedy(ask, fleet, setting):
    fleet.host("h-1")
    for scope in ("group:global", "group:idc:js", "host:h-1"):
        await setting(scope, f"{scope[-2:].strip(':-')}x: {'x' * 250_000}\n")
    with pytest.raises(Invalid) as refused:
        await ask(variables.effective_variables, AskEffective(hosts=("h-1",)))
    assert refused.value.reason == "variables.too_many"
    [one] = (await ask(variables.effective_variables, AskEffective(hosts=("h-1",), keys=("jsx",)))).hosts
    assert len(one.flat["jsx"]) == 250_000


async def test_scopes_are_listed_page_by_page(ask, three_hosts):
    first = await ask(variables.list_variables, ListVariables(limit=4))
    rest = await ask(variables.list_variables, ListVariables(limit=4, after=first.next))
    assert [each.scope for each in (*first.scopes, *rest.scopes)] == [
        "group:db",
        "group:global",
        "group:idc:js",
        "group:set:blue",
        "group:web",
        "host:h-1",
    ]
    assert (rest.next, first.scopes[1].keys) == ("", 4)
    only = await ask(variables.list_variables, ListVariables(kind=ScopeKind.HOST))
    assert [each.scope for each in only.scopes] == ["host:h-1"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("region.id", {"group:global": {"region.id": 0}, "group:idc:js": {"region.id": 7001}}),
        ("NAME", {"group:global": {"region.name": "none"}, "group:idc:js": {"region.name": "js"}}),
        ("yes p", {"group:web": {"web": "yes please"}}),
        ("6553", {"group:global": {"file_ulimit": 65535}}),
        ("gion", {}),
        ("^.*", {}),
    ],
)
async def test_keys_and_values_are_found_by_their_beginning(ask, three_hosts, search, found):
    said = await ask(variables.list_variables, ListVariables(search=search))
    assert {each.scope: each.found for each in said.scopes} == found


async def test_a_change_of_a_group_tells_the_hosts_whose_values_change(ask, three_hosts):
    text = "region: {id: 7001, name: nanjing}\nlayer: other\n"
    said = await ask(variables.preview_variables, PreviewVariables(scope="group:idc:js", text=text))
    assert (said.members, said.examined, said.hosts_changed) == (2, 2, 2)
    assert [each.key for each in said.changes] == ["region.name", "layer"]
    assert [(each.host, [change.key for change in each.changes]) for each in said.hosts] == [
        ("h-1", ["region.name"]),
        ("h-2", ["region.name"]),
    ]
    assert (await ask(variables.show_variables, ShowVariables(scope="group:idc:js"))).revision == 1


async def test_a_change_that_is_hidden_everywhere_touches_no_host(ask, three_hosts):
    said = await ask(variables.preview_variables, PreviewVariables(scope="group:set:blue", text="layer: green"))
    assert (said.members, said.hosts_changed) == (2, 1)
    assert said.hosts[0].host == "h-3"
    said = await ask(variables.preview_variables, PreviewVariables(scope="group:db", text="layer: db # same"))
    assert (said.changes, said.hosts_changed, said.templates_changed) == ([], 0, 0)


async def test_the_first_document_of_a_scope_can_be_previewed_too(ask, three_hosts):
    said = await ask(variables.preview_variables, PreviewVariables(scope="host:h-2", text="layer: 1\nnew: 2\n"))
    assert (said.members, said.hosts_changed) == (1, 1)
    assert [(each.key, each.after) for each in said.hosts[0].changes] == [("layer", 1), ("new", 2)]


async def test_all_are_counted_and_the_first_are_listed(ask, fleet, setting):
    for n in range(450):
        fleet.host(f"h-{n:04}")
    said = await ask(variables.preview_variables, PreviewVariables(scope="group:global", text="a: 1", limit=3))
    assert (said.members, said.examined, said.hosts_changed) == (450, 450, 450)
    assert [each.host for each in said.hosts] == ["h-0000", "h-0001", "h-0002"]


def granted(*permissions, **scope):
    return Principal(kind="person", name="sam", grants=(Grant(permissions=permissions, scope=Scope(**scope)),))


async def test_a_scope_of_groups_is_the_end_of_the_world(ask, three_hosts):
    sam = granted("variables:read", "variables:change", groups=("web",))
    assert (await ask(variables.show_variables, ShowVariables(scope="group:web"), by=sam)).revision == 1
    assert (await ask(variables.show_variables, ShowVariables(scope="host:h-1"), by=sam)).revision == 1
    listed = await ask(variables.list_variables, ListVariables(), by=sam)
    assert [each.scope for each in listed.scopes] == ["group:web", "host:h-1"]
    for scope, reason in (
        ("group:db", "group.unknown"),
        ("group:global", "group.unknown"),
        ("host:h-3", "host.unknown"),
    ):
        for call, request in (
            (variables.show_variables, ShowVariables(scope=scope)),
            (variables.set_variables, SetVariables(scope=scope, text="a: 1")),
            (variables.preview_variables, PreviewVariables(scope=scope, text="a: 1")),
        ):
            with pytest.raises(NotFound) as refused:
                await ask(call, request, by=sam)
            with pytest.raises(NotFound) as nothing:
                await ask(call, msgspec.structs.replace(request, scope=f"{scope.partition(':')[0]}:nothing"), by=sam)
            assert refused.value.reason == nothing.value.reason == reason
    with pytest.raises(NotFound):
        await ask(variables.effective_variables, AskEffective(hosts=("h-1", "h-3")), by=sam)


async def test_a_preview_tells_nobody_what_they_may_not_read(ask, fleet, setting):
    fleet.host("h-1", business="shop")
    fleet.host("h-2", business="bank")
    await setting("group:global", "a: before\n")
    asked = PreviewVariables(scope="group:global", text="a: 1\n")
    change, read = Grant(permissions=("variables:change",)), Grant(permissions=("variables:read",))
    elsewhere = Grant(permissions=("variables:read",), scope=Scope(groups=("web",)))
    for grants in ((change,), (change, elsewhere)):
        with pytest.raises(Forbidden, match="a preview needs variables:read too") as refused:
            await ask(variables.preview_variables, asked, by=Principal(kind="person", name="sam", grants=grants))
        assert refused.value.reason == "auth.forbidden"
    shop = Grant(permissions=("hosts:read",), scope=Scope(businesses=("shop",)))
    for more, listed in (((), []), ((shop,), ["h-1"])):
        sam = Principal(kind="person", name="sam", grants=(change, read, *more))
        said = await ask(variables.preview_variables, asked, by=sam)
        assert (said.hosts_changed, [each.host for each in said.hosts]) == (2, listed)


async def test_a_scope_of_businesses_holds_their_hosts_and_no_group(ask, fleet, setting):
    fleet.host("h-1", business="shop")
    fleet.host("h-2", business="bank")
    sam = granted("variables:read", businesses=("shop",))
    found = await ask(variables.effective_variables, AskEffective(hosts=("h-1",)), by=sam)
    assert [each.host for each in found.hosts] == ["h-1"]
    for scope in ("host:h-2", "group:global", "group:idc:js"):
        with pytest.raises(NotFound):
            await ask(variables.show_variables, ShowVariables(scope=scope), by=sam)


async def test_viewers_change_nothing(ask, three_hosts):
    for call, request in (
        (variables.set_variables, SetVariables(scope="group:web", text="")),
        (variables.preview_variables, PreviewVariables(scope="group:web", text="")),
    ):
        with pytest.raises(Forbidden):
            await ask(call, request, by=VIEWER)


async def test_no_query_reads_a_whole_collection(ask, three_hosts, setting, database):
    async with profiled(database) as seen:
        for request in (
            ListVariables(),
            ListVariables(kind=ScopeKind.GROUP, after="group:d"),
            ListVariables(search="region", after="group:d"),
        ):
            await ask(variables.list_variables, request)
        await ask(variables.show_variables, ShowVariables(scope="group:web", revision=1))
        await ask(variables.list_variables_versions, ListVersions(scope="group:web", after=1))
        await ask(variables.effective_variables, AskEffective(hosts=("h-1", "h-2")))
        await setting("group:web", "a: 1")
    assert whole_collections(seen, "variables", "variable_versions") == []
    assert {each["ns"].partition(".")[2] for each in seen} >= {"variables", "variable_versions"}


def _of_documents(host):
    """What documents say, without what every host has."""
    own = ("host.", "global.", "group_names", "inventory_hostname")
    return {key: text for key, text in host.flat.items() if not key.startswith(own)}


async def test_a_run_does_not_bring_a_secret_in_clear(jobs, fleet, setting):
    fleet.host("h-1")
    await setting("group:global", "db: {password: !secret x, user: app}\n")
    for task, refusal in (
        ('{"db": {"user": "y"}}', ""),
        ('{"db": {"password": "y"}}', "variables.secret_bared"),
        ('{"db": {"port": 1, "password": 2}}', "variables.secret_bared"),
    ):
        asked = jobs.call(variables.resolve_variables, ResolveVariables(hosts=("h-1",), task=task))
        if refusal:
            with pytest.raises(Invalid, match=r"db\.password is a secret variable") as told:
                await asked
            assert told.value.reason == refusal
        else:
            [found] = (await asked).hosts
            assert found.flat["db.user"] == "y"


async def test_scripts_get_texts_and_what_is_no_text_as_json(jobs, fleet, setting):
    fleet.host("h-1")
    await setting("group:global", 'l: [1, !secret "a\\"b"]\nt: true\nn: null\ne: {}\nd: "x"\n')
    [found] = (await jobs.call(variables.resolve_variables, ResolveVariables(hosts=("h-1",), task='{"d": "y"}'))).hosts
    assert _of_documents(found) == {"l": '[1,"a\\"b"]', "t": "true", "n": "null", "e": "{}", "d": "y"}
    assert found.secrets == ('a"b',)
    assert found.flat["host.id"] == "h-1"


async def test_a_preview_names_templates_to_whoever_may_see_them(ask, fleet, setting):
    fleet.host("h-1")
    await ask(templates.save_template, SaveTemplate(name="motd", text="{{ owner }}"))
    preview = PreviewVariables(scope="group:global", text="owner: olga")
    told = await ask(variables.preview_variables, preview)
    assert [each.name for each in told.templates] == ["motd"]
    sam = granted("variables:read", "variables:change", "hosts:read")
    told = await ask(variables.preview_variables, preview, by=sam)
    assert (told.templates, told.templates_changed) == ([], 1)
