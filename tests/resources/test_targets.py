"""Exactly the hosts that were asked for, or a refusal that says why not."""

import hashlib

import pytest
import pytest_asyncio
from bson import encode as as_bson

from contracts import hosts
from contracts.errors import Invalid
from contracts.hosts import (
    ChangeHost,
    HostClass,
    HostFilter,
    HostRef,
    HostState,
    ResolveTargets,
    RevokeHost,
    Targets,
)
from services.resources.targets.model import MOST
from tests.resources.people import VIEWER


class Herd:
    """Six hosts and a management host, by short names."""

    def __init__(self, ask):
        self.ask = ask
        self.ids = {}

    async def add(self, name, idc, ips, **given):
        self.ids[name] = await self.ask.host(idc, ips=ips, hostname=f"{name}.Example", **given)

    async def fits(self, **targets):
        """Short names of the chosen hosts."""
        answer = await self.ask.resolve(**targets)
        names = {host: name for name, host in self.ids.items()}
        return " ".join(sorted(names[host.id] for host in answer.hosts))

    async def refused(self, reason, **targets):
        with pytest.raises(Invalid) as told:
            await self.ask.resolve(**targets)
        assert told.value.reason == reason
        return told.value


@pytest_asyncio.fixture
async def herd(ask):
    herd = Herd(ask)
    await herd.add("a", "js", ["10.0.0.1", "fd00::a"], business="shop", product_line="cart", tags=("web", "blue"))
    await herd.add("b", "js", ["10.0.0.2"], business="shop", product_line="search", tags=("web",))
    await herd.add("c", "bj", ["10.0.0.3"], business="shop", product_line="cart", tags=("db",))
    await herd.add("d", "bj", ["10.0.0.4"], business="bank", product_line="cart", state=HostState.STANDBY)
    await herd.add("e", "bj", ["10.0.0.1"], business="bank")
    await herd.add("m", "mgmt", ["10.9.9.9"], host_class=HostClass.MANAGEMENT, business="shop", tags=("web",))
    return herd


async def test_within_a_criterion_any_value_and_between_criteria_all(herd):
    assert await herd.fits(idcs=("js",)) == "a b"
    assert await herd.fits(idcs=("js", "bj")) == "a b c d e"
    assert await herd.fits(tags=("blue", "db")) == "a c"
    assert await herd.fits(businesses=("shop",), product_lines=("cart",)) == "a c"
    assert await herd.fits(businesses=("shop",), product_lines=("cart",), idcs=("bj",)) == "c"
    assert await herd.fits(states=(HostState.STANDBY,)) == "d"
    assert await herd.fits(ids=(herd.ids["a"], herd.ids["c"]), idcs=("bj",)) == "c"


async def test_an_ip_is_the_same_in_every_spelling_and_may_be_of_several_hosts(herd):
    assert await herd.fits(ips=("10.0.0.1",)) == "a e"
    assert await herd.fits(ips=("10.0.0.1",), idcs=("js",)) == "a"
    assert await herd.fits(ips=("FD00:0:0::000A",)) == "a"
    assert await herd.fits(ips=("::ffff:10.0.0.2", "10.0.0.3")) == "b c"


async def test_host_names_know_no_case(herd):
    assert await herd.fits(hostnames=("B.EXAMPLE",)) == "b"


async def test_management_hosts_are_chosen_by_name_or_as_local_only(herd):
    assert await herd.fits(all=True) == "a b c d e"
    assert await herd.fits(tags=("web",)) == "a b"
    assert await herd.fits(local=True) == "m"
    assert await herd.fits(ids=(herd.ids["m"], herd.ids["a"])) == "a m"
    assert await herd.fits(ips=("10.9.9.9",)) == "m"
    assert await herd.fits(hostnames=("m.example", "a.example"), tags=("web",)) == "a m"
    await herd.refused("targets.empty", idcs=("mgmt",))
    await herd.refused("targets.empty", ids=(herd.ids["m"],), all=True)


async def test_all_is_narrowed_too(herd):
    assert await herd.fits(all=True, idcs=("js",)) == "a b"


async def test_exclusions(herd):
    assert await herd.fits(all=True, exclude=HostFilter(idcs=("js",))) == "c d e"
    assert await herd.fits(all=True, exclude=HostFilter(idcs=("bj",), product_lines=("cart",))) == "a b e"
    assert await herd.fits(all=True, exclude=HostFilter()) == "a b c d e"
    assert await herd.fits(idcs=("js",), exclude=HostFilter(ips=("10.0.0.1",))) == "b"


