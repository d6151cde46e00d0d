"""Variables: YAML documents per scope, and what they come to for a host. Spoken by the config service.

A scope is `group:<name>` or `host:<id>`. The group `global` has every host in it, so `group:global` holds what is true
everywhere. Secret values are written `!secret text`; whoever reads them gets MASK, and a document that is saved with
MASK in the place of a secret keeps that secret.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.kinds import Call, get, post
from contracts.tokens import END

ScopeName = Annotated[str, Meta(pattern=r"^(group:[^\x00-\x1f\x7f]{1,210}|host:[a-z0-9_-]{1,64})" + END)]
HostId = Annotated[str, Meta(max_length=64)]
Hosts = Annotated[tuple[HostId, ...], Meta(min_length=1, max_length=100)]
ManyHosts = Annotated[tuple[HostId, ...], Meta(min_length=1, max_length=1000)]
Why = Annotated[str, Meta(max_length=500)]
Revision = Annotated[int, Meta(ge=0, le=2**31)]
Search = Annotated[str, Meta(max_length=200)]
Key = Annotated[str, Meta(min_length=1, max_length=4000)]
"""A flattened key such as `region.mongodb.hosts`; a part with a dot or a space in it stands in quotes."""


class ScopeKind(StrEnum):
    GROUP = "group"
    HOST = "host"


class LayerKind(StrEnum):
    """From the lowest precedence to the highest."""

    GLOBAL = "global"
    IDC = "idc"
    SET = "set"
    CUSTOM = "custom"
    HOST = "host"
    TASK = "task"


class Warned(Struct, frozen=True):
    """A word that other readers of YAML take for something else; line and column count from 1."""

    line: int
    column: int
    message: str


class Variables(Struct, frozen=True, kw_only=True):
    scope: str
    revision: int
    """0: nothing was ever set."""
    text: str
    flat: dict[str, Any]
    """Flattened key → value, in the order of the text."""
    warnings: tuple[Warned, ...] = ()
    why: str = ""
    changed_by: str = ""
    changed_at: datetime | None = None


class ShowVariables(Struct, frozen=True, kw_only=True):
    scope: ScopeName
    revision: Revision = 0
    """Left out: the newest."""


class SetVariables(Struct, frozen=True, kw_only=True):
    """With `revision` the change is refused if somebody else was faster. Every version is kept, and none changes."""

    scope: ScopeName
    text: str
    why: Why = ""
    revision: Revision | None = None


class ListVariables(Struct, frozen=True, kw_only=True):
    kind: ScopeKind | None = None
    search: Search = ""
    """Matches the beginning of a part of a key or of a value, in any case. Secret values are not searched."""
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class ScopeSummary(Struct, frozen=True, kw_only=True):
    scope: str
    revision: int
    keys: int
    why: str
    changed_by: str
    changed_at: datetime
    found: dict[str, Any] = {}
    """Up to ten of the flattened keys that the search is about."""


class Scopes(Struct, frozen=True, kw_only=True):
    scopes: list[ScopeSummary]
    next: str = ""


class ListVersions(Struct, frozen=True, kw_only=True):
    scope: ScopeName
    after: Revision = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class VariablesVersion(Struct, frozen=True, kw_only=True):
    revision: int
    why: str
    changed_by: str
    changed_at: datetime


class VariablesVersions(Struct, frozen=True, kw_only=True):
    """Newest first."""

    versions: list[VariablesVersion]
    next: int = 0


class KeyChange(Struct, frozen=True, kw_only=True):
    """What became of one flattened key. A side that is left out did not have it; both MASK: another secret."""

    key: str
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET


class DiffVersions(Struct, frozen=True, kw_only=True):
    scope: ScopeName
    revision: Revision = 0
    """Left out: the newest."""
    against: Revision | None = None
    """Left out: the one before."""


class VariablesDiff(Struct, frozen=True, kw_only=True):
    revision: int
    against: int
    text: str
    """A unified diff of the documents, secrets masked."""
    changes: list[KeyChange]


class ValueOrigin(Struct, frozen=True, kw_only=True):
    """Which document a value comes from; a task's variables are no document."""

    kind: LayerKind
    scope: str = ""
    number: int = 0
    revision: int = 0


class Hidden(Struct, frozen=True, kw_only=True):
    """Its key is another one where a value hides a mapping, or the reverse."""

    key: str
    value: Any
    origin: ValueOrigin


class Explained(Struct, frozen=True, kw_only=True):
    value: Any
    origin: ValueOrigin
    hid: tuple[Hidden, ...] = ()
    """The nearest first, up to twenty."""
    more: int = 0
    """Further values that it hid."""


