"""What variables come to for hosts: their layers collected, merged and told."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from contracts.errors import Invalid
from contracts.groups import HostGroups
from contracts.people import Principal
from contracts.permissions import Scope as Reach
from contracts.variables import (
    AskEffective,
    EffectiveOfHosts,
    EffectiveVariables,
    HostValues,
    LayerKind,
    ResolvedVariables,
    ResolveVariables,
)
from runtime.authorize import scopes
from services.config.memberships import Memberships, covers_host, unknown_host
from services.config.templates.model import own
from services.config.variables import model
from services.config.variables.document import keep_secrets, parse
from services.config.variables.layers import Layer, Origin, explain, merged, ordered
from services.config.variables.model import Record
from services.config.variables.spoken import Spoken, spoken
from services.config.variables.store import VariableStore
from services.config.variables.values import Secret, Tree, flatten, masked
from services.config.variables.written import as_yaml

MOST_REPLY_BYTES = 700 * 1024
"""As JSON; the bus carries 900 KiB."""

AT_ONCE = 250
"""Hosts that are resolved for one answer; few more fit into it, and what does not fit would be read again."""

T = TypeVar("T")


@dataclass(frozen=True)
class HostLayers:
    """A host with all documents that speak of it, the lowest first."""

    known: HostGroups
    layers: tuple[Layer, ...]

    @property
    def id(self) -> str:
        return self.known.host.id

    @property
    def group_names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.known.groups)


class EffectiveService:
    def __init__(self, documents: VariableStore, memberships: Memberships) -> None:
        self._documents, self._memberships = documents, memberships

    async def effective(self, request: AskEffective, principal: Principal) -> EffectiveOfHosts:
        found = await self.of_visible(request.hosts, request.task, scopes(principal, "variables:read"))
        told, rest = await asyncio.to_thread(page_of, found, lambda host: _told(host, request))
        return EffectiveOfHosts(hosts=told, rest=rest)

    async def resolve(self, request: ResolveVariables, _: Principal) -> ResolvedVariables:
        at = request.at or await self._documents.moment()
        found = await self.of_hosts(request.hosts[:AT_ONCE], request.task, at)
        if request.task:
            await asyncio.to_thread(_refuse_bared, found)
        told, rest = await asyncio.to_thread(_spoken_page, found, with_global=request.with_global)
        return ResolvedVariables(hosts=told, rest=(*rest, *request.hosts[AT_ONCE:]), at=at)

    async def of_visible(self, hosts: Sequence[str], task: str, reach: Iterable[Reach]) -> list[HostLayers]:
        """Sorted by host. Raises NotFound for one that does not exist or lies outside."""
        found = await self.of_hosts(hosts, task)
        visible = {host.id for host in found if covers_host(reach, host.known)}
        for host in hosts:
            if host not in visible:
                raise unknown_host(host)
        return found

    async def of_hosts(self, hosts: Sequence[str], task: str = "", at: datetime | None = None) -> list[HostLayers]:
        """Sorted by host; those that do not exist are left out. With documents as they were at that moment. Raises
        Invalid for a task's variables."""
        brought = await _task_layers(task)
        known = await self._memberships.of_hosts(hosts)
        return layered(known, await self.documents(known, at), brought)

    async def documents(self, known: Sequence[HostGroups], at: datetime | None = None) -> dict[str, Record]:
        """The documents that speak of these hosts, by scope: the newest ones, or those of that moment."""
        asked = {f"group:{group.name}" for host in known for group in host.groups}
        asked.update(f"host:{host.host.id}" for host in known)
        return await (self._documents.newest_of(asked) if at is None else self._documents.of_moment(asked, at))


def layered(
    known: Sequence[HostGroups], records: Mapping[str, Record], brought: Sequence[Layer] = ()
) -> list[HostLayers]:
    """The hosts with those of the documents that speak of them; `brought` are layers that all have besides."""

    def layer(scope: str, kind: LayerKind, name: str, number: int = 0) -> list[Layer]:
        record = records.get(scope)
        return [Layer(Origin(kind, name, number, record.revision), record.values)] if record else []

    of_groups: dict[str, list[Layer]] = {}
    found = []
    for each in known:
        layers = layer(f"host:{each.host.id}", LayerKind.HOST, each.host.id)
        for group in each.groups:
            if group.name not in of_groups:
                of_groups[group.name] = layer(f"group:{group.name}", LayerKind(group.kind), group.name, group.number)
            layers += of_groups[group.name]
        found.append(HostLayers(each, tuple(ordered([*layers, *brought]))))
    return found