async def test_groups_and_expressions_narrow_and_exclude_as_the_other_criteria_do(herd):
    await herd.ask.group("hand", hosts=(herd.ids["a"], herd.ids["c"], herd.ids["m"]))
    await herd.ask.group("rule", expression="tag = web")
    await herd.ask.group("both", groups=("hand", "rule"))
    assert await herd.fits(groups=("hand",)) == "a c", "attributes and groups never sweep up management hosts"
    assert await herd.fits(groups=("hand", "rule")) == await herd.fits(groups=("both",)) == "a b c"
    assert await herd.fits(groups=("both",), idcs=("js",)) == "a b"
    assert await herd.fits(groups=("global",)) == "a b c d e"
    assert await herd.fits(groups=("idc:bj",), where="business = shop or state = standby") == "c d"
    assert await herd.fits(where="ip in 10.0.0.2/31 or hostname = a*") == "a b c"
    assert await herd.fits(where="not tag = *") == "d e"
    assert await herd.fits(all=True, exclude=HostFilter(groups=("both",))) == "d e"
    assert await herd.fits(all=True, exclude=HostFilter(where="group(both) and idc = js")) == "c d e"
    assert await herd.fits(groups=("both",), exclude=HostFilter(groups=("hand",), where="tag = db")) == "a b"
    assert await herd.fits(ids=(herd.ids["m"], herd.ids["a"]), groups=("hand",)) == "a m"
    assert await herd.fits(local=True, where="class = management") == "m"
    await herd.refused("targets.empty", where="class = management")


async def test_a_group_that_does_not_exist_is_told_and_never_passed_over(herd):
    for targets in (
        {"groups": ("nosuch", "global")},
        {"all": True, "exclude": HostFilter(groups=("nosuch",))},
        {"ids": (herd.ids["a"],), "groups": ("nosuch",), "allow_unknown": True},
        {"groups": ("set:none",)},
        {"groups": ("$ne",)},
    ):
        assert "There is no group " in (await herd.refused("group.unknown_member", **targets)).message
    assert "Column 5 " in (await herd.refused("expression.unknown_attribute", where="not nosuch")).message
    await herd.refused("expression.unknown_group", all=True, exclude=HostFilter(where="group(nosuch)"))


async def test_a_set_that_changed_between_preview_and_run_shows_by_its_hash(herd):
    """G5 of the bad inputs: a run that was to be on the set that was shown is refused on another."""
    await herd.ask.group("web", expression="tag = web")
    shown = await herd.ask.resolve(groups=("web",))
    await herd.ask(hosts.change_host, ChangeHost(host=herd.ids["c"], tags=("web",)))
    assert (await herd.ask.resolve(groups=("web",))).hash != shown.hash
    await herd.ask(hosts.change_host, ChangeHost(host=herd.ids["c"], tags=("db",)))
    assert (await herd.ask.resolve(groups=("web",))).hash == shown.hash


async def test_asking_for_nothing_is_never_everything(herd):
    await herd.refused("targets.none_asked")
    await herd.refused("targets.none_asked", exclude=HostFilter(idcs=("js",)))
    await herd.refused("targets.none_asked", ids=(), ips=(), allow_unknown=True)


async def test_names_that_match_nothing_are_all_told(herd):
    error = await herd.refused(
        "targets.unknown",
        ids=(herd.ids["a"], "h-none", "*", ">", "a.b", "$ne"),
        ips=("10.0.0.1", "10.7.7.7", "no-ip"),
        hostnames=("a.example", "nobody"),
        exclude=HostFilter(ids=("h-typo",)),
    )
    assert error.details["unknown"] == ["h-none", "*", ">", "a.b", "$ne", "10.7.7.7", "no-ip", "nobody", "h-typo"]
    assert "h-none, *, >, a.b, $ne, 10.7.7.7, no-ip, nobody, h-typo" in error.message


async def test_a_name_that_another_criterion_leaves_out_is_not_unknown(herd):
    assert await herd.fits(ips=("10.0.0.2", "10.0.0.3"), idcs=("js",)) == "b"


async def test_unknown_names_may_be_allowed(herd):
    answer = await herd.ask.resolve(ids=(herd.ids["a"], "h-none"), allow_unknown=True)
    assert [host.id for host in answer.hosts] == [herd.ids["a"]]
    assert answer.unknown == ("h-none",)
    await herd.refused("targets.empty", ids=("h-none",), allow_unknown=True)


async def test_many_unknown_names_are_told_in_part_with_their_number(herd):
    error = await herd.refused("targets.unknown", ids=tuple(f"h-{n}" * 40 for n in range(3000)))
    assert error.details["count"] == 3000
    assert len(error.details["unknown"]) == 1000
    assert "and 2990 more" in error.message


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({"idcs": ("sh",)}, "IDC sh leaves none of 6"),
        ({"idcs": ("js",), "tags": ("db",)}, "tag db leaves none of 2"),
        ({"idcs": ("mgmt",)}, "leaving out management hosts leaves none of 1"),
        ({"idcs": ("js",), "local": True}, "local, which means management hosts, leaves none of 2"),
        ({"idcs": ("js",), "exclude": HostFilter(tags=("web",))}, "excluding tag web leaves none of 2"),
        ({"states": (HostState.RETIRED,)}, "state retired leaves none of 6"),
        ({"groups": ("idc:js",), "where": "tag = db"}, "where tag = db leaves none of 2"),
        ({"idcs": ("bj",), "groups": ("idc:js",)}, "group idc:js leaves none of 3"),
    ],
)
async def test_an_empty_set_says_what_emptied_it(herd, targets, said):
    assert said in (await herd.refused("targets.empty", **targets)).message


