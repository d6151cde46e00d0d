"""Hosts from text that somebody uploads: what is new, what differs, what is gone; planned, applied, and applied again."""

import asyncio

import msgspec
import pytest

from contracts import edits, hosts, imports, topology
from contracts.edits import ListHistory
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.hosts import ChangeHost, HostRef, HostState, ListHosts
from contracts.imports import (
    AddPiece,
    BeginImport,
    Format,
    ImportRef,
    ImportState,
    ListImports,
    ListRows,
    OnChanged,
    OnNew,
    OnVanished,
    RowOutcome,
    Rules,
)
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.topology import AttributeType, DeclareAttribute
from runtime.mongo import now
from tests.resources.people import ADMIN, OPERATOR
from tests.servers import until

MAKES = {"make_places": True}
TABLE = """hostname,ips,idc,room,rack,business,product_line,asset_id,serial,tags,labels.env,attributes.slots
web-1,10.0.0.1;fd00::1,js,r1,a1,shop,cart,A1,S1,web;blue,prod,4
web-2,10.0.0.2,js,r1,a2,shop,cart,A2,S2,web,prod,
db-1,10.0.1.1,bj,r1,a1,bank,,A3,S3,db,test,8
"""


async def declared(ask):
    await ask(topology.declare_attribute, DeclareAttribute(name="slots", type=AttributeType.INTEGER))


async def begun(ask, text, form=Format.CSV, **rules):
    request = BeginImport(format=form, rules=Rules(**rules), text=text)
    return (await ask(imports.begin_import, request)).id


async def ended(ask, name):
    async def is_so():
        found = await ask(imports.show_import, ImportRef(id=name))
        return found.state not in {ImportState.PLANNING, ImportState.APPLYING, ImportState.RECEIVING}

    await until(is_so, f"{name} has ended")
    return await ask(imports.show_import, ImportRef(id=name))


async def planned(ask, text, form=Format.CSV, **rules):
    name = await begun(ask, text, form, **rules)
    await ask(imports.plan_import, ImportRef(id=name))
    return await ended(ask, name)


async def applied(ask, text, form=Format.CSV, **rules):
    name = await begun(ask, text, form, **rules)
    await ask(imports.apply_import, ImportRef(id=name))
    return await ended(ask, name)


async def rows(ask, done, *outcomes):
    found, after = [], ""
    while True:
        page = await ask(imports.list_rows, ListRows(id=done.id, outcomes=outcomes, after=after, limit=2))
        found += page.rows
        after = page.next
        if not after:
            return found


async def known(ask):
    """Host name → host."""
    found = await ask(hosts.list_hosts, ListHosts(limit=1000))
    return {host.hostname: host for host in found.hosts}


def counts(done):
    return {name: value for name, value in msgspec.structs.asdict(done.counts).items() if value}


async def test_a_plan_tells_everything_and_changes_nothing(ask):
    await declared(ask)
    plan = await planned(ask, TABLE, **MAKES)
    assert (plan.state, counts(plan)) == (ImportState.PLANNED, {"rows": 3, "new": 3})
    assert await known(ask) == {}
    assert await ask.database["places"].count_documents({"kind": "business"}) == 0
    first = (await rows(ask, plan))[0]
    assert (first.line, first.outcome, first.done, first.name) == (2, "new", False, "web-1")
    assert {each.field: each.after for each in first.changes}["tags"] == ["blue", "web"]
    await ask(imports.apply_import, ImportRef(id=plan.id))
    assert counts(await ended(ask, plan.id)) == {"rows": 3, "new": 3, "done": 3}, "the plan itself is applied"
    assert set(await known(ask)) == {"web-1", "web-2", "db-1"}


