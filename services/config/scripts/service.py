"""Writing scripts, moving their versions, and what runs. Each public method is one use case."""

import asyncio
from pathlib import Path

import msgspec
import structlog
from msgspec import UNSET

from contracts.errors import Conflict, Forbidden
from contracts.people import Principal
from contracts.scripts import (
    ChangeScript,
    CloneScript,
    CreateScript,
    Lint,
    MoveVersion,
    ResolvedScript,
    ResolveScript,
    SaveVersion,
    Script,
    ScriptKind,
    ScriptVersion,
    StoredText,
    VersionState,
)
from runtime.audit import note
from runtime.authorize import scopes
from runtime.mongo import now
from services.config import shelf
from services.config.scripts import model, parameters, rights
from services.config.scripts.checking import Checker
from services.config.scripts.reading import ScriptReading
from services.config.scripts.rights import CHANGE, START, VET
from services.config.scripts.store import ScriptStore

log = structlog.get_logger()

TURNS = 5


class ScriptService:
    def __init__(self, store: ScriptStore, reading: ScriptReading, checker: Checker, depot: Path | None) -> None:
        """Below `depot`, if there is one, texts are laid out as files too."""
        self._store, self._reading, self._checker, self._depot = store, reading, checker, depot

    async def lay_out_missing(self) -> None:
        """Write what was saved through other instances, or before there was a depot here."""
        if self._depot is None:
            return
        async for script, number, sha256 in self._store.every_version():
            path = shelf.of_script(self._depot, script, number)
            if not await asyncio.to_thread(path.exists):
                await asyncio.to_thread(shelf.lay_out, path, await self._store.text(sha256))

    async def create(self, request: CreateScript, by: Principal) -> StoredText:
        model.check_text(request.text)
        parameters.check(request.parameters)
        _check_new(request, by)
        script, version = model.first(
            request, await self._checker.check(request.text, request.language), by.name, now()
        )
        if not await self._store.add(script, version, request.text):
            raise Conflict("script.exists", f"There is a script {script.name} already. Choose another name.")
        return await self._saved(script, version, request.text, by)

    async def save(self, request: SaveVersion, by: Principal) -> StoredText:
        model.check_text(request.text)
        if request.parameters is not UNSET:
            parameters.check(request.parameters)
        lint: Lint | None = None
        for _ in range(TURNS):
            before = await self._writable(request.name, request.revision, by)
            newest = await self._reading.version_of(before, before.newest)
            version = model.following(newest, request)
            if version is None:
                return StoredText(script=before, version=newest, text=request.text)
            lint = lint or await self._checker.check(request.text, version.language)
            version = msgspec.structs.replace(version, lint=lint, by=by.name, at=now())
            after = model.with_version(before, version)
            if await self._store.save(before, after, version, request.text):
                note(before=before, after=after)
                return await self._saved(after, version, request.text, by)
        raise _busy(request.name)

    async def change(self, request: ChangeScript, by: Principal) -> Script:
        for _ in range(TURNS):
            before = await self._writable(request.name, request.revision, by)
            after = model.changed(before, request, by.name, now())
            if after.tags != before.tags:
                _check_retag(before, after, by)
            if after is before or await self._store.change(before, after):
                note(before=before, after=after)
                return after
        raise _busy(request.name)

    async def clone(self, request: CloneScript, by: Principal) -> StoredText:
        script = await self._reading.script(request.name, by)
        version = await self._reading.version_of(script, request.version)
        made = CreateScript(
            name=request.to,
            kind=request.kind,
            text=await self._store.text(version.sha256),
            language=version.language,
            parameters=version.parameters,
            description=script.description,
            tags=script.tags if request.tags is UNSET else request.tags,
            note=f"clone of {script.name}@{version.number}",
        )
        return await self.create(made, by)

    async def put_online(self, request: MoveVersion, by: Principal) -> Script:
        """Checked anew: checkers learn. Errors keep it from going online."""
        return await self._move(request, VersionState.ONLINE, by)

    async def retire(self, request: MoveVersion, by: Principal) -> Script:
        return await self._move(request, VersionState.RETIRED, by)

    async def _move(self, request: MoveVersion, to: VersionState, by: Principal) -> Script:
        for _ in range(TURNS):
            before = await self._reading.script(request.name, by, VET)
            await self._store.revisions.check(request.revision, before.revision, before.name)
            version = await self._reading.version_of(before, request.version)
            after = model.moved(before, version, to, by.name, now())
            if after is before:
                return before
            lint = version.lint
            if to is VersionState.ONLINE:
                lint = await self._checker.check(await self._store.text(version.sha256), version.language)
                model.check_clean(before, version, lint)
            if await self._store.move(before, after, version.number, to, lint):
                note(before=before, after=after)
                log.info("script.moved", script=after.name, version=version.number, to=to, by=by.name)
                return after
        raise _busy(request.name)

    async def resolve(self, request: ResolveScript, asker: Principal) -> ResolvedScript:
        """What runs if the principal named in the request asks for it."""
        if asker.kind != "service":
            raise Forbidden("auth.forbidden", f"{asker.name} may not ask on behalf of others; services may.")
        by = request.principal
        script = await self._reading.script(request.name, by, START)
        if not request.version and not script.online:
            raise Conflict(
                "script.not_online", f"No version of {script.name} is online. Name one, or have one put online."
            )
        version = await self._reading.version_of(script, request.version)
        rights.check_runs(script, version, by)
        return ResolvedScript(
            name=script.name,
            version=version.number,
            sha256=version.sha256,
            language=version.language,
            text=await self._store.text(version.sha256),
            tags=script.tags,
            parameters=parameters.filled(version.parameters, request.parameters),
        )

    async def _writable(self, name: str, revision: int | None, by: Principal) -> Script:
        script = await self._reading.script(name, by)
        rights.check_writes(script, by)
        await self._store.revisions.check(revision, script.revision, script.name)
        return script

    async def _saved(self, script: Script, version: ScriptVersion, text: str, by: Principal) -> StoredText:
        log.info("script.saved", script=script.name, version=version.number, sha256=version.sha256, by=by.name)
        if self._depot is not None:
            try:
                path = shelf.of_script(self._depot, script, version.number)
                await asyncio.to_thread(shelf.lay_out, path, text)
            except OSError as error:
                log.error("script.not_laid_out", script=script.name, version=version.number, error=str(error))
        return StoredText(script=script, version=version, text=text)


def _check_new(request: CreateScript, by: Principal) -> None:
    permission = CHANGE
    if request.kind is ScriptKind.SYSTEM:
        permission = VET
        if not scopes(by, VET):
            raise Forbidden("auth.forbidden", f"{by.name} may not write system scripts: that needs {VET}.")
    rights.check_tags((), request.tags, by, permission)


def _check_retag(before: Script, after: Script, by: Principal) -> None:
    """Tags say who may run it: of what is online they are the business of whoever vets."""
    vets = rights.within(by, VET, before)
    if before.online and not vets:
        raise Forbidden(
            "script.not_yours", f"{before.name} is online, so its tags are changed by somebody who has {VET}."
        )
    rights.check_tags(before.tags, after.tags, by, VET if vets else CHANGE)


def _busy(name: str) -> Conflict:
    return Conflict("script.changed_meanwhile", f"The script {name} is changed by others all the time. Try again.")
