"""Every call and event there is, gathered from the modules that declare them."""

from types import ModuleType
from typing import Any

from contracts import (
    accounts,
    audit,
    collectors,
    edits,
    files,
    groups,
    hosts,
    imports,
    inits,
    people,
    roles,
    runs,
    script_search,
    scripts,
    sessions,
    sources,
    templates,
    topology,
    variables,
    virtual,
)
from contracts.kinds import Call, Event

SPEAKERS: tuple[ModuleType, ...] = (
    *(people, roles, sessions),
    *(hosts, topology, edits, imports, sources, virtual, collectors, inits, groups),
    *(accounts, scripts, script_search, files, variables, templates),
    *(runs, audit),
)


def calls() -> tuple[Call[Any, Any], ...]:
    return tuple(each for module in SPEAKERS for each in vars(module).values() if isinstance(each, Call))


def events() -> tuple[Event[Any], ...]:
    return tuple(each for module in SPEAKERS for each in vars(module).values() if isinstance(each, Event))
