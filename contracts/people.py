"""Who is asking, and the people, tokens and integrations that the gateway keeps."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from contracts.kinds import Call, delete, get, post
from contracts.permissions import Grant, Role
from contracts.tokens import END, TOKEN_PATTERN

Name = Annotated[str, Meta(pattern=TOKEN_PATTERN)]
Password = Annotated[str, Meta(min_length=10, max_length=200)]


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


class Nothing(Struct, frozen=True):
    """A request or reply without content."""


class Person(Struct, frozen=True, kw_only=True):
    name: str
    roles: tuple[Role, ...]
    created_at: datetime
    disabled: bool = False


class CreatePerson(Struct, frozen=True, kw_only=True):
    name: Name
    password: Password
    roles: tuple[Role, ...]


class ListPeople(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class People(Struct, frozen=True, kw_only=True):
    people: list[Person]
    next: str = ""
    """Pass as `after` for the next page; empty at the end."""


class DisablePerson(Struct, frozen=True, kw_only=True):
    name: Name


class CreateToken(Struct, frozen=True, kw_only=True):
    """An API token of the person who asks; it can do what that person can, until it expires."""

    label: Annotated[str, Meta(min_length=1, max_length=100)]
    expires_in_s: Annotated[int, Meta(ge=60, le=366 * 86400)] = 90 * 86400


class ApiToken(Struct, frozen=True, kw_only=True):
    id: str
    label: str
    owner: str
    created_at: datetime
    expires_at: datetime
    secret: str = ""
    """Shown once, in the answer to the creation; only its hash is kept."""


class ApiTokens(Struct, frozen=True, kw_only=True):
    tokens: list[ApiToken]


class TokenRef(Struct, frozen=True, kw_only=True):
    id: str


class CreateIntegration(Struct, frozen=True, kw_only=True):
    """A program that speaks NATS. It may publish exactly the calls named in `calls` and hear the events of `events`."""

    name: Annotated[str, Meta(pattern=r"^i-[a-z0-9_-]{1,62}" + END)]
    calls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    """Subjects of calls as in the reference, such as `jobs.runs.start`."""
    events: tuple[Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,64}\.[a-z0-9_-]{1,64}" + END)], ...] = ()
    """Kinds of events as `<service>.<kind>`, such as `jobs.run`."""
    expires_in_s: Annotated[int, Meta(ge=3600, le=366 * 86400)] = 90 * 86400


class Integration(Struct, frozen=True, kw_only=True):
    name: str
    calls: tuple[str, ...]
    events: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked: bool = False
    credentials: str = ""
    """The content of a NATS credentials file, shown once."""
    servers: tuple[str, ...] = ()
    ca: str = ""
    """The private CA's certificate in PEM, to be trusted for these servers."""
    inbox_prefix: str = ""
    """Answers reach the integration only below this prefix."""


class Integrations(Struct, frozen=True, kw_only=True):
    integrations: list[Integration]


class IntegrationRef(Struct, frozen=True, kw_only=True):
    name: str


whoami = Call(
    "gateway.people.whoami",
    Nothing,
    Principal,
    needs="tokens:own",
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
disable_person = Call(
    "gateway.people.disable",
    DisablePerson,
    Person,
    needs="people:manage",
    http=post("/people/{name}/disable"),
    idempotent=True,
    summary="Disable a person; sessions and tokens end at once",
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
    Nothing,
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
revoke_integration = Call(
    "resources.integrations.revoke",
    IntegrationRef,
    Integration,
    needs="integrations:manage",
    http=delete("/integrations/{name}"),
    idempotent=True,
    summary="Revoke an integration; its connection is cut",
)