async def test_an_import_makes_hosts_without_agents_and_again_changes_nothing(ask):
    await declared(ask)
    done = await applied(ask, TABLE, **MAKES, source="cmdb")
    assert (done.state, counts(done)) == (ImportState.APPLIED, {"rows": 3, "new": 3, "done": 3}), done.message
    found = await known(ask)
    web = found["web-1"]
    assert (web.ips, web.idc, web.room, web.rack) == (("10.0.0.1", "fd00::1"), "js", "r1", "a1")
    assert (web.business, web.product_line, web.asset_id, web.serial) == ("shop", "cart", "A1", "S1")
    assert (web.tags, web.labels, web.attributes) == (("blue", "web"), {"env": "prod"}, {"slots": 4})
    assert (web.agent, web.presence.online, web.state, web.changed_by) == (False, False, HostState.STANDBY, "ada")
    assert found["web-2"].attributes == {}
    again = await applied(ask, TABLE, **MAKES, source="cmdb")
    assert counts(again) == {"rows": 3, "unchanged": 3}
    assert await rows(ask, again) == []
    assert await known(ask) == found
    [event] = (await ask(edits.host_history, ListHistory(host=web.id))).events
    assert (event.origin.kind, event.origin.name, event.by) == ("import", "cmdb", "ada")
    origins = await ask(edits.host_origins, HostRef(host=web.id))
    assert {(each.origin.kind, each.origin.name) for each in origins.fields} == {("import", "cmdb")}


async def test_a_host_without_an_agent_can_be_a_target(ask):
    await applied(ask, "hostname,ips,idc\na,10.0.0.9,js\n")
    found = await ask.resolve(ips=("10.0.0.9",))
    assert [(each.hostname, each.box_key, each.online) for each in found.hosts] == [("a", "", False)]


async def test_differences_are_told_field_by_field_and_only_brought_fields_change(ask):
    await applied(ask, "asset_id,hostname,idc,tags,labels.a,labels.b\nA1,web,js,x,1,2\n")
    await ask(hosts.change_host, ChangeHost(host=(await known(ask))["web"].id, labels={"a": "1", "b": "2", "c": "3"}))
    text = "asset_id,hostname,tags,labels.a,labels.b\nA1,web9,,1,\n"
    skipped = await applied(ask, text, changed=OnChanged.SKIP)
    assert counts(skipped) == {"rows": 1, "changed": 1}
    done = await applied(ask, text)
    assert counts(done) == {"rows": 1, "changed": 1, "done": 1}
    [row] = await rows(ask, done)
    assert [(each.field, each.before, each.after) for each in row.changes] == [
        ("hostname", "web", "web9"),
        ("labels.b", "2", None),
        ("tags", ["x"], None),
    ]
    after = (await known(ask))["web9"]
    assert (after.tags, after.labels, after.idc) == ((), {"a": "1", "c": "3"}, "js")


async def test_agents_keep_what_they_say_and_imports_the_rest(ask):
    host = await ask.host("js", ips=("10.0.0.1",), hostname="real")
    done = await applied(ask, "ips,hostname,idc,asset_id\n10.0.0.1,wished,js,A1\n")
    assert counts(done) == {"rows": 1, "changed": 1, "done": 1}
    after = await ask.show(host)
    assert (after.hostname, after.asset_id, after.agent) == ("real", "A1", True)
    moved = await applied(ask, "ips,hostname,idc,asset_id\n10.0.0.1,wished,bj,A1\n")
    [row] = await rows(ask, moved)
    assert (row.outcome, row.reason) == ("conflict", "import.other_idc")


async def test_vanished_hosts_are_marked_if_asked_and_if_the_list_can_be_whole(ask):
    text = "hostname,idc\n" + "".join(f"h{n},js\n" for n in range(10))
    await applied(ask, text, source="cmdb")
    await applied(ask, "hostname,idc\nelse,js\n", source="other")
    fewer = text.replace("h9,js\n", "")
    told = await applied(ask, fewer, source="cmdb")
    assert counts(told) == {"rows": 9, "unchanged": 9, "vanished": 1}
    assert (await known(ask))["h9"].state == HostState.STANDBY
    broken = await applied(ask, fewer + "h 8,js\n", source="cmdb", vanished=OnVanished.FAULTY)
    assert counts(broken) == {"rows": 10, "unchanged": 9, "rejected": 1}, "the row that is rejected may be the one"
    done = await applied(ask, fewer, source="cmdb", vanished=OnVanished.FAULTY)
    assert counts(done) == {"rows": 9, "unchanged": 9, "vanished": 1, "done": 1}
    assert (await known(ask))["h9"].state == HostState.FAULTY
    done = await applied(ask, fewer, source="cmdb", vanished=OnVanished.RETIRE)
    assert (await known(ask))["h9"].state == HostState.RETIRED
    assert counts(await applied(ask, fewer, source="cmdb", vanished=OnVanished.RETIRE)) == {"rows": 9, "unchanged": 9}
    empty = await applied(ask, "hostname,idc\n", source="cmdb", vanished=OnVanished.RETIRE)
    assert (empty.state, empty.reason) == (ImportState.FAILED, "import.vanished_too_many")
    assert (await known(ask))["else"].state == HostState.STANDBY
    assert (await known(ask))["h0"].state == HostState.STANDBY