class AskEffective(Struct, frozen=True, kw_only=True):
    hosts: Hosts
    task: str = ""
    """A document of variables as a task brings them."""
    keys: Annotated[tuple[Key, ...], Meta(max_length=100)] = ()
    """Only these flattened keys and what lies below them."""
    explain: bool = False


class EffectiveVariables(Struct, frozen=True, kw_only=True):
    host: str
    group_names: tuple[str, ...]
    """From the lowest precedence to the highest."""
    text: str
    flat: dict[str, Any]
    explained: dict[str, Explained] = {}


class EffectiveOfHosts(Struct, frozen=True, kw_only=True):
    """Sorted by host."""

    hosts: list[EffectiveVariables]
    rest: tuple[str, ...] = ()
    """Ids for which this message has no room any more: ask for them again."""


class PreviewVariables(Struct, frozen=True, kw_only=True):
    scope: ScopeName
    text: str
    limit: Annotated[int, Meta(ge=0, le=100)] = 20
    """How many hosts and templates are listed; all are counted."""


class ChangedHost(Struct, frozen=True, kw_only=True):
    host: str
    hostname: str
    changes: tuple[KeyChange, ...]
    """Of its effective values, up to twenty."""


class ChangedTemplate(Struct, frozen=True, kw_only=True):
    name: str
    keys: tuple[str, ...]
    """What it reads of that which changes."""


class BlastRadius(Struct, frozen=True, kw_only=True):
    """What a change would do. Beyond `examined` hosts nothing is said of the rest of `members`. All hosts are counted;
    those that the caller may see are listed."""

    changes: list[KeyChange]
    """Of the document, up to a hundred."""
    warnings: tuple[Warned, ...]
    members: int
    """Hosts in the scope."""
    examined: int
    hosts_changed: int
    hosts: list[ChangedHost]
    templates_changed: int
    templates: list[ChangedTemplate]
    """Named to whoever has `templates:read`."""


class ResolveVariables(Struct, frozen=True, kw_only=True):
    hosts: ManyHosts
    task: str = ""
    at: datetime | None = None
    """Documents as they were at the moment that an earlier answer named; left out: as they are."""
    with_global: bool = True
    """Tell `global.*` too: what all hosts share, once more, as the group `global` says it."""


class HostValues(Struct, frozen=True, kw_only=True):
    host: str
    flat: dict[str, str]
    """Flattened key → text; what is no text as JSON. With the names that only this host has."""
    secrets: tuple[str, ...] = ()
    """The secret texts among these, so that they can be masked in output."""


class ResolvedVariables(Struct, frozen=True, kw_only=True):
    """Secret values in the clear, for sealing to their hosts. Sorted by host; unknown hosts are left out."""

    hosts: list[HostValues]
    at: datetime
    """Whoever asks for other hosts with this gets the same revisions."""
    rest: tuple[str, ...] = ()
    """Ids for which this message has no room any more: ask for them again."""


list_variables = Call(
    "config.variables.list",
    ListVariables,
    Scopes,
    needs="variables:read",
    http=get("/variables"),
    idempotent=True,
    summary="List scopes that have variables, or find keys and values",
)
show_variables = Call(
    "config.variables.show",
    ShowVariables,
    Variables,
    needs="variables:read",
    http=get("/variables/{scope}"),
    idempotent=True,
    summary="Show the variables of a group or host",
)
set_variables = Call(
    "config.variables.set",
    SetVariables,
    Variables,
    needs="variables:change",
    http=post("/variables/{scope}"),
    conceals=("text",),
    summary="Set the variables of a group or host",
)
preview_variables = Call(
    "config.variables.preview",
    PreviewVariables,
    BlastRadius,
    needs="variables:change",
    http=post("/variables/{scope}/preview"),
    idempotent=True,
    reads=True,
    summary="Which hosts and templates would a change touch",
)
list_variables_versions = Call(
    "config.variables.versions",
    ListVersions,
    VariablesVersions,
    needs="variables:read",
    http=get("/variables/{scope}/versions"),
    idempotent=True,
    summary="List the versions of a document of variables",
)
diff_variables = Call(
    "config.variables.diff",
    DiffVersions,
    VariablesDiff,
    needs="variables:read",
    http=get("/variables/{scope}/diff"),
    idempotent=True,
    summary="Compare two versions of a document of variables",
)
effective_variables = Call(
    "config.variables.effective",
    AskEffective,
    EffectiveOfHosts,
    needs="variables:read",
    http=post("/effective-variables"),
    idempotent=True,
    reads=True,
    summary="What the variables come to for hosts, and why",
)
resolve_variables = Call(
    "config.variables.resolve",
    ResolveVariables,
    ResolvedVariables,
    needs="variables:resolve",
    idempotent=True,
    reads=True,
    summary="The values of hosts with secrets, for the jobs service",
)
