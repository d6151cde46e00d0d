"""What people do with templates: keep them. Each public method is one use case."""

import asyncio
from pathlib import Path

import structlog

from contracts.people import Principal
from contracts.templates import (
    ListTemplates,
    ListTemplateVersions,
    SaveTemplate,
    ShowTemplate,
    Template,
    Templates,
    TemplateVersions,
)
from runtime.audit import note
from runtime.mongo import now
from services.config import shelf
from services.config.templates import model
from services.config.templates.rendering import Renderer
from services.config.templates.store import TemplateStore

log = structlog.get_logger()

TRIES = 5
"""A save without a revision is the caller's word against whatever stands there, so it is tried again."""


class TemplateService:
    def __init__(self, templates: TemplateStore, renderer: Renderer, depot: Path | None) -> None:
        """Below `depot`, if there is one, texts are laid out as files too."""
        self._templates, self._renderer, self._depot = templates, renderer, depot

    async def lay_out_missing(self) -> None:
        """Write what was saved through other instances, or before there was a depot here."""
        if self._depot is not None:
            async for template in self._templates.every_version():
                await asyncio.to_thread(shelf.lay_out, _path(self._depot, template), template.text)

    async def list(self, request: ListTemplates, _: Principal) -> Templates:
        found = await self._templates.page(request)
        page = found[: request.limit]
        return Templates(templates=page, next=page[-1].name if len(found) > request.limit else "")

    async def show(self, request: ShowTemplate, _: Principal) -> Template:
        return await self.version(request.name, request.revision)

    async def save(self, request: SaveTemplate, principal: Principal) -> Template:
        model.check_size(request.text)
        reads = model.reads_told(await self._renderer.inspect(request.text))
        for _ in range(TRIES):
            before = await self._templates.newest(request.name)
            await self._check_seen(request, before)
            after = model.next_version(before, request, reads, principal.name, now())
            if after is before or await self._templates.add(after, before):
                break
        else:
            raise await self._templates.revisions.moved_on(after.revision - 1, request.name)
        if after is not before:
            note(before=before, after=after)
            log.info("template.saved", template=after.name, revision=after.revision, by=principal.name)
            await self._lay_out(after)
        return after

    async def _check_seen(self, request: SaveTemplate, now: Template | None) -> None:
        """Raise Conflict if somebody looked at another revision than there is; 0 is none."""
        if now is not None:
            await self._templates.revisions.check(request.revision, now.revision, now.name)
        elif request.revision:
            raise model.none_yet(request.name)

    async def _lay_out(self, template: Template) -> None:
        if self._depot is not None:
            try:
                await asyncio.to_thread(shelf.lay_out, _path(self._depot, template), template.text)
            except OSError as error:
                log.error("template.not_laid_out", template=template.name, revision=template.revision, error=str(error))

    async def versions(self, request: ListTemplateVersions, _: Principal) -> TemplateVersions:
        found = await self._templates.versions(request.name, request.after, request.limit + 1)
        if not found and not request.after:
            raise model.unknown(request.name, 0)
        page = found[: request.limit]
        return TemplateVersions(versions=page, next=page[-1].revision if len(found) > request.limit else 0)

    async def version(self, name: str, revision: int) -> Template:
        """0: the newest. Raises NotFound."""
        found = await (self._templates.version(name, revision) if revision else self._templates.newest(name))
        if found is None:
            raise model.unknown(name, revision)
        return found


def _path(depot: Path, template: Template) -> Path:
    return shelf.of_template(depot, template.name, template.revision)
