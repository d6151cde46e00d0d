"""Looking at scripts. Each public method is one use case."""

import asyncio
from collections.abc import Sequence

import msgspec

from contracts.errors import Invalid, NotFound
from contracts.people import Principal
from contracts.script_search import FoundScripts, SearchScripts
from contracts.scripts import (
    DiffScript,
    Lint,
    LintText,
    ListScripts,
    ListScriptVersions,
    Script,
    ScriptDiff,
    ScriptRef,
    Scripts,
    ScriptVersion,
    ScriptVersions,
    StoredText,
    VersionRef,
)
from runtime.authorize import scopes
from services.config.scripts import model, searching
from services.config.scripts.checking import Checker
from services.config.scripts.processes import GaveUp, Processes
from services.config.scripts.rights import READ, bound, check_seen
from services.config.scripts.store import ScriptStore

SEARCHED_AT_ONCE = 50
MOST_SEARCHED = 1000
"""Scripts that one page of a search looks at."""
MOST_READ = 8 * 1024 * 1024
"""Bytes of texts that it reads."""
MOST_PAGE_BYTES = 600 * 1024
_ALL_NUMBERS = 2**31


class ScriptReading:
    def __init__(self, store: ScriptStore, checker: Checker, processes: Processes) -> None:
        self._store, self._checker, self._processes = store, checker, processes

    async def list(self, request: ListScripts, by: Principal) -> Scripts:
        found = await self._store.page(request, bound(scopes(by, READ)))
        page = found[: request.limit]
        return Scripts(scripts=page, next=page[-1].name if len(found) > request.limit else "")

    async def show(self, request: ScriptRef, by: Principal) -> Script:
        return await self.script(request.name, by)

    async def versions(self, request: ListScriptVersions, by: Principal) -> ScriptVersions:
        script = await self.script(request.name, by)
        found = await self._store.versions(script.name, request.after or _ALL_NUMBERS, request.limit + 1)
        page = _fitting(found[: request.limit])
        return ScriptVersions(versions=page, next=page[-1].number if len(found) > len(page) else 0)

    async def version(self, request: VersionRef, by: Principal) -> StoredText:
        script = await self.script(request.name, by)
        version = await self.version_of(script, request.version)
        return StoredText(script=script, version=version, text=await self._store.text(version.sha256))

    async def diff(self, request: DiffScript, by: Principal) -> ScriptDiff:
        script = await self.script(request.name, by)
        before, after = [await self.version_of(script, number) for number in (request.before, request.after)]
        texts = await self._store.texts({before.sha256, after.sha256})
        asked = {
            "do": "diff",
            "before": texts[before.sha256],
            "after": texts[after.sha256],
            "before_name": f"{script.name}@{before.number}",
            "after_name": f"{script.name}@{after.number}",
        }
        try:
            said = await self._processes.ask(asked)
        except GaveUp as gave_up:
            raise Invalid(
                "script.too_different", f"These versions differ too much to say how in time ({gave_up}). Look at both."
            ) from gave_up
        return ScriptDiff(before=before.number, after=after.number, **said)

    async def search(self, request: SearchScripts, by: Principal) -> FoundScripts:
        """In the order of names, until the page is full or enough was read."""
        tags = bound(scopes(by, READ))
        found, after, looked_at, read = FoundScripts(scripts=[]), request.after, 0, 0
        while len(found.scripts) < request.limit and looked_at < MOST_SEARCHED and read < MOST_READ:
            scripts = await self._store.page(ListScripts(after=after, limit=SEARCHED_AT_ONCE), tags)
            now = scripts[:SEARCHED_AT_ONCE]
            shas = await self._shas(now)
            count, size = await self._within(now, shas, MOST_READ - read)
            now = now[:count]
            texts = await self._store.texts({sha for each in now for sha in shas[each.name].values()})
            pairs = [(each, {number: texts[sha] for number, sha in shas[each.name].items()}) for each in now]
            found.scripts.extend(await asyncio.to_thread(searching.all_found, pairs, request.text))
            after, looked_at, read = now[-1].name if now else "", looked_at + len(now), read + size
            if len(now) == len(scripts):
                after = ""
                break
        page = found.scripts[: request.limit]
        return FoundScripts(scripts=page, next=page[-1].script.name if len(page) < len(found.scripts) else after)

    async def _shas(self, scripts: Sequence[Script]) -> dict[str, dict[int, str]]:
        """Script → number → sha256, of the version online and the newest."""
        wanted = {(each.name, number) for each in scripts for number in (each.online, each.newest) if number}
        found: dict[str, dict[int, str]] = {each.name: {} for each in scripts}
        for (name, number), sha in (await self._store.shas(wanted)).items():
            found[name][number] = sha
        return found

    async def _within(self, scripts: Sequence[Script], shas: dict[str, dict[int, str]], most: int) -> tuple[int, int]:
        """How many of these have texts of at most so many bytes together, at least one of them; and how many bytes."""
        sizes = await self._store.sizes({sha for each in scripts for sha in shas[each.name].values()})
        total = 0
        for index, each in enumerate(scripts):
            size = sum(sizes.get(sha, 0) for sha in shas[each.name].values())
            if index and total + size > most:
                return index, total
            total += size
        return len(scripts), total

    async def lint(self, request: LintText, _: Principal) -> Lint:
        model.check_text(request.text)
        return await self._checker.check(request.text, request.language)

    async def script(self, name: str, by: Principal, permission: str = READ) -> Script:
        """Raises NotFound, also for one that is not theirs to know of."""
        return check_seen(await self._store.get(name), name, by, permission)

    async def version_of(self, script: Script, number: int) -> ScriptVersion:
        """0: the one that is online, or else the newest. Raises NotFound."""
        number = number or script.online or script.newest
        found = await self._store.version(script.name, number)
        if found is None:
            raise NotFound(
                "script.version_unknown",
                f"{script.name} has no version {number}; its newest is {script.newest}.",
            )
        return found


def _fitting(versions: Sequence[ScriptVersion]) -> list[ScriptVersion]:
    """The first, as many as one message carries: findings and parameters may be long."""
    kept: list[ScriptVersion] = []
    size = 0
    for version in versions:
        size += len(msgspec.json.encode(version))
        if kept and size > MOST_PAGE_BYTES:
            break
        kept.append(version)
    return kept
