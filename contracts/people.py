"""Who is asking, and the people, tokens and integrations that the gateway keeps."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from contracts.kinds import Call, delete, get, post
from contracts.permissions import EVERYTHING, Grant, Scope
from contracts.tokens import END, TOKEN_PATTERN

Name = Annotated[str, Meta(pattern=TOKEN_PATTERN)]
SECRET = {"secret": True}
"""Marks a type whose values must be written down nowhere; a test holds that the audit trail hides them."""
Password = Annotated[str, Meta(min_length=10, max_length=200, extra=SECRET)]
RoleNames = Annotated[tuple[Name, ...], Meta(max_length=8)]
"""Names of built-in or custom roles. What they allow travels with every call, hence few."""
PageSize = Annotated[int, Meta(ge=1, le=500)]


class Principal(Struct, frozen=True, kw_only=True):
    """Whoever asks, as the answering service sees them."""

    kind: Literal["person", "service", "integration", "anonymous"]
    name: str
    roles: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    """What is allowed beyond the built-in ones among the roles."""
    via: Literal["session", "token", "bus", "none"] = "bus"
    address: str = ""
    """Where a person's request came from, as the gateway saw it."""
    limited: bool = False
    """Whether it came with a token that does less than its owner. Then the grants are all there is; the roles only say
    who it is, for accounts that are given to roles."""
    credential: str = ""
    """Which of the person's sessions or API tokens it came with, by its id."""


class Nothing(Struct, frozen=True):
    """A request or reply without content."""


class Person(Struct, frozen=True, kw_only=True):
    name: str
    roles: tuple[str, ...]
    created_at: datetime
    disabled: bool
    revision: int
    changed_by: str
    changed_at: datetime


class PersonRef(Struct, frozen=True, kw_only=True):
    name: Name


class CreatePerson(Struct, frozen=True, kw_only=True):
    name: Name
    password: Password
    roles: RoleNames


class ListPeople(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: PageSize = 100


class People(Struct, frozen=True, kw_only=True):
    people: list[Person]
    next: str = ""
    """Pass as `after` for the next page; empty at the end."""


class ChangePerson(Struct, frozen=True, kw_only=True):
    """The roles are all that the person has afterwards. With `revision` the change is refused if somebody else was
    faster."""

    name: Name
    roles: RoleNames
    revision: int | None = None


class DisablePerson(Struct, frozen=True, kw_only=True):
    name: Name
    revision: int | None = None


class EnablePerson(Struct, frozen=True, kw_only=True):
    """The person may log in again; sessions and tokens of before stay ended."""

    name: Name
    revision: int | None = None


class SetPassword(Struct, frozen=True, kw_only=True):
    name: Name
    password: Password
    revision: int | None = None


class ChangeOwnPassword(Struct, frozen=True, kw_only=True):
    old: Annotated[str, Meta(max_length=200, extra=SECRET)]
    new: Password


class CreateToken(Struct, frozen=True, kw_only=True):
    """An API token of the person who asks. It can do what that person can at the moment of its use, within the bounds
    given here, until it expires."""

    label: Annotated[str, Meta(min_length=1, max_length=100)]
    expires_in_s: Annotated[int, Meta(ge=60, le=366 * 86400)] = 90 * 86400
    permissions: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)] | None = None
    """Only these of the owner's; left out: all of them."""
    scope: Scope = EVERYTHING
    """Only among the objects that lie in it."""


class ApiToken(Struct, frozen=True, kw_only=True):
    id: str
    label: str
    owner: str
    created_at: datetime
    expires_at: datetime
    permissions: tuple[str, ...] | None = None
    scope: Scope = EVERYTHING
    last_used_at: datetime | None = None
    """To the minute."""
    secret: str = ""
    """Shown once, in the answer to the creation; only its hash is kept."""


