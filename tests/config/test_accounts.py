"""Which accounts there are, who may use them, and what a run gets."""

import asyncio
import contextlib
import secrets

import pytest
import pytest_asyncio

from contracts import accounts
from contracts.accounts import (
    AccountRef,
    ChangeAccount,
    CreateAccount,
    DeleteAccount,
    ListAccounts,
    ResolveAccount,
)
from contracts.errors import Conflict, Forbidden, Invalid, NotFound, ServiceError
from contracts.names import AskNames, NameKind, NameRef, unknown_names, uses_of_name
from contracts.people import Principal
from contracts.permissions import OF_PROGRAMS, Grant, Role, Scope
from tests.config.conftest import ADMIN, OPERATOR, VIEWER
from tests.config.profiling import profiled, whole_collections
from tests.conftest import service_bus
from tests.gateway.client import PASSWORD, Client

BOB = Principal(kind="person", name="bob", roles=(Role.OPERATOR,), via="session")


def program(name, **scope):
    grant = Grant(permissions=tuple(OF_PROGRAMS), scope=Scope(**scope))
    return Principal(kind="integration", name=name, grants=(grant,))


PROGRAM = program("i-deploy")


def scoped(*permissions, **scope):
    grant = Grant(permissions=("accounts:read", "runs:start", *permissions), scope=Scope(**scope))
    return Principal(kind="person", name="sam", grants=(grant,), via="session")


@pytest_asyncio.fixture(scope="module", autouse=True)
async def people(gateway):
    """Those whom accounts are given to."""
    address, token = gateway
    async with Client(address, token=token) as admin:
        for name in ("bob", "sam", "zoe"):
            made = await admin.post("/people", {"name": name, "password": PASSWORD, "roles": ["operator"]})
            assert made.status == 201
        assert (await admin.post("/roles", {"name": "dba", "permissions": ["runs:start"]})).status == 201


@pytest.fixture(autouse=True)
def groups(fleet):
    """Those that accounts are bound to."""
    for name in ("web", "front", "idc:js"):
        fleet.group(name)
    fleet.integrations = {"i-deploy"}


@pytest.fixture
async def make(ask):
    """Makes accounts of fresh aliases, and takes them away in the end."""
    made = []

    async def create(os_user="deploy", **fields):
        request = CreateAccount(alias=f"a{secrets.token_hex(4)}", os_user=os_user, **fields)
        account = await ask(accounts.create_account, request)
        made.append(account.alias)
        return account

    yield create
    for alias in made:
        with contextlib.suppress(NotFound):
            await ask(accounts.delete_account, DeleteAccount(alias=alias))


@pytest.fixture
async def resolve(nats, config):
    """Asks as the jobs service does."""
    async with service_bus(nats, "jobs") as bus:

        async def asked(account, by, groups=None):
            return await bus.call(
                accounts.resolve_account, ResolveAccount(account=account, principal=by, groups=groups)
            )

        yield asked


async def refused(work, kind, reason):
    with pytest.raises(kind) as refusal:
        await work
    assert refusal.value.reason == reason
    return refusal.value


async def test_an_account_is_defined_shown_changed_and_deleted(ask):
    alias = f"a{secrets.token_hex(4)}"
    made = await ask(
        accounts.create_account, CreateAccount(alias=alias, os_user="deploy", people=("zoe", "bob", "bob"))
    )
    assert (made.people, made.groups, made.revision, made.changed_by) == (("bob", "zoe"), None, 1, "ada")
    assert await ask(accounts.show_account, AccountRef(alias=alias), by=VIEWER) == made
    changed = await ask(
        accounts.change_account, ChangeAccount(alias=alias, revision=1, groups=("web",), roles=("dba",))
    )
    assert (changed.groups, changed.roles, changed.people, changed.revision) == (("web",), ("dba",), ("bob", "zoe"), 2)
    everywhere = await ask(accounts.change_account, ChangeAccount(alias=alias, groups=None))
    assert (everywhere.groups, everywhere.revision) == (None, 3)
    assert (await ask(accounts.change_account, ChangeAccount(alias=alias, groups=None))).revision == 3
    await ask(accounts.delete_account, DeleteAccount(alias=alias, revision=3))
    await refused(ask(accounts.show_account, AccountRef(alias=alias)), NotFound, "account.not_found")


