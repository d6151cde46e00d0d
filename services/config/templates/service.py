"""What people do with templates: keep them. Each public method is one use case."""

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
from services.config import clock
from services.config.templates import model
from services.config.templates.rendering import Renderer
from services.config.templates.store import TemplateStore

log = structlog.get_logger()

TRIES = 5
"""A save without a revision is the caller's word against whatever stands there, so it is tried again."""


class TemplateService:
    def __init__(self, templates: TemplateStore, renderer: Renderer) -> None:
        self._templates, self._renderer = templates, renderer

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
            after = model.next_version(before, request, reads, principal.name, clock.now())
            if after is before or await self._templates.add(after):
                break
        else:
            raise model.changed_meanwhile(await self.version(request.name, 0))
        if after is not before:
            note(before=before, after=after)
            log.info("template.saved", template=after.name, revision=after.revision, by=principal.name)
        return after

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