def _spoken_page(found: Sequence[HostLayers], *, with_global: bool) -> tuple[list[HostValues], tuple[str, ...]]:
    """The names that templates read, as texts."""
    trees = dict(zip((host.id for host in found), values_of(found, lambda tree: tree), strict=True))
    shared = {"global": global_values(found[0], lambda tree: tree)} if with_global and found else {}
    known: dict[int, Spoken] = {}

    def told(host: HostLayers) -> HostValues:
        tree = trees[host.id]
        if id(tree) not in known:
            known[id(tree)] = spoken({**tree, **shared})
        common, names = known[id(tree)], spoken(own(host.known.host, host.group_names))
        return HostValues(host=host.id, flat=names.flat | common.flat, secrets=common.secrets)

    return page_of(found, told)


def _refuse_bared(found: Sequence[HostLayers]) -> None:
    """Raise Invalid if a run brings in clear what is a secret of a host: what runs bring is kept and shown."""
    secrets: dict[Origin, frozenset[str]] = {}
    brought: frozenset[str] = frozenset()
    for host in found:
        for origin, values in host.layers:
            if origin in secrets:
                continue
            flat = flatten(values)
            if origin.kind is LayerKind.TASK:
                brought, secrets[origin] = (
                    frozenset(k for k, v in flat.items() if not isinstance(v, Secret)),
                    frozenset(),
                )
            else:
                secrets[origin] = frozenset(key for key, value in flat.items() if isinstance(value, Secret))
    if bared := brought & frozenset().union(*secrets.values()):
        raise Invalid(
            "variables.secret_bared",
            f"{min(bared)} is a secret variable, and what a run brings is kept in clear."
            " Hand it over as a masked parameter.",
        )


async def _task_layers(text: str) -> list[Layer]:
    if not text:
        return []
    document = await asyncio.to_thread(parse, text)
    return [Layer(Origin(LayerKind.TASK), keep_secrets(document, {}))]


def values_of(hosts: Sequence[HostLayers], shown: Callable[[Tree], Tree]) -> list[Mapping[str, Any]]:
    """The effective values of each host. `shown` masks or reveals. Hosts with the same documents share one tree, and
    what different trees have in common is one object: whoever sends them on can send it once."""
    documents: dict[Origin, Tree] = {}
    known: dict[tuple[Origin, ...], Tree] = {}
    trees: list[Mapping[str, Any]] = []
    for host in hosts:
        key = tuple(layer.origin for layer in host.layers)
        if key not in known:
            for origin, values in host.layers:
                if origin not in documents:
                    documents[origin] = shown(values)
            known[key] = merged(documents[origin] for origin in key)
        trees.append(known[key])
    return trees


def global_values(host: HostLayers, shown: Callable[[Tree], Tree]) -> Tree:
    """What templates read as `global`: the document of the group `global` alone."""
    return merged(shown(layer.values) for layer in host.layers if layer.origin.kind is LayerKind.GLOBAL)


def _told(host: HostLayers, request: AskEffective) -> EffectiveVariables:
    values = masked(merged(layer.values for layer in host.layers))
    if request.keys:
        values = model.only(values, request.keys)
    flat = flatten(values)
    explained = explain(host.layers) if request.explain else {}
    return EffectiveVariables(
        host=host.id,
        group_names=host.group_names,
        text=as_yaml(values),
        flat=flat,
        explained={key: model.explained_told(explained[key]) for key in flat if key in explained},
    )


def page_of(hosts: Sequence[HostLayers], told: Callable[[HostLayers], T]) -> tuple[list[T], tuple[str, ...]]:
    """As many as fit into one message, and the ids of the rest. Raises Invalid if not even one does."""
    page: list[T] = []
    left = MOST_REPLY_BYTES
    for index, host in enumerate(hosts):
        each = told(host)
        left -= model.encoded_size(each)
        if left < 0:
            if not page:
                raise Invalid(
                    "variables.too_many",
                    f"All variables of {host.id} do not fit into one answer. Ask for fewer keys, or do not explain.",
                )
            return page, tuple(each.id for each in hosts[index:])
        page.append(each)
    return page, ()