async def test_rows_that_cannot_be_taken_say_why_and_keep_no_other_from_it(ask):
    await declared(ask)
    await ask.places("product_line:shop/cart")
    text = """hostname,idc,ips,business,product_line,state,tags,attributes.slots,labels.env
good,js,10.0.0.1,shop,cart,in_service,a,1,x
bad name,js,,,,,,,
b,js,10.0.0.300,,,,,,
c,js,,shpo,,,,,
d,js,,,,dead,,,
e,js,,,,,a b|c,,
f,js,,,,,,many,
g,nowhere,,,,,,,
h,,,,,,,,
,js,,shop,,,,,
i,js,,,,,,,x\x01y
j,js
k,js,10.0.0.1,,,,,,
"""
    done = await applied(ask, text)
    found = {row.line: (row.outcome, row.reason) for row in await rows(ask, done)}
    assert found == {
        2: ("new", ""),
        3: ("rejected", "import.bad_row"),
        4: ("rejected", "import.bad_row"),
        5: ("rejected", "place.missing"),
        6: ("rejected", "import.bad_row"),
        7: ("rejected", "import.bad_row"),
        8: ("rejected", "attribute.wrong_type"),
        9: ("rejected", "place.missing"),
        10: ("rejected", "import.bad_row"),
        11: ("rejected", "import.bad_row"),
        12: ("rejected", "import.bad_row"),
        13: ("rejected", "import.bad_row"),
        14: ("conflict", "import.ambiguous"),
    }
    assert counts(done) == {"rows": 13, "new": 1, "rejected": 11, "conflict": 1, "done": 1}
    assert set(await known(ask)) == {"good"}
    [row] = await rows(ask, done, RowOutcome.CONFLICT)
    assert "Row 2 speaks of the same host" in row.message


async def test_a_row_that_several_hosts_answer_to_is_a_conflict(ask):
    for _ in range(2):
        await ask.host("js", hostname="twin")
    done = await applied(ask, "hostname,idc,tags\ntwin,js,x\n")
    [row] = await rows(ask, done)
    assert (row.outcome, row.reason) == ("conflict", "import.ambiguous")
    assert (await applied(ask, "hostname,idc\nnew,js\n", new=OnNew.SKIP)).counts.done == 0
    assert set(await known(ask)) == {"twin"}


async def test_no_row_gives_a_host_an_ip_that_another_live_host_has(ask):
    await applied(ask, "asset_id,hostname,ips,idc\nA1,a,10.0.0.1,js\nA2,b,10.0.0.2,js\nA3,c,10.0.0.3,js\n")
    host = (await known(ask))["c"].id
    await ask(hosts.change_host, ChangeHost(host=host, state=HostState.RETIRED))
    rules = {"match_by": ("asset_id",), "vanished": OnVanished.FAULTY, "most_vanished_percent": 100}
    text = """asset_id,hostname,ips,idc
A1,a,10.0.0.1;10.0.0.2,js
A2,b,10.0.0.2;10.0.0.3;10.0.0.9,js
A4,d,10.0.0.1,js
A5,e,10.0.0.9,js
A6,f,10.0.0.6,js
"""
    done = await applied(ask, text, **rules)
    found = {row.line: (row.outcome, row.reason) for row in await rows(ask, done)}
    ambiguous = ("conflict", "import.ambiguous")
    assert found == {2: ambiguous, 3: ("changed", ""), 4: ambiguous, 5: ambiguous, 6: ("new", "")}
    after = await known(ask)
    assert set(after) == {"a", "b", "c", "f"}
    assert (after["a"].ips, after["a"].state) == (("10.0.0.1",), HostState.STANDBY), "it is there, though not clear"
    assert after["b"].ips == ("10.0.0.2", "10.0.0.3", "10.0.0.9")
    assert "The IP 10.0.0.2 belongs to" in (await rows(ask, done))[0].message


