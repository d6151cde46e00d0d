"""What can be done with API tokens. Each public method is one use case."""

import secrets
from datetime import UTC, datetime, timedelta

import structlog

from contracts.errors import Forbidden, NotFound, Unauthenticated
from contracts.people import ApiToken, ApiTokens, CreateToken, Nothing, Principal, TokenRef
from runtime.ids import secret
from runtime.signing import sha256
from services.gateway.people.store import PeopleStore
from services.gateway.tokens.model import PREFIX, KnownToken
from services.gateway.tokens.store import TokenStore

log = structlog.get_logger()


class Tokens:
    def __init__(self, store: TokenStore, people: PeopleStore) -> None:
        self._store = store
        self._people = people

    async def create(self, request: CreateToken, principal: Principal) -> ApiToken:
        owner = _person(principal)
        shown_once = PREFIX + secret()
        now = datetime.now(UTC)
        token = KnownToken(
            id=f"t-{secrets.token_hex(6)}",
            hash=_hash(shown_once),
            owner=owner,
            label=request.label,
            created_at=now,
            expires_at=now + timedelta(seconds=request.expires_in_s),
        )
        await self._store.add(token)
        log.info("token.created", token=token.id, owner=owner)
        return token.shown(shown_once)

    async def list(self, _: Nothing, principal: Principal) -> ApiTokens:
        found = await self._store.working_of(_person(principal), datetime.now(UTC))
        return ApiTokens(tokens=[token.shown() for token in found])

    async def withdraw(self, request: TokenRef, principal: Principal) -> ApiToken:
        owner = _person(principal)
        token = await self._store.withdraw(owner, request.id)
        if token is None:
            raise NotFound("token.unknown", "You have no token of that id.")
        log.info("token.withdrawn", token=token.id, owner=owner)
        return token.shown()

    async def principal(self, shown_once: str) -> Principal:
        """Whom the token speaks for. Raises Unauthenticated."""
        token = await self._store.find(_hash(shown_once)) if shown_once.startswith(PREFIX) else None
        if token is not None and token.works(datetime.now(UTC)):
            person = await self._people.find(token.owner)
            if person is not None and not person.disabled:
                return person.as_principal("token")
        raise Unauthenticated("auth.token_invalid", "The token is unknown, expired or withdrawn.")


def _person(principal: Principal) -> str:
    if principal.kind != "person":
        raise Forbidden("auth.forbidden", "Tokens belong to people; a program on the bus has credentials of its own.")
    return principal.name


def _hash(shown_once: str) -> str:
    return sha256(shown_once.encode(errors="replace"))
