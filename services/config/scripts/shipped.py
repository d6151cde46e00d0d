"""Scripts that come with Drover: stored at the start, so that people use them like those they wrote themselves."""

from importlib.resources import files

import msgspec
import structlog

from contracts.agents import Language
from contracts.permissions import COLLECTOR_TAG
from contracts.scripts import CreateScript, SaveVersion, Script, ScriptKind, VersionState
from runtime.mongo import now
from services.config.scripts import model
from services.config.scripts.checking import Checker
from services.config.scripts.store import ScriptStore

log = structlog.get_logger()

DROVER = "drover"
"""Whose they are."""
COLLECTORS = {
    "databases": "Database instances of a host, found among its processes.",
    "virsh": "Virtual machines of a host, as libvirt's virsh knows them.",
}
"""Programs of the room `collectors`, and what they do."""


class Shipped:
    def __init__(self, store: ScriptStore, checker: Checker) -> None:
        self._store, self._checker = store, checker

    async def ship(self) -> None:
        """What is not there is stored and online; of what is there and changed, the new text is, unless people wrote
        versions of their own. A version that people retired stays retired."""
        for name, description in COLLECTORS.items():
            request = CreateScript(
                name=f"collect-{name}",
                kind=ScriptKind.SYSTEM,
                text=files("collectors").joinpath(f"{name}.py").read_text(),
                language=Language.PYTHON,
                description=description,
                tags=(COLLECTOR_TAG,),
            )
            known = await self._store.get(request.name)
            if known is None:
                await self._add(request)
            elif known.owner == DROVER and known.kind is ScriptKind.SYSTEM:
                await self._renew(known, request)

    async def _add(self, request: CreateScript) -> None:
        """Whoever is faster stores it."""
        lint, at = await self._checker.check(request.text, request.language), now()
        script, version = model.first(request, lint, DROVER, at)
        online = msgspec.structs.replace(version, state=VersionState.ONLINE)
        await self._store.add(msgspec.structs.replace(script, online=version.number), online, request.text)
        log.info("script.shipped", script=script.name, version=version.number)

    async def _renew(self, known: Script, request: CreateScript) -> None:
        newest = await self._store.version(known.name, known.newest)
        if newest is None or newest.by != DROVER:
            return
        version = model.following(newest, SaveVersion(name=known.name, text=request.text))
        if version is None:
            return
        lint, at = await self._checker.check(request.text, request.language), now()
        # Saved as online in one step: a draft that a crash left would never go online, since nothing differs then.
        goes_online = known.online == newest.number
        state = VersionState.ONLINE if goes_online else VersionState.DRAFT
        version = msgspec.structs.replace(version, lint=lint, by=DROVER, at=at, state=state)
        saved = model.with_version(known, version)
        saved = msgspec.structs.replace(saved, online=version.number if goes_online else known.online)
        if await self._store.save(known, saved, version, request.text):  # or another instance was faster
            log.info("script.shipped", script=known.name, version=version.number)
