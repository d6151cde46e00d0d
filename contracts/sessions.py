"""Sessions of browsers, and what stops those who guess passwords. Kept by the gateway."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from contracts.kinds import Call, delete, get, post
from contracts.people import Name, Nothing, PageSize, PersonRef


class Session(Struct, frozen=True, kw_only=True):
    id: str
    person: str
    created_at: datetime
    seen_at: datetime
    """When somebody was last at work in it, to the minute."""
    address: str
    """Where the login came from."""
    user_agent: str
    """What the browser said it was, cut to 300 characters."""
    current: bool = False
    """Whether this is the session that asks."""


class ListSessions(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: PageSize = 100


class ListSessionsOf(Struct, frozen=True, kw_only=True):
    name: Name
    after: str = ""
    limit: PageSize = 100


class Sessions(Struct, frozen=True, kw_only=True):
    """Those that are not over, sorted by id."""

    sessions: list[Session]
    next: str = ""


class SessionRef(Struct, frozen=True, kw_only=True):
    id: str


class SessionOf(Struct, frozen=True, kw_only=True):
    name: Name
    id: str


class RevokedSessions(Struct, frozen=True, kw_only=True):
    revoked: int


class LiftLockout(Struct, frozen=True, kw_only=True):
    """Forgets the failed logins for a name, from an address, or both; one of them must be named."""

    name: Annotated[str, Meta(max_length=64)] = ""
    """As it was typed; nobody needs to have it."""
    address: Annotated[str, Meta(max_length=64)] = ""


class LiftedLockout(Struct, frozen=True, kw_only=True):
    forgotten: int
    """How many failed logins."""


list_sessions = Call(
    "gateway.sessions.list",
    ListSessions,
    Sessions,
    needs="self:manage",
    http=get("/sessions"),
    idempotent=True,
    summary="List my sessions",
)
revoke_session = Call(
    "gateway.sessions.revoke",
    SessionRef,
    RevokedSessions,
    needs="self:manage",
    http=delete("/sessions/{id}"),
    summary="Revoke one of my sessions",
)
revoke_other_sessions = Call(
    "gateway.sessions.revoke_others",
    Nothing,
    RevokedSessions,
    needs="self:manage",
    http=post("/sessions/revoke-others"),
    idempotent=True,
    summary="Revoke all my sessions but the one that asks",
)
list_sessions_of = Call(
    "gateway.sessions.list_of",
    ListSessionsOf,
    Sessions,
    needs="people:manage",
    http=get("/people/{name}/sessions"),
    idempotent=True,
    summary="List a person's sessions",
)
revoke_session_of = Call(
    "gateway.sessions.revoke_of",
    SessionOf,
    RevokedSessions,
    needs="people:manage",
    http=delete("/people/{name}/sessions/{id}"),
    summary="Revoke a person's session",
)
revoke_all_sessions_of = Call(
    "gateway.sessions.revoke_all_of",
    PersonRef,
    RevokedSessions,
    needs="people:manage",
    http=post("/people/{name}/sessions/revoke"),
    idempotent=True,
    summary="Revoke all sessions of a person",
)
lift_lockout = Call(
    "gateway.lockouts.lift",
    LiftLockout,
    LiftedLockout,
    needs="people:manage",
    http=post("/lockouts/lift"),
    idempotent=True,
    summary="Let somebody try again who failed to log in too often",
)