async def test_columns_are_mapped_and_filled_up(ask):
    text = "Name;x,IP,Site,Junk\nweb-1,10.0.0.1,,junk\n".replace("Name;x", "Name")
    unknown = await applied(ask, text)
    assert (unknown.state, unknown.reason) == (ImportState.FAILED, "import.unknown_column")
    assert "IP, Junk, Name, Site" in unknown.message
    columns = {"Name": "hostname", "IP": "ips", "Site": "idc", "Junk": ""}
    done = await applied(ask, text, columns=columns, defaults={"idc": "js", "tags": "new"})
    assert counts(done) == {"rows": 1, "new": 1, "done": 1}
    web = (await known(ask))["web-1"]
    assert (web.idc, web.tags) == ("js", ("new",))


@pytest.mark.parametrize("form", [Format.JSON, Format.YAML])
async def test_lists_of_objects_are_rows(ask, form):
    await declared(ask)
    text = {
        Format.JSON: '[{"name": {"fqdn": "a.b"}, "ips": ["10.0.0.1"], "idc": "js", "attributes.slots": 3, "x": 1},'
        ' {"idc": 4, "name": null}, 7]',
        Format.YAML: "- {name: {fqdn: a.b}, ips: [10.0.0.1], idc: js, attributes.slots: 3, x: 1}\n- {idc: 4}\n- 7\n",
    }[form]
    done = await applied(ask, text, form, columns={"name.fqdn": "hostname"})
    assert counts(done) == {"rows": 3, "new": 1, "rejected": 2, "done": 1}
    host = (await known(ask))["a.b"]
    assert (host.ips, host.attributes) == (("10.0.0.1",), {"slots": 3})


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Format.JSON, "[" * 100_000),
        (Format.JSON, "{}"),
        (Format.JSON, '[{"a": 1}'),
        (Format.YAML, "a: &x [1]\nb: *x\n"),
        (Format.YAML, "- !!python/object/apply:os.system [id]\n"),
        (Format.YAML, "- {hostname: !!str 1, idc: js}\n"),
        (Format.YAML, "[" * 20_000),
        (Format.JSON, '[{"hostname": "a", "idc": "js", "serial": NaN}]'),
        (Format.YAML, "\t- a"),
        (Format.CSV, ""),
        (Format.CSV, "idc,idc\njs,js\n"),
        (Format.CSV, 'idc,hostname\njs,"x\n'),
    ],
)
async def test_what_is_no_list_of_hosts_is_refused_as_a_whole(ask, form, text):
    done = await applied(ask, text, form)
    rejected = done.state is ImportState.APPLIED and done.counts.rejected == done.counts.rows == 1
    assert (done.state, done.reason) == (ImportState.FAILED, "import.malformed") or rejected
    assert await known(ask) == {}


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        (
            Format.JSON,
            '[{"hostname": "a", "idc": "js"}, {"hostname": "b", "idc": "js", "hostname": "c"}]',
            "'hostname'",
        ),
        (Format.JSON, '[{"hostname": "a", "idc": "js"}, {"hostname": "b", "x": [{"y": 1, "y": 2}]}]', "'y'"),
        (Format.YAML, "- {hostname: a, idc: js}\n- hostname: b\n  idc: js\n  hostname: c\n", "'hostname' (line 4)"),
    ],
)
async def test_a_row_that_says_something_twice_is_rejected(ask, form, text, said):
    done = await applied(ask, text, form)
    assert counts(done) == {"rows": 2, "new": 1, "rejected": 1, "done": 1}
    [row] = await rows(ask, done, RowOutcome.REJECTED)
    assert (row.line, row.reason, said in row.message) == (2, "import.bad_row", True), row.message
    assert set(await known(ask)) == {"a"}


