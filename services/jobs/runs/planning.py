"""From what was asked to what will run: which account, on which hosts, by whose leave."""

from collections.abc import Sequence
from typing import NamedTuple

from contracts.accounts import AGENT, ResolvedAccount
from contracts.errors import Conflict
from contracts.hosts import Targets
from contracts.people import Principal
from contracts.permissions import Scope
from contracts.runs import StartRun
from runtime.authorize import scopes
from runtime.bus import Bus
from services.jobs.runs import accounts
from services.jobs.runs.checks import check_content
from services.jobs.runs.model import RunRecord, Target
from services.jobs.runs.stored import Material, admitting, material, tags_now
from services.jobs.runs.targets import Chosen, resolve
from services.jobs.runs.visibility import START


class Plan(NamedTuple):
    material: Material
    chosen: Chosen
    account: ResolvedAccount


async def plan(bus: Bus, request: StartRun, by: Principal) -> Plan:
    """Raises whatever speaks against it: a name that is unknown, an account that is not granted, no host that fits."""
    script = await material(bus, request, by)
    check_content(script.request)
    within = admitting(scopes(by, START), script.tags)
    account = await accounts.ask(bus, request.account or "", by)
    if account.ask_groups:
        chosen = await resolve(bus, request.targets, request.expect_hash, admitting_account(within, request.account))
        hosts = [host.id for host in chosen.hosts]
        account = await accounts.ask_on(bus, request.account or "", by, hosts, account.ask_groups)
        narrower = admitting_account(within, account.alias)
        if narrower != within:
            # Other scopes may hold other hosts; the account was decided for these.
            chosen = await resolve(bus, request.targets, chosen.hash, narrower)
    else:
        chosen = await resolve(bus, request.targets, request.expect_hash, admitting_account(within, account.alias))
    return Plan(script, chosen, account)


async def replan(bus: Bus, record: RunRecord, hosts: Sequence[Target], by: Principal) -> None:
    """Raise unless `by` may start on these hosts again what the run started. Its account stays the one it was."""
    name = record.account_alias or record.account or AGENT
    within = admitting_account(admitting(scopes(by, START), await tags_now(bus, record.stored)), name)
    ids = tuple(host.id for host in hosts)
    account = await accounts.ask(bus, name, by)
    if account.ask_groups:
        account = await accounts.ask_on(bus, name, by, ids, account.ask_groups)
    if account.os_user != (record.account or ""):
        raise Conflict(
            "account.moved",
            f"The account {name} is {account.os_user or 'the agent itself'} now; the run had"
            f" {record.account or 'the agent itself'}. Start a new run.",
        )
    if not any(_on_all_hosts(scope) for scope in within):
        await resolve(bus, Targets(ids=ids), "", within)


def admitting_account(within: Sequence[Scope], account: str | None) -> tuple[Scope, ...]:
    """The scopes that this account lies in; all of them as long as nobody knows which it will be."""
    return tuple(s for s in within if not account or s.accounts is None or account in s.accounts)


def _on_all_hosts(scope: Scope) -> bool:
    return scope.businesses is None and scope.groups is None
