"""Stored scripts as the jobs service sees them: what config would say."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts import scripts
from contracts.agents import Language
from contracts.errors import NotFound
from contracts.people import Principal
from contracts.runs import Parameter
from contracts.scripts import (
    Lint,
    ListScriptVersions,
    ResolvedScript,
    ResolveScript,
    Script,
    ScriptKind,
    ScriptRef,
    ScriptVersion,
    ScriptVersions,
    VersionState,
)
from runtime.bus import Endpoint, answer
from runtime.signing import sha256

NOW = datetime.now(UTC)


@dataclass
class Shelf:
    """Name → text of the version 3, the only one there is. Every script has a masked parameter `key`."""

    texts: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ("web",)
    state: VersionState = VersionState.ONLINE
    asked: list[ResolveScript] = field(default_factory=list)

    def endpoints(self) -> list[Endpoint]:
        return [
            answer(scripts.resolve_script, self.resolve),
            answer(scripts.list_script_versions, self.versions),
            answer(scripts.show_script, self.show),
        ]

    async def resolve(self, request: ResolveScript, _: Principal) -> ResolvedScript:
        self.asked.append(request)
        if request.name not in self.texts or request.version not in {0, 3}:
            raise NotFound("script.unknown", f"There is no script {request.name}.")
        text = self.texts[request.name]
        return ResolvedScript(
            name=request.name,
            version=3,
            sha256=sha256(text.encode()),
            language=Language.PYTHON,
            text=text,
            tags=self.tags,
            parameters=(*request.parameters, Parameter(name="key", value="hidden", masked=True)),
        )

    async def versions(self, request: ListScriptVersions, _: Principal) -> ScriptVersions:
        version = ScriptVersion(
            number=request.after - 1, state=self.state, language=Language.PYTHON, sha256="", bytes=0, parameters=(),
            lint=Lint(by=""), note="", by="ann", at=NOW,
        )  # fmt: skip
        return ScriptVersions(versions=[version])

    async def show(self, request: ScriptRef, _: Principal) -> Script:
        return Script(
            name=request.name, kind=ScriptKind.USER, owner="ann", description="", tags=self.tags, newest=3, online=3,
            language=Language.PYTHON, revision=1, changed_by="ann", changed_at=NOW,
        )  # fmt: skip