class ListTokens(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: PageSize = 100


class ListTokensOf(Struct, frozen=True, kw_only=True):
    name: Name
    after: str = ""
    limit: PageSize = 100


class ApiTokens(Struct, frozen=True, kw_only=True):
    """Those that work, sorted by id."""

    tokens: list[ApiToken]
    next: str = ""


class TokenRef(Struct, frozen=True, kw_only=True):
    id: str


class TokenOf(Struct, frozen=True, kw_only=True):
    name: Name
    id: str


class CreateIntegration(Struct, frozen=True, kw_only=True):
    """A program that speaks NATS. It may publish exactly the calls named in `calls` and hear the events of `events`."""

    name: Annotated[str, Meta(pattern=r"^i-[a-z0-9_-]{1,62}" + END)]
    calls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    """Subjects of calls as in the reference, such as `jobs.runs.start`."""
    events: tuple[Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,64}\.[a-z0-9_-]{1,64}" + END)], ...] = ()
    """Kinds of events as `<service>.<kind>`, such as `jobs.run`."""
    expires_in_s: Annotated[int, Meta(ge=3600, le=366 * 86400)] = 90 * 86400
    scope: Scope = EVERYTHING
    """Among which objects the calls are made. Events tell of all objects: who has a bound hears none."""


class ChangeIntegration(Struct, frozen=True, kw_only=True):
    """The whole new scope: a bound left out of it is no bound any more. It counts within seconds, for the credentials
    that are there. With `revision` the change is refused if somebody else was faster."""

    name: Annotated[str, Meta(pattern=r"^i-[a-z0-9_-]{1,62}" + END)]
    scope: Scope
    revision: int | None = None


class Integration(Struct, frozen=True, kw_only=True):
    name: str
    calls: tuple[str, ...]
    events: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked: bool = False
    scope: Scope = EVERYTHING
    revision: int = 1
    changed_by: str = ""
    changed_at: datetime | None = None
    credentials: str = ""
    """The content of a NATS credentials file, shown once."""
    servers: tuple[str, ...] = ()
    ca: str = ""
    """The private CA's certificate in PEM, to be trusted for these servers."""
    inbox_prefix: str = ""
    """Answers reach the integration only below this prefix."""


class Integrations(Struct, frozen=True, kw_only=True):
    integrations: list[Integration]


class IntegrationBounds(Struct, frozen=True, kw_only=True):
    scopes: tuple[Scope, ...]
    """None: it is unknown or revoked, and may do nothing."""


class IntegrationRef(Struct, frozen=True, kw_only=True):
    name: str


whoami = Call(
    "gateway.people.whoami",
    Nothing,
    Principal,
    needs="self:manage",
    http=get("/me"),
    idempotent=True,
    summary="Who am I",
)
create_person = Call(
    "gateway.people.create",
    CreatePerson,
    Person,
    needs="people:manage",
    http=post("/people", status=201),
    summary="Add a person",
)
list_people = Call(
    "gateway.people.list",
    ListPeople,
    People,
    needs="people:manage",
    http=get("/people"),
    idempotent=True,
    summary="List people",
)
show_person = Call(
    "gateway.people.show",
    PersonRef,
    Person,
    needs="people:manage",
    http=get("/people/{name}"),
    idempotent=True,
    summary="Show a person",
)
change_person = Call(
    "gateway.people.change",
    ChangePerson,
    Person,
    needs="people:manage",
    http=post("/people/{name}"),
    summary="Change a person's roles; they count from the next request on",
)
disable_person = Call(
    "gateway.people.disable",
    DisablePerson,
    Person,
    needs="people:manage",
    http=post("/people/{name}/disable"),
    idempotent=True,
    summary="Disable a person; sessions and tokens end at once",
)
enable_person = Call(
    "gateway.people.enable",
    EnablePerson,
    Person,
    needs="people:manage",
    http=post("/people/{name}/enable"),
    idempotent=True,
    summary="Let a disabled person log in again",
)
set_password = Call(
    "gateway.people.set_password",
    SetPassword,
    Person,
    needs="people:manage",
    http=post("/people/{name}/password"),
    summary="Give a person a new password; sessions and tokens end at once",
)
change_own_password = Call(
    "gateway.people.change_own_password",
    ChangeOwnPassword,
    Person,
    needs="self:manage",
    http=post("/me/password"),
    conceals=("old", "new"),
    summary="Change my password; my tokens and other sessions end at once",
)
create_token = Call(
    "gateway.tokens.create",
    CreateToken,
    ApiToken,
    needs="tokens:own",
    http=post("/tokens", status=201),
    summary="Make an API token",
)
list_tokens = Call(
    "gateway.tokens.list",
    ListTokens,
    ApiTokens,
    needs="tokens:own",
    http=get("/tokens"),
    idempotent=True,
    summary="List my API tokens",
)
withdraw_token = Call(
    "gateway.tokens.withdraw",
    TokenRef,
    ApiToken,
    needs="tokens:own",
    http=delete("/tokens/{id}"),
    idempotent=True,
    summary="Withdraw an API token",
)
list_tokens_of = Call(
    "gateway.tokens.list_of",
    ListTokensOf,
    ApiTokens,
    needs="people:manage",
    http=get("/people/{name}/tokens"),
    idempotent=True,
    summary="List a person's API tokens",
)
withdraw_token_of = Call(
    "gateway.tokens.withdraw_of",
    TokenOf,
    ApiToken,
    needs="people:manage",
    http=delete("/people/{name}/tokens/{id}"),
    idempotent=True,
    summary="Withdraw a person's API token",
)
create_integration = Call(
    "resources.integrations.create",
    CreateIntegration,
    Integration,
    needs="integrations:manage",
    http=post("/integrations", status=201),
    summary="Give a program its NATS credentials",
)
list_integrations = Call(
    "resources.integrations.list",
    Nothing,
    Integrations,
    needs="integrations:manage",
    http=get("/integrations"),
    idempotent=True,
    summary="List integrations",
)
change_integration = Call(
    "resources.integrations.change",
    ChangeIntegration,
    Integration,
    needs="integrations:manage",
    http=post("/integrations/{name}"),
    summary="Bound an integration anew; its credentials stay",
)
integration_bounds = Call(
    "resources.integrations.bounds",
    IntegrationRef,
    IntegrationBounds,
    needs="integrations:ask",
    idempotent=True,
    reads=True,
    summary="What bounds a program, for the services that it asks",
)
revoke_integration = Call(
    "resources.integrations.revoke",
    IntegrationRef,
    Integration,
    needs="integrations:manage",
    http=delete("/integrations/{name}"),
    idempotent=True,
    summary="Revoke an integration; its connection is cut",
)