async def test_yaml_is_read_as_it_stands_there(ask):
    await declared(ask)
    lines = ["0755", "1_000", "no", "1e3", "2026-01-02", "0x1f", "'null'"]
    text = "".join(f"- {{hostname: {each}, idc: js, serial: ~, attributes.slots: 3}}\n" for each in lines)
    assert (await applied(ask, text, Format.YAML, match_by=("hostname",))).counts.done == len(lines)
    found = await known(ask)
    assert set(found) == {each.strip("'") for each in lines}
    assert {(each.serial, each.attributes["slots"]) for each in found.values()} == {("", 3)}


async def test_a_table_with_semicolons_is_told_of_commas(ask):
    done = await applied(ask, "hostname;ips;idc\na;10.0.0.1;js\n")
    assert (done.reason, "separated by commas" in done.message) == ("import.unknown_column", True)


async def test_text_comes_in_pieces_in_any_order_and_again(ask):
    lines = [f"web-{n},10.1.{n >> 8}.{n & 255},js\n" for n in range(1000)]
    name = await begun(ask, "hostname,ips,idc\n")
    pieces = ["".join(lines[start : start + 100]) for start in range(0, 1000, 100)]
    requests = [AddPiece(id=name, number=number, text=text) for number, text in enumerate(pieces, start=1)]
    await asyncio.gather(*(ask(imports.add_piece, each) for each in [*reversed(requests), *requests[:3]]))
    await ask(imports.apply_import, ImportRef(id=name))
    done = await ended(ask, name)
    assert counts(done) == {"rows": 1000, "new": 1000, "done": 1000}
    with pytest.raises(Conflict) as told:
        await ask(imports.add_piece, requests[0])
    assert told.value.reason == "import.wrong_state"
    for call in (imports.plan_import, imports.apply_import):
        with pytest.raises(Conflict):
            await ask(call, ImportRef(id=name))
    assert await ask.database["import_pieces"].count_documents({}) == 0


async def test_an_import_whose_instance_died_is_begun_anew(ask):
    text = "hostname,idc\n" + "".join(f"h{n},js\n" for n in range(700))
    await applied(ask, text.replace("h699,js\n", ""))
    name = await begun(ask, text)
    past = {"holder": "gone", "until": now()}
    await ask.database["leases"].update_one({"_id": "imports"}, {"$set": past})
    row = {"_id": f"{name}:00000002:", "import": name, "line": 2, "outcome": "new"}
    await ask.database["import_rows"].insert_one(row)
    await ask.database["imports"].update_one({"_id": name}, {"$set": {"state": "applying"}})
    done = await ended(ask, name)
    assert counts(done) == {"rows": 700, "new": 1, "unchanged": 699, "done": 1}
    assert [each.line for each in await rows(ask, done)] == [701]


async def test_two_imports_at_once_make_no_host_twice(ask):
    text = "hostname,idc\n" + "".join(f"h{n},js\n" for n in range(50))
    names = [await begun(ask, text) for _ in range(4)]
    await asyncio.gather(*(ask(imports.apply_import, ImportRef(id=name)) for name in names))
    done = [await ended(ask, name) for name in names]
    assert sorted(each.counts.done for each in done) == [0, 0, 0, 50]
    listed = await ask(imports.list_imports, ListImports(source="upload", limit=2))
    assert ([each.id for each in listed.imports], listed.next) == (sorted(names)[:1:-1], sorted(names)[2])


async def test_who_may_import(ask):
    bounded = Principal(
        kind="person",
        name="bo",
        grants=(Grant(permissions=("hosts:import",), scope=Scope(businesses=("shop",))),),
        via="session",
    )
    for by in (OPERATOR, bounded):
        with pytest.raises(Forbidden):
            await ask(imports.begin_import, BeginImport(format=Format.CSV), by)
    with pytest.raises(NotFound) as told:
        await ask(imports.show_import, ImportRef(id="i-none"), ADMIN)
    assert told.value.reason == "import.unknown"
    for rules in ({"columns": {"a": "$where"}}, {"columns": {"a": "labels."}}, {"defaults": {"id": "x"}}):
        with pytest.raises(Invalid) as bad:
            await ask(imports.begin_import, {"format": "csv", "rules": rules})
        assert bad.value.reason == "bus.malformed"
