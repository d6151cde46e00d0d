"""Stored scripts: versions that never change, their states, and what they say of themselves. Spoken by the config
service.

Names are unique over all scripts, so that a name and a version say which text runs.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.agents import Language
from contracts.hosts import Tag
from contracts.kinds import Call, get, post
from contracts.people import Principal
from contracts.runs import NO_NUL, Parameter, ScriptName, Variable, Word

Tags = Annotated[tuple[Tag, ...], Meta(max_length=32)]
Description = Annotated[str, Meta(max_length=2000)]
Note = Annotated[str, Meta(max_length=500)]
Number = Annotated[int, Meta(ge=0, le=1_000_000)]
Text = Annotated[str, Meta(min_length=1, pattern=NO_NUL)]
Limit = Annotated[int, Meta(ge=1, le=200)]


class ScriptKind(StrEnum):
    SYSTEM = "system"
    """Vetted, for everybody: only who may vet writes them."""
    USER = "user"


class VersionState(StrEnum):
    DRAFT = "draft"
    ONLINE = "online"
    """What runs if no version is named; one at most."""
    RETIRED = "retired"


class ParameterType(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    """`true` or `false`."""
    CHOICE = "choice"


class DeclaredParameter(Struct, frozen=True, kw_only=True):
    """What a script asks for. Values are text everywhere; the type says which texts will do."""

    name: Variable
    type: ParameterType = ParameterType.STRING
    choices: Annotated[tuple[Word, ...], Meta(max_length=100)] = ()
    default: Word | None = None
    """Null: none, so the script does without it, unless it is required."""
    required: bool = False
    masked: bool = False
    """Sealed to each host and shown to nobody, whoever gives it. It has no default, which everybody could read."""
    description: Annotated[str, Meta(max_length=500)] = ""


Declared = Annotated[tuple[DeclaredParameter, ...], Meta(max_length=64)]


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    STYLE = "style"


class Finding(Struct, frozen=True, kw_only=True):
    """Line and column count from 1."""

    line: int
    column: int
    level: Level
    code: str
    message: str


class Lint(Struct, frozen=True, kw_only=True):
    """What a checker said of a text. Findings of the level error keep it from going online."""

    by: str
    """Which checker of which version; empty: none knows this language."""
    findings: tuple[Finding, ...] = ()
    more: int = 0
    """Findings that were left out, none of them an error."""


class ScriptVersion(Struct, frozen=True, kw_only=True):
    """Only its state changes."""

    number: int
    state: VersionState
    language: Language
    sha256: str
    bytes: int
    parameters: tuple[DeclaredParameter, ...]
    lint: Lint
    note: str
    by: str
    at: datetime


class Script(Struct, frozen=True, kw_only=True):
    name: str
    kind: ScriptKind
    owner: str
    """Who made it; they may write new versions of a user script."""
    description: str
    tags: tuple[str, ...]
    language: Language
    """Of the newest version."""
    newest: int
    online: int
    """0: no version is."""
    revision: int
    changed_by: str
    changed_at: datetime


class StoredText(Struct, frozen=True, kw_only=True):
    script: Script
    version: ScriptVersion
    text: str


class CreateScript(Struct, frozen=True, kw_only=True):
    """The text becomes version 1, a draft."""

    name: ScriptName
    kind: ScriptKind = ScriptKind.USER
    text: Text
    language: Language = Language.SHELL
    parameters: Declared = ()
    description: Description = ""
    tags: Tags = ()
    note: Note = ""


class SaveVersion(Struct, frozen=True, kw_only=True):
    """A new draft. The same text, language and parameters as the newest version make none, and then
    the note is not kept."""

    name: ScriptName
    text: Text
    language: Language | UnsetType = UNSET
    parameters: Declared | UnsetType = UNSET
    """Left out: those of the newest version."""
    note: Note = ""
    revision: int | None = None
    """Of the script as it was looked at; the version is refused if somebody else was faster."""


class ChangeScript(Struct, frozen=True, kw_only=True):
    name: ScriptName
    revision: int | None = None
    description: Description | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET


class CloneScript(Struct, frozen=True, kw_only=True):
    """A version of a script becomes version 1 of another, which belongs to whoever asks."""

    name: ScriptName
    version: Number = 0
    """0: the one that is online, or else the newest."""
    to: ScriptName
    kind: ScriptKind = ScriptKind.USER
    tags: Tags | UnsetType = UNSET
    """Left out: those of the first."""


class MoveVersion(Struct, frozen=True, kw_only=True):
    name: ScriptName
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    revision: int | None = None


class ScriptRef(Struct, frozen=True, kw_only=True):
    name: ScriptName


class VersionRef(Struct, frozen=True, kw_only=True):
    name: ScriptName
    version: Number
    """0: the one that is online, or else the newest."""


class ListScripts(Struct, frozen=True, kw_only=True):
    search: Annotated[str, Meta(max_length=64)] = ""
    """Matches the beginning of a name."""
    kinds: tuple[ScriptKind, ...] = ()
    owner: str = ""
    tags: tuple[Tag, ...] = ()
    """Of several, any one will do."""
    after: str = ""
    limit: Limit = 100


class Scripts(Struct, frozen=True, kw_only=True):
    """Sorted by name."""

    scripts: list[Script]
    next: str = ""


class ListScriptVersions(Struct, frozen=True, kw_only=True):
    name: ScriptName
    after: Number = 0
    """`next` of the page before."""
    limit: Limit = 50


class ScriptVersions(Struct, frozen=True, kw_only=True):
    """Newest first."""

    versions: list[ScriptVersion]
    next: int = 0


class DiffScript(Struct, frozen=True, kw_only=True):
    name: ScriptName
    before: Number
    after: Number
    """0, in either place: the one that is online, or else the newest."""


class ScriptDiff(Struct, frozen=True, kw_only=True):
    before: int
    after: int
    text: str
    """Unified, as `patch` reads it; empty if nothing differs."""
    cut: bool = False
    """There is more of it than one answer takes."""


class LintText(Struct, frozen=True, kw_only=True):
    text: Text
    language: Language = Language.SHELL


class ResolveScript(Struct, frozen=True, kw_only=True):
    """What runs if `principal` asks for this script with these parameters? Only services are answered."""

    name: ScriptName
    version: Number
    principal: Principal
    parameters: Annotated[tuple[Parameter, ...], Meta(max_length=64)] = ()


class ResolvedScript(Struct, frozen=True, kw_only=True):
    name: str
    version: int
    sha256: str
    language: Language
    text: str
    tags: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    """Checked, with defaults where none was given, masked where the script says so."""


list_scripts = Call(
    "config.scripts.list",
    ListScripts,
    Scripts,
    needs="scripts:read",
    http=get("/scripts"),
    idempotent=True,
    summary="List stored scripts",
)
show_script = Call(
    "config.scripts.show",
    ScriptRef,
    Script,
    needs="scripts:read",
    http=get("/scripts/{name}"),
    idempotent=True,
    summary="Show a stored script",
)
list_script_versions = Call(
    "config.scripts.versions",
    ListScriptVersions,
    ScriptVersions,
    needs="scripts:read",
    http=get("/scripts/{name}/versions"),
    idempotent=True,
    summary="List the versions of a script, newest first",
)
show_script_version = Call(
    "config.scripts.version",
    VersionRef,
    StoredText,
    needs="scripts:read",
    http=get("/scripts/{name}/versions/{version}"),
    idempotent=True,
    summary="Show a version of a script with its text",
)
diff_script = Call(
    "config.scripts.diff",
    DiffScript,
    ScriptDiff,
    needs="scripts:read",
    http=get("/scripts/{name}/diff"),
    idempotent=True,
    summary="What differs between two versions of a script",
)
create_script = Call(
    "config.scripts.create",
    CreateScript,
    StoredText,
    needs="scripts:change",
    http=post("/scripts", status=201),
    summary="Store a new script",
)
save_version = Call(
    "config.scripts.save",
    SaveVersion,
    StoredText,
    needs="scripts:change",
    http=post("/scripts/{name}/versions", status=201),
    summary="Store a new version of a script",
)
change_script = Call(
    "config.scripts.change",
    ChangeScript,
    Script,
    needs="scripts:change",
    http=post("/scripts/{name}"),
    summary="Change a script's description or tags",
)
clone_script = Call(
    "config.scripts.clone",
    CloneScript,
    StoredText,
    needs="scripts:change",
    http=post("/scripts/{name}/clone", status=201),
    summary="Make a script out of another",
)
put_online = Call(
    "config.scripts.put_online",
    MoveVersion,
    Script,
    needs="scripts:vet",
    http=post("/scripts/{name}/versions/{version}/online"),
    idempotent=True,
    summary="Put a version online; the one before is retired",
)
retire_version = Call(
    "config.scripts.retire",
    MoveVersion,
    Script,
    needs="scripts:vet",
    http=post("/scripts/{name}/versions/{version}/retire"),
    idempotent=True,
    summary="Retire a version; nobody runs it any more",
)
lint_script = Call(
    "config.scripts.lint",
    LintText,
    Lint,
    needs="scripts:read",
    http=post("/script-lint"),
    idempotent=True,
    reads=True,
    summary="Check a text without storing it",
)
resolve_script = Call(
    "config.scripts.resolve",
    ResolveScript,
    ResolvedScript,
    needs="scripts:read",
    idempotent=True,
    reads=True,
    summary="Which text and parameters a run of somebody gets; for services",
)