async def test_with_no_hosts_at_all_that_is_said(ask):
    assert "there is none yet" in (await Herd(ask).refused("targets.empty", all=True)).message


async def test_retired_and_revoked_hosts_are_never_targets(herd):
    await herd.ask(hosts.change_host, ChangeHost(host=herd.ids["a"], state=HostState.RETIRED))
    await herd.ask(hosts.revoke_host, RevokeHost(host=herd.ids["b"], why="stolen"))
    assert await herd.fits(all=True) == "c d e"
    for gone in ("a", "b"):
        error = await herd.refused("targets.unknown", ids=(herd.ids[gone],))
        assert "Revoked and retired hosts do not count" in error.message
    assert await herd.fits(all=True, exclude=HostFilter(ids=(herd.ids["a"], herd.ids["b"]))) == "c d e"


async def test_the_set_is_sorted_hashed_and_carries_what_a_run_needs(herd):
    answer = await herd.ask.resolve(all=True)
    ids = [host.id for host in answer.hosts]
    assert ids == sorted(ids)
    assert answer.hash == hashlib.sha256("\n".join(ids).encode()).hexdigest()
    assert (answer.total, answer.next) == (5, "")
    shown = {host.id: host for host in answer.hosts}[herd.ids["a"]]
    document = await herd.ask.database["hosts"].find_one({"_id": shown.id})
    assert (shown.idc, shown.ip, shown.hostname, shown.online) == ("js", "10.0.0.1", "a.example", False)
    assert shown.box_key == document["box_key"]


async def test_pages_make_the_whole_set_whichever_instance_answers(herd):
    for _ in range(4):
        await _all_pages(herd)
    await herd.add("f", "js", [])
    whole = await herd.ask.resolve(all=True)
    for _ in range(6):
        ids, pages = await _all_pages(herd)
        assert (ids, pages) == ([host.id for host in whole.hosts], 3), "an older set must not shine through"


async def _all_pages(herd):
    ids, after, hashes = [], "", []
    while not hashes or after:
        request = ResolveTargets(targets=Targets(all=True), after=after, limit=2)
        page = await herd.ask(hosts.resolve_targets, request)
        ids += [host.id for host in page.hosts]
        hashes.append(page.hash)
        after = page.next
    assert set(hashes) == {hashlib.sha256("\n".join(ids).encode()).hexdigest()}
    assert page.total == len(ids)
    return ids, len(hashes)


async def test_fifty_thousand_hosts_are_a_set_and_one_more_is_too_many(ask):
    example = await ask.database["hosts"].find_one({"_id": await ask.host()})
    await ask.database["hosts"].delete_one({"_id": example["_id"]})
    many = [{**example, "_id": f"h-{n:012x}", "user_key": str(n)} for n in range(MOST)]
    assert len(as_bson(many[0])) < 1500
    await ask.database["hosts"].insert_many(many, ordered=False)
    answer = await ask.resolve(all=True)
    assert (answer.total, len(answer.hosts)) == (MOST, 1000)
    page = await ask(hosts.resolve_targets, ResolveTargets(targets=Targets(all=True), after=many[-2]["_id"]))
    assert ([host.id for host in page.hosts], page.next, page.hash) == ([many[-1]["_id"]], "", answer.hash)
    await ask.database["hosts"].insert_one({**example, "_id": "h-more", "user_key": "more"})
    with pytest.raises(Invalid) as told:
        await ask.resolve(all=True)
    assert told.value.reason == "targets.too_many"


@pytest.mark.parametrize(
    "targets",
    [
        {"ids": {"$ne": ""}},
        {"ids": [{"$gt": ""}]},
        {"ids": "h-1"},
        {"ids": None},
        {"tags": [["a"]]},
        {"states": ["$ne"]},
        {"states": [{"$ne": "retired"}]},
        {"all": "yes"},
        {"groups": "web"},
        {"groups": [{"$ne": "web"}]},
        {"where": {"$where": "sleep(5000)"}},
        {"where": ["online"]},
        {"all": {"$exists": True}},
        {"exclude": [1]},
        {"exclude": {"idcs": {"$in": []}}},
    ],
)
async def test_nothing_but_plain_values_reaches_the_database(ask, targets):
    from msgspec import json

    body = json.encode({"targets": targets})
    answer = await ask.bus.connection.request("svc.gateway.resources.targets.resolve", body)
    assert json.decode(answer.data)["reason"] in {"auth.forbidden", "bus.malformed"}
    principal = json.encode(VIEWER).decode()
    answer = await ask.bus.connection.request(
        "svc.gateway.resources.targets.resolve", body, headers={"Drover-Principal": principal}
    )
    assert json.decode(answer.data)["reason"] == "bus.malformed"


async def test_a_target_is_shown_as_the_host_is(herd):
    host = await herd.ask(hosts.show_host, HostRef(host=herd.ids["c"]))
    assert (await herd.ask.resolve(ids=(host.id,))).hosts[0].hostname == host.hostname
