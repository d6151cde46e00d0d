"""A template as it is kept, what it reads, what a host gives it, and what it comes to. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from contracts.errors import Conflict, Invalid, NotFound
from contracts.hosts import Host
from contracts.templates import Lacking, RenderProblem, SaveTemplate, Template, TemplateRead
from services.config.templates.rendering import Problem, Read, reason_of
from services.config.variables.values import Path, read, written

MOST_BYTES = 256 * 1024
LINES_SHOWN = 20
HOSTS_SHOWN = 20
HOST_FIELDS = (
    *("id", "hostname", "ips", "idc", "room", "rack", "state", "business", "product_line", "serial", "asset_id"),
    *("tags", "labels", "attributes"),
)
HOST_FACTS = ("os", "kernel", "architecture", "cpus", "memory_bytes")
ABSENT = object()


def check_size(text: str) -> None:
    """Raises Invalid."""
    if len(text) > MOST_BYTES or len(text.encode()) > MOST_BYTES:
        raise Invalid("template.too_large", f"The template is larger than {MOST_BYTES // 1024} KiB.")


def next_version(
    before: Template | None, request: SaveTemplate, reads: tuple[TemplateRead, ...], by: str, at: datetime
) -> Template:
    """The template after the save; the same object if nothing differs."""
    description, tags = (before.description, before.tags) if before else ("", ())
    after = Template(
        name=request.name,
        text=request.text,
        reads=reads,
        description=description if request.description is UNSET else request.description,
        tags=tags if request.tags is UNSET else tuple(sorted(set(request.tags))),
        revision=before.revision + 1 if before else 1,
        why=request.why,
        changed_by=by,
        changed_at=at,
    )
    if before and (before.text, before.description, before.tags) == (after.text, after.description, after.tags):
        return before
    return after


def none_yet(name: str) -> Conflict:
    """The refusal of whoever looked at a revision of a template that is not there."""
    return Conflict("template.changed_meanwhile", f"There is no template {name} yet.", {"revision": 0})


def unknown(name: str, revision: int) -> NotFound:
    if revision:
        return NotFound("template.unknown", f"There is no revision {revision} of a template {name}.")
    return NotFound("template.unknown", f"There is no template {name}.")


def reads_told(reads: Iterable[Read]) -> tuple[TemplateRead, ...]:
    """Each key once, in the order of the text; optional if it is so everywhere."""
    lines: dict[Path, list[int]] = {}
    needed: set[Path] = set()
    for each in reads:
        lines.setdefault(each.path, []).append(each.line)
        if not each.optional:
            needed.add(each.path)
    return tuple(
        TemplateRead(key=written(path), lines=tuple(dict.fromkeys(at))[:LINES_SHOWN], optional=path not in needed)
        for path, at in lines.items()
    )


def terms(template: Template) -> list[str]:
    """What a search finds a template by, in lower case."""
    found = {template.name.lower()}
    for each in template.reads:
        path = read(each.key)
        found.update(written(path[start:]).lower()[:200] for start in range(len(path)))
    return sorted(found)


def roots(template: Template) -> list[str]:
    """The first parts of all keys that it reads."""
    return sorted({read(each.key)[0] for each in template.reads})


def own(host: Host, group_names: Sequence[str]) -> dict[str, Any]:
    """What only this host gives a template: data, even where the host itself told it. A host without an IP has no
    `inventory_hostname`."""
    plain = msgspec.to_builtins(host)
    told = {name: plain[name] for name in HOST_FIELDS} | {name: plain["facts"][name] for name in HOST_FACTS}
    told |= {"class": plain["host_class"], "set": plain["host_set"]}
    if not host.ips:
        return {"host": told, "group_names": list(group_names)}
    ip = host.ips[0]
    return {"host": told | {"ip": ip}, "group_names": list(group_names), "inventory_hostname": ip}


def problem_told(problem: Problem) -> RenderProblem:
    return RenderProblem(reason=reason_of(problem), message=problem.message, line=problem.line, name=problem.name)


def lacking(reads: Iterable[TemplateRead], hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[Lacking]:
    """The keys that some of the hosts (id → everything a template is given) do not have."""
    for each in reads:
        path = read(each.key)
        without = [] if each.optional else [host for host, given in hosts.items() if ABSENT is at(given, path)]
        if without:
            yield Lacking(key=each.key, lines=each.lines, count=len(without), hosts=tuple(without[:HOSTS_SHOWN]))


def values_read(reads: Iterable[TemplateRead], given: Mapping[str, Any]) -> dict[str, Any]:
    """Of everything that a template is given, what it reads; keys that are not there stay away."""
    found = ((each.key, at(given, read(each.key))) for each in reads)
    return {key: value for key, value in found if value is not ABSENT}


def at(given: Any, path: Path) -> Any:
    """The value at the path, or ABSENT."""
    for part in path:
        if not isinstance(given, Mapping) or part not in given:
            return ABSENT
        given = given[part]
    return given
