"""What templates come to for hosts: previews for people with secrets masked, and files for the jobs service."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.errors import Invalid
from contracts.people import Principal
from contracts.templates import (
    DiffTemplate,
    LintTemplate,
    RenderedHost,
    RenderedHosts,
    RenderForHosts,
    RenderTemplate,
    TemplateDiff,
    TemplateLint,
    TemplateRead,
)
from runtime.authorize import scopes
from services.config.differences import unified
from services.config.templates import model
from services.config.templates.rendering import Context, Problem, Renderer, Result, refusal
from services.config.templates.service import TemplateService
from services.config.variables.effective import (
    MOST_REPLY_BYTES,
    EffectiveService,
    HostLayers,
    global_values,
    page_of,
    values_of,
)
from services.config.variables.values import Tree, masked, revealed

AT_ONCE = 500
"""Hosts whose files are rendered for one answer; of files of some size no more fit into it."""
HOSTS_NAMED, PROBLEMS_SAID = 5, 5


@dataclass(frozen=True)
class Source:
    """A text to render: a version of a template, or something that was not saved (revision 0)."""

    text: str
    revision: int


class PreviewService:
    def __init__(self, templates: TemplateService, effective: EffectiveService, renderer: Renderer) -> None:
        self._templates, self._effective, self._renderer = templates, effective, renderer

    async def render(self, request: RenderTemplate, principal: Principal) -> RenderedHosts:
        source = await self._source(request.name, request.revision, request.text)
        hosts = await self._visible(request.hosts, request.task, principal)
        reads = model.reads_told(await self._renderer.inspect(source.text)) if request.values else ()
        return await self._rendered(source, hosts, masked, reads)

    async def render_for_hosts(self, request: RenderForHosts, _: Principal) -> RenderedHosts:
        """With secrets in the clear. Hosts that do not exist are left out."""
        source = await self._source(request.name, request.revision, None)
        hosts = await self._effective.of_hosts(request.hosts[:AT_ONCE], request.task)
        rendered = await self._rendered(source, hosts, revealed)
        return msgspec.structs.replace(rendered, rest=(*rendered.rest, *request.hosts[AT_ONCE:]))

    async def lint(self, request: LintTemplate, principal: Principal) -> TemplateLint:
        source = await self._source(request.name, request.revision, request.text)
        reads = model.reads_told(await self._renderer.inspect(source.text))
        hosts = await self._visible(request.hosts, request.task, principal)
        contexts = await asyncio.to_thread(contexts_of, hosts, masked)
        common = _common(hosts, masked)
        given = {host.id: _given(context, common) for host, context in zip(hosts, contexts, strict=True)}
        return TemplateLint(
            reads=list(reads), lacking=await asyncio.to_thread(lambda: list(model.lacking(reads, given)))
        )

    async def diff(self, request: DiffTemplate, principal: Principal) -> TemplateDiff:
        if request.content is None:
            return await self._diff_versions(request)
        if not request.host:
            raise Invalid("template.no_host", "Say which host has that content: the template is rendered for it.")
        source = await self._source(request.name, request.revision, None)
        model.check_size(request.content)
        rendered = await self._rendered(source, await self._visible((request.host,), request.task, principal), masked)
        name = f"{request.name} revision {source.revision} for {request.host}"
        text = rendered.hosts[0].text or ""
        return await asyncio.to_thread(_diff, request.content, text, f"on {request.host}", name, source.revision)

    async def _diff_versions(self, request: DiffTemplate) -> TemplateDiff:
        after = await self._templates.version(request.name, request.revision)
        against = after.revision - 1 if request.against is None else request.against
        before = (await self._templates.version(request.name, against)).text if against else ""
        names = [f"{request.name} revision {revision}" for revision in (against, after.revision)]
        return await asyncio.to_thread(_diff, before, after.text, names[0], names[1], after.revision)

    async def _source(self, name: str, revision: int, text: str | None) -> Source:
        if text is not None:
            model.check_size(text)
            return Source(text, 0)
        template = await self._templates.version(name, revision)
        return Source(template.text, template.revision)

    async def _visible(self, hosts: Sequence[str], task: str, principal: Principal) -> list[HostLayers]:
        # What a template shows of a host are its variables.
        return await self._effective.of_visible(hosts, task, scopes(principal, "variables:read")) if hosts else []

    async def _rendered(
        self,
        source: Source,
        hosts: Sequence[HostLayers],
        shown: Callable[[Tree], Tree],
        reads: Sequence[TemplateRead] = (),
    ) -> RenderedHosts:
        """With the values of `reads` for each host."""
        contexts = await asyncio.to_thread(contexts_of, hosts, shown)
        common = _common(hosts, shown)
        results = await self._renderer.render(
            source.text, contexts, common=common, most_bytes=MOST_REPLY_BYTES, quiet=shown is revealed
        )
        _refuse_all(hosts, results)
        told = {
            host.id: _told(host, result, model.values_read(reads, _given(context, common)))
            for host, context, result in zip(hosts, contexts, results, strict=False)
        }
        page, left = await asyncio.to_thread(page_of, hosts[: len(results)], lambda host: told[host.id])
        return RenderedHosts(
            revision=source.revision, hosts=page, rest=(*left, *(host.id for host in hosts[len(results) :]))
        )


def contexts_of(hosts: Sequence[HostLayers], shown: Callable[[Tree], Tree]) -> list[Context]:
    """What rendering is filled with for each host; `shown` masks or reveals."""
    return [
        Context(variables, model.own(host.known.host, host.group_names))
        for host, variables in zip(hosts, values_of(hosts, shown), strict=True)
    ]


def _common(hosts: Sequence[HostLayers], shown: Callable[[Tree], Tree]) -> Tree:
    """Every host is in the group `global`, so that it is the same for all."""
    return global_values(hosts[0], shown) if hosts else {}


def _given(context: Context, common: Tree) -> dict[str, Any]:
    """Everything that a template may read."""
    return {**context.variables, **context.own, "global": common}


def _told(host: HostLayers, result: Result, values: dict[str, Any]) -> RenderedHost:
    error = model.problem_told(result.error) if result.error else None
    return RenderedHost(host=host.id, text=result.text, error=error, values=values)


def _refuse_all(hosts: Sequence[HostLayers], results: Sequence[Result]) -> None:
    """Raise Invalid if there is no host without a problem; it says each problem once, with the hosts that have it."""
    alike: dict[Problem, list[str]] = {}
    for host, result in zip(hosts, results, strict=False):
        if result.error is None:
            return
        alike.setdefault(result.error, []).append(host.id)
    if not alike:
        return
    told = [refusal(problem, _some(ids)) for problem, ids in alike.items()]
    failed = [
        {**each.details, "message": each.message, "hosts": ids[:HOSTS_NAMED], "count": len(ids)}
        for each, ids in zip(told, alike.values(), strict=True)
    ][:PROBLEMS_SAID]
    said = " ".join(each.message for each in told[:PROBLEMS_SAID])
    raise Invalid(told[0].reason, said, {**told[0].details, "failed": failed})


def _some(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - HOSTS_NAMED} more" if len(hosts) > HOSTS_NAMED else ""
    return ", ".join(hosts[:HOSTS_NAMED]) + more


def _diff(before: str, after: str, before_name: str, after_name: str, revision: int) -> TemplateDiff:
    return TemplateDiff(revision=revision, equal=before == after, text=unified(before, after, before_name, after_name))
