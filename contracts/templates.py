"""Templates: named Jinja2 texts, and what they come to for hosts. Spoken by the config service.

A template reads the effective variables of a host by their names, and besides `inventory_hostname` (the server's IP),
`host`, `group_names` and `global`. Each save is a version; no version ever changes.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.hosts import Tag, Tags
from contracts.kinds import Call, get, post
from contracts.tokens import END
from contracts.variables import HostId, Hosts, ManyHosts, Revision, Search, Why

TemplateName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}" + END)]
Description = Annotated[str, Meta(max_length=2000)]
Limit = Annotated[int, Meta(ge=1, le=500)]


class TemplateRead(Struct, frozen=True, kw_only=True):
    """A variable that a template reads. Optional: only through `default` or `is defined`."""

    key: str
    lines: tuple[int, ...]
    """The first twenty."""
    optional: bool


class TemplateSummary(Struct, frozen=True, kw_only=True):
    name: str
    description: str
    tags: tuple[str, ...]
    revision: int
    why: str
    changed_by: str
    changed_at: datetime


class Template(TemplateSummary, frozen=True, kw_only=True):
    text: str
    reads: tuple[TemplateRead, ...]


class ShowTemplate(Struct, frozen=True, kw_only=True):
    name: TemplateName
    revision: Revision = 0
    """Left out: the newest."""


class SaveTemplate(Struct, frozen=True, kw_only=True):
    """Makes the template if there is none. With `revision` the save is refused if somebody else was faster; 0 wants
    that there is none. Description and tags that are left out stay as they are."""

    name: TemplateName
    text: str
    description: Description | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    why: Why = ""
    revision: Revision | None = None


class ListTemplates(Struct, frozen=True, kw_only=True):
    search: Search = ""
    """Matches the beginning of the name, or of a part of a key that the template reads, in any case."""
    tags: tuple[Tag, ...] = ()
    """Of several, any one will do."""
    after: str = ""
    limit: Limit = 100


class Templates(Struct, frozen=True, kw_only=True):
    """Sorted by name."""

    templates: list[TemplateSummary]
    next: str = ""


class ListTemplateVersions(Struct, frozen=True, kw_only=True):
    name: TemplateName
    after: Revision = 0
    limit: Limit = 100


class TemplateVersion(Struct, frozen=True, kw_only=True):
    revision: int
    why: str
    changed_by: str
    changed_at: datetime


class TemplateVersions(Struct, frozen=True, kw_only=True):
    """Newest first."""

    versions: list[TemplateVersion]
    next: int = 0


class RenderTemplate(Struct, frozen=True, kw_only=True):
    """With `text` that is rendered, saved or not, and nothing needs to be saved under the name."""

    name: TemplateName
    hosts: Hosts
    revision: Revision = 0
    text: str | None = None
    task: str = ""
    """A document of variables as a task brings them."""
    values: bool = False
    """Tell for each host the values that the template reads."""


class RenderProblem(Struct, frozen=True, kw_only=True):
    reason: str
    message: str
    line: int
    """0: not known."""
    name: str = ""
    """The variable that was undefined."""


class RenderedHost(Struct, frozen=True, kw_only=True):
    """Either of `text` and `error` is there."""

    host: str
    text: str | None = None
    error: RenderProblem | None = None
    values: dict[str, Any] = {}
    """Flattened key → value, where they were asked for and are there."""


class RenderedHosts(Struct, frozen=True, kw_only=True):
    """Sorted by host. If no host could be rendered the call is refused instead, with each problem once."""

    revision: int
    """0: a text that was not saved."""
    hosts: list[RenderedHost]
    rest: tuple[str, ...] = ()
    """Ids for which this message has no room any more: ask for them again."""


class RenderForHosts(Struct, frozen=True, kw_only=True):
    name: TemplateName
    hosts: ManyHosts
    revision: Revision = 0
    task: str = ""


class DiffTemplate(Struct, frozen=True, kw_only=True):
    """Without `content` two versions of the text are compared. With it: the content that some host has, against what
    the template comes to for that host."""

    name: TemplateName
    revision: Revision = 0
    against: Revision | None = None
    """Left out: the one before."""
    content: str | None = None
    host: HostId = ""
    task: str = ""


class TemplateDiff(Struct, frozen=True, kw_only=True):
    revision: int
    equal: bool
    text: str
    """A unified diff: what to take out, what to put in."""


class LintTemplate(Struct, frozen=True, kw_only=True):
    """With `text` that is looked at, and nothing needs to be saved under the name."""

    name: TemplateName
    revision: Revision = 0
    text: str | None = None
    hosts: Annotated[tuple[HostId, ...], Meta(max_length=1000)] = ()
    task: str = ""


class Lacking(Struct, frozen=True, kw_only=True):
    """A variable that must be there, and hosts that do not have it."""

    key: str
    lines: tuple[int, ...]
    count: int
    hosts: tuple[str, ...]
    """The first twenty."""


class TemplateLint(Struct, frozen=True, kw_only=True):
    reads: list[TemplateRead]
    lacking: list[Lacking]


list_templates = Call(
    "config.templates.list",
    ListTemplates,
    Templates,
    needs="templates:read",
    http=get("/templates"),
    idempotent=True,
    summary="List templates",
)
show_template = Call(
    "config.templates.show",
    ShowTemplate,
    Template,
    needs="templates:read",
    http=get("/templates/{name}"),
    idempotent=True,
    summary="Show a template",
)
save_template = Call(
    "config.templates.save",
    SaveTemplate,
    Template,
    needs="templates:change",
    http=post("/templates/{name}"),
    summary="Save a template as its next version",
)
list_template_versions = Call(
    "config.templates.versions",
    ListTemplateVersions,
    TemplateVersions,
    needs="templates:read",
    http=get("/templates/{name}/versions"),
    idempotent=True,
    summary="List the versions of a template",
)
render_template = Call(
    "config.templates.render",
    RenderTemplate,
    RenderedHosts,
    needs="templates:read",
    http=post("/templates/{name}/render"),
    idempotent=True,
    reads=True,
    summary="What a template comes to for hosts, secrets masked",
)
diff_template = Call(
    "config.templates.diff",
    DiffTemplate,
    TemplateDiff,
    needs="templates:read",
    http=post("/templates/{name}/diff"),
    idempotent=True,
    reads=True,
    summary="Compare a template with another version, or with what is on a host",
)
lint_template = Call(
    "config.templates.lint",
    LintTemplate,
    TemplateLint,
    needs="templates:read",
    http=post("/templates/{name}/lint"),
    idempotent=True,
    reads=True,
    summary="Which variables does a template read, and which hosts lack them",
)
render_for_hosts = Call(
    "config.templates.render_for_hosts",
    RenderForHosts,
    RenderedHosts,
    needs="variables:resolve",
    idempotent=True,
    reads=True,
    summary="What a template comes to for hosts with secrets, for the jobs service",
)