async def test_who_lost_a_race_is_told_who_won(ask, make):
    account = await make()
    asked = [
        ask(accounts.change_account, ChangeAccount(alias=account.alias, revision=1, description=str(n)))
        for n in range(5)
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    lost = [each for each in answers if isinstance(each, Conflict)]
    assert len(lost) == 4
    for each in lost:
        assert (each.reason, each.details["revision"], each.details["by"]) == ("account.changed_meanwhile", 2, "ada")


async def test_an_alias_is_taken_once(ask, make):
    account = await make()
    again = CreateAccount(alias=account.alias, os_user="other")
    await refused(ask(accounts.create_account, again), Conflict, "account.exists")


@pytest.mark.parametrize("alias", ["agent", "root"])
async def test_what_is_there_from_the_first_start_stays(ask, alias):
    assert (await ask(accounts.show_account, AccountRef(alias=alias))).built_in
    await refused(ask(accounts.delete_account, DeleteAccount(alias=alias)), Conflict, "account.built_in")


@pytest.mark.parametrize(
    "name", ["0", "4294967295", "#-1", "root\n", "../x", "", "A", "a b", "-a", "a" * 33, "ro\0ot", "{$ne:1}"]
)
async def test_a_name_that_is_none_is_refused(ask, name):
    for request in ({"alias": name or "-", "os_user": "deploy"}, {"alias": "fine", "os_user": name or "-"}):
        await refused(ask(accounts.create_account, CreateAccount(**request)), Invalid, "bus.malformed")


async def test_operators_and_viewers_define_nothing(ask, make):
    account = await make()
    for by in (OPERATOR, VIEWER):
        for call, request in (
            (accounts.create_account, CreateAccount(alias="mine", os_user="root", roles=("operator",))),
            (accounts.change_account, ChangeAccount(alias=account.alias, people=("olga",))),
            (accounts.delete_account, DeleteAccount(alias=account.alias)),
        ):
            await refused(ask(call, request, by=by), Forbidden, "auth.forbidden")


async def test_lists_are_paged_and_searched(ask, make):
    prefix = sorted([(await make(os_user=user)).alias for user in ("deploy", "deploy", "backup")])
    found, after = [], ""
    while True:
        page = await ask(accounts.list_accounts, ListAccounts(after=after, limit=2))
        found += [each.alias for each in page.accounts]
        after = page.next
        if not after:
            break
    assert set(found) >= {*prefix, "agent", "root"}
    assert found == sorted(found)
    [one] = (await ask(accounts.list_accounts, ListAccounts(search=prefix[0]))).accounts
    assert one.alias == prefix[0]
    assert [
        a.alias for a in (await ask(accounts.list_accounts, ListAccounts(search="roo", os_user="root"))).accounts
    ] == ["root"]


async def test_an_account_outside_the_scope_is_not_there(ask, make):
    mine, other = await make(), await make()
    sam = scoped("accounts:change", accounts=(mine.alias,))
    assert [a.alias for a in (await ask(accounts.list_accounts, ListAccounts(), by=sam)).accounts] == [mine.alias]
    assert (await ask(accounts.show_account, AccountRef(alias=mine.alias), by=sam)) == mine
    foreign = await refused(
        ask(accounts.show_account, AccountRef(alias=other.alias), by=sam), NotFound, "account.not_found"
    )
    nobody = await refused(
        ask(accounts.show_account, AccountRef(alias="nothere"), by=sam), NotFound, "account.not_found"
    )
    assert foreign.message.replace(other.alias, "nothere") == nobody.message
    change = ChangeAccount(alias=other.alias, people=("sam",))
    await refused(ask(accounts.change_account, change, by=sam), NotFound, "account.not_found")


async def test_who_may_change_one_account_does_not_make_it_root(ask, make):
    mine = await make()
    sam = scoped("accounts:change", accounts=(mine.alias,))
    assert (await ask(accounts.change_account, ChangeAccount(alias=mine.alias, people=("sam",)), by=sam)).revision == 2
    become = ChangeAccount(alias=mine.alias, os_user="root")
    await refused(ask(accounts.change_account, become, by=sam), Forbidden, "auth.forbidden")
    await refused(ask(accounts.delete_account, DeleteAccount(alias=mine.alias), by=sam), Forbidden, "auth.forbidden")


# what a run gets


async def test_only_who_is_named_may_use_an_account(make, resolve):
    account = await make(people=("bob",), roles=("dba",), integrations=("i-deploy",))
    dba = Principal(kind="person", name="dana", roles=("dba",), grants=(Grant(permissions=("runs:start",)),))
    for by in (BOB, dba, PROGRAM):
        found = await resolve(account.alias, by)
        assert (found.alias, found.os_user, found.ask_groups) == (account.alias, "deploy", ())
    stranger = program("i-other")
    for by in (
        OPERATOR,
        ADMIN,
        stranger,
        Principal(kind="person", name="i-deploy"),
        Principal(kind="service", name="bob"),
    ):
        with pytest.raises(ServiceError) as refusal:
            await resolve(account.alias, by)
        assert refusal.value.reason in {"account.not_granted", "account.unknown"}


async def test_nobody_is_root_unless_granted(ask, make, resolve):
    assert (await resolve("root", ADMIN)).os_user == "root"
    await refused(resolve("root", OPERATOR), Forbidden, "account.not_granted")
    super_ = await make(os_user="root")
    await refused(resolve(super_.alias, ADMIN), Forbidden, "account.not_granted")
    await ask(accounts.change_account, ChangeAccount(alias="root", roles=()))
    try:
        await refused(resolve("root", ADMIN), Forbidden, "account.not_granted")
    finally:
        await ask(accounts.change_account, ChangeAccount(alias="root", roles=("admin",)))


async def test_a_name_that_is_no_alias_is_for_those_who_define_accounts(resolve):
    assert (await resolve("postgres", ADMIN)).os_user == "postgres"
    await refused(resolve("postgres", OPERATOR), Invalid, "account.unknown")
    await refused(resolve("postgres", scoped("accounts:change", accounts=("x",))), Invalid, "account.unknown")


async def test_without_a_name_it_is_the_agents_own(ask, resolve):
    for by in (OPERATOR, PROGRAM):
        found = await resolve("", by)
        assert (found.alias, found.os_user) == ("agent", "")
    before = await ask(accounts.show_account, AccountRef(alias="agent"))
    await ask(accounts.change_account, ChangeAccount(alias="agent", roles=("admin",), integrations=()))
    try:
        for by in (OPERATOR, PROGRAM):
            await refused(resolve("", by), Forbidden, "account.not_granted")
    finally:
        given = ChangeAccount(alias="agent", roles=before.roles, integrations=before.integrations)
        await ask(accounts.change_account, given)


async def test_a_grants_scope_bounds_the_accounts_it_may_use(make, resolve):
    mine, other = await make(people=("sam",)), await make(people=("sam",))
    sam = scoped(accounts=(mine.alias,))
    assert (await resolve(mine.alias, sam)).alias == mine.alias
    foreign = await refused(resolve(other.alias, sam), Invalid, "account.unknown")
    nobody = await refused(resolve("nothere", sam), Invalid, "account.unknown")
    assert foreign.message.replace(other.alias, "nothere") == nobody.message


async def test_a_disabled_account_is_used_by_nobody(ask, make, resolve):
    account = await make(people=("bob",), disabled=True)
    await refused(resolve(account.alias, BOB), Conflict, "account.disabled")
    await ask(accounts.change_account, ChangeAccount(alias=account.alias, disabled=False))
    assert (await resolve(account.alias, BOB)).os_user == "deploy"


async def test_an_account_bound_to_groups_is_used_on_their_members_only(make, resolve):
    account = await make(people=("bob",), groups=("web", "idc:js"))
    assert (await resolve(account.alias, BOB)).ask_groups == ("idc:js", "web")
    assert (await resolve(account.alias, BOB, (("idc:js",), ("idc:js", "web")))).os_user == "deploy"
    await refused(resolve(account.alias, BOB, (("web",), ())), Invalid, "account.not_here")
    nowhere = await make(people=("bob",), groups=())
    await refused(resolve(nowhere.alias, BOB, (("web",),)), Invalid, "account.not_here")


async def test_the_default_of_a_hosts_highest_group_is_used(ask, make, resolve):
    site = await make(people=("bob",), default_for=("idc:js",))
    await make(people=("bob",), default_for=("web", "front"), os_user="www-data")
    assert set((await resolve("", BOB)).ask_groups) >= {"idc:js", "web", "front"}
    assert (await resolve("", BOB, (("idc:js",),))).alias == site.alias
    assert (await resolve("", BOB, (("idc:js", "web"), ("front",)))).os_user == "www-data"
    assert (await resolve("", BOB, ((), ()))).alias == "agent"
    await refused(resolve("", BOB, (("idc:js",), ("web",))), Invalid, "account.ambiguous")
    await refused(resolve("", BOB, (("idc:js",), ())), Invalid, "account.ambiguous")
    await refused(resolve("", OPERATOR, (("web",),)), Forbidden, "account.not_granted")
    taken = ChangeAccount(alias=site.alias, default_for=("front",))
    await refused(ask(accounts.change_account, taken), Conflict, "account.default_taken")


async def test_a_default_that_is_bound_to_groups_asks_for_these_too(make, resolve):
    bound = await make(people=("bob",), default_for=("web",), groups=("idc:js",))
    assert set((await resolve("", BOB)).ask_groups) >= {"web", "idc:js"}
    assert (await resolve("", BOB, (("idc:js", "web"),))).alias == bound.alias
    await refused(resolve("", BOB, (("web",),)), Invalid, "account.not_here")


async def test_only_services_ask_for_others(ask, nats, config):
    request = ResolveAccount(account="root", principal=ADMIN)
    await refused(ask(accounts.resolve_account, request, by=OPERATOR), Forbidden, "auth.forbidden")
    await refused(ask(accounts.resolve_account, request, by=PROGRAM), Forbidden, "auth.forbidden")


async def test_no_query_reads_all_accounts(nats, ask, make, resolve, database):
    account = await make(people=("bob",), groups=("web",))
    async with profiled(database) as seen:
        for request in (
            ListAccounts(),
            ListAccounts(search="a", os_user="deploy", after="a"),
            ListAccounts(os_user="x"),
        ):
            await ask(accounts.list_accounts, request)
        await ask(accounts.list_accounts, ListAccounts(search="a"), by=scoped(accounts=(account.alias,)))
        await ask(accounts.change_account, ChangeAccount(alias=account.alias, description="x", default_for=("web",)))
        await resolve("", BOB)
        await resolve("", BOB, (("web",),))
        await resolve(account.alias, BOB)
        async with service_bus(nats, "resources") as bus:
            for kind in (NameKind.GROUP, NameKind.ROLE):
                await bus.call(uses_of_name("config"), NameRef(kind=kind, name="x"))
            asked = AskNames(kind=NameKind.ACCOUNT, names=("x",), near=True)
            await bus.call(unknown_names("config"), asked)
    assert whole_collections(seen, "accounts") == []
    assert any("IXSCAN" in each.get("planSummary", "") for each in seen if each["ns"].endswith(".accounts"))


async def test_another_start_leaves_the_built_in_accounts_as_they_were_made(ask, database):
    from services.config.accounts.store import AccountStore

    await ask(accounts.change_account, ChangeAccount(alias="agent", description="narrowed"))
    await AccountStore(database).prepare()
    assert (await ask(accounts.show_account, AccountRef(alias="agent"))).description == "narrowed"


WRONG = [
    ({"people": ("bbo",)}, "person bbo. Near it: bob."),
    ({"roles": ("operator", "dbaa")}, "role dbaa. Near it: dba."),
    ({"groups": ("wbe",)}, "group wbe. Near it: "),
    ({"default_for": ("wbe",)}, "group wbe. Near it: "),
    ({"integrations": ("*", "i-gone")}, "integration i-gone. Near it: i-deploy."),
]


@pytest.mark.parametrize(("names", "sentence"), WRONG)
async def test_an_account_names_what_exists(ask, make, names, sentence):
    account = await make()
    for work in (make(**names), ask(accounts.change_account, ChangeAccount(alias=account.alias, **names))):
        told = await refused(work, Invalid, "name.unknown")
        assert f"There is no {sentence}" in told.message
    assert await ask(accounts.show_account, AccountRef(alias=account.alias)) == account


async def test_what_is_gone_meanwhile_keeps_nobody_from_changing_the_rest(ask, make, fleet):
    account = await make(groups=("web",))
    del fleet.groups["web"]
    after = await ask(accounts.change_account, ChangeAccount(alias=account.alias, groups=("web", "front")))
    assert after.groups == ("front", "web")


async def test_names_that_are_near_are_told_to_whoever_may_see_them(ask, make):
    account = await make()
    sam = scoped("accounts:change", accounts=(account.alias,))
    told = await refused(
        ask(accounts.change_account, ChangeAccount(alias=account.alias, people=("bbo",)), by=sam),
        Invalid,
        "name.unknown",
    )
    assert told.details == {"kind": "person", "name": "bbo", "near": []}


async def test_a_group_outside_of_a_scope_is_none(ask, make):
    account = await make()
    sam = scoped("accounts:change", accounts=(account.alias,), groups=("front",))
    change = ChangeAccount(alias=account.alias, groups=("web",))
    told = await refused(ask(accounts.change_account, change, by=sam), Invalid, "name.unknown")
    assert told.message.startswith("There is no group web. ")
    inside = ChangeAccount(alias=account.alias, groups=("front",))
    assert (await ask(accounts.change_account, inside, by=sam)).groups == ("front",)


async def test_what_accounts_and_roles_name_stays(ask, make, gateway):
    """A role that an account is given to, and an account that a role is bound to."""
    address, token = gateway
    role, account = f"r{secrets.token_hex(4)}", await make()
    bound = {"name": role, "permissions": ["runs:start"], "scope": {"accounts": [account.alias]}}
    async with Client(address, token=token) as admin:
        assert (await admin.post("/roles", bound)).status == 201
        await ask(accounts.change_account, ChangeAccount(alias=account.alias, roles=(role,)))
        kept = await admin.delete(f"/roles/{role}")
        assert (kept.reason, f"the account {account.alias}" in kept.json["detail"]) == ("role.in_use", True)
        deletion = ask(accounts.delete_account, DeleteAccount(alias=account.alias))
        assert f"the role {role}" in (await refused(deletion, Conflict, "account.in_use")).message
        await ask(accounts.change_account, ChangeAccount(alias=account.alias, roles=()))
        assert (await admin.delete(f"/roles/{role}")).status == 200
        bound["scope"] = {"accounts": [account.alias, "nobodys"]}
        unknown = await admin.post("/roles", bound)
        assert (unknown.status, unknown.reason) == (422, "name.unknown")
