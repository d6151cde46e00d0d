"""What can be done with API tokens. Each public method is one use case."""

import secrets
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from contracts.errors import Forbidden, NotFound, Unauthenticated
from contracts.people import (
    ApiToken,
    ApiTokens,
    CreateToken,
    ListTokens,
    ListTokensOf,
    Principal,
    TokenOf,
    TokenRef,
)
from contracts.permissions import EVERYTHING
from runtime.authorize import granted
from runtime.ids import secret
from runtime.signing import sha256
from services.gateway.people.model import KnownPerson
from services.gateway.people.store import PeopleStore
from services.gateway.roles import model as roles
from services.gateway.roles.store import RoleStore
from services.gateway.tokens.model import PREFIX, KnownToken, narrowed
from services.gateway.tokens.store import TokenStore

log = structlog.get_logger()


class Tokens:
    def __init__(self, store: TokenStore, people: PeopleStore, role_store: RoleStore) -> None:
        self._store, self._people, self._roles = store, people, role_store

    async def create(self, request: CreateToken, principal: Principal) -> ApiToken:
        owner = await self._people.get(yourself(principal))
        if request.permissions is not None or request.scope != EVERYTHING:
            roles.check(request.permissions or (), request.scope)
        shown_once = PREFIX + secret()
        now = datetime.now(UTC)
        token = KnownToken(
            id=f"t-{secrets.token_hex(6)}",
            hash=_hash(shown_once),
            owner=owner.name,
            version=owner.version,
            label=request.label,
            created_at=now,
            expires_at=now + timedelta(seconds=request.expires_in_s),
            permissions=request.permissions,
            scope=request.scope,
        )
        await self._store.add(token)
        log.info("token.created", token=token.id, owner=owner.name)
        return token.shown(shown_once)

    async def list(self, request: ListTokens, principal: Principal) -> ApiTokens:
        return await self._page(await self._people.get(_person(principal)), request.after, request.limit)

    async def list_of(self, request: ListTokensOf, _: Principal) -> ApiTokens:
        return await self._page(await self._people.get(request.name), request.after, request.limit)

    async def withdraw(self, request: TokenRef, principal: Principal) -> ApiToken:
        return await self._withdraw(yourself(principal), request.id, principal)

    async def withdraw_of(self, request: TokenOf, principal: Principal) -> ApiToken:
        return await self._withdraw((await self._people.get(request.name)).name, request.id, principal)

    async def principal(self, shown_once: str) -> Principal:
        """Whom the token speaks for, with what both its owner and it may do now. Raises Unauthenticated."""
        token = await self._store.find(_hash(shown_once)) if shown_once.startswith(PREFIX) else None
        now = datetime.now(UTC)
        person = await self._people.find(token.owner) if token is not None and token.works(now) else None
        if token is None or person is None or person.disabled or person.version != token.version:
            raise Unauthenticated("auth.token_invalid", "The token is unknown, expired or withdrawn.")
        if token.use_is_news(now):
            await self._store.used(token.id, now)
        whole = person.as_principal("token", token.id, await self._roles.grants(person.roles))
        if not token.limited:
            return whole
        grants = narrowed(granted(whole), token.permissions, token.scope)
        return msgspec.structs.replace(whole, limited=True, grants=grants)

    async def _page(self, owner: KnownPerson, after: str, limit: int) -> ApiTokens:
        found = await self._store.page(owner, datetime.now(UTC), after, limit)
        more = found[-1].id if len(found) == limit else ""
        return ApiTokens(tokens=[token.shown() for token in found], next=more)

    async def _withdraw(self, owner: str, key: str, principal: Principal) -> ApiToken:
        token = await self._store.withdraw(owner, key)
        if token is None:
            raise NotFound("token.unknown", f"{owner} has no token of that id.")
        log.info("token.withdrawn", token=token.id, owner=owner, by=principal.name)
        return token.shown()


def yourself(principal: Principal) -> str:
    """The name of the person who asks. Raises Forbidden for what comes with a token that has limits: what it did to
    its owner's other credentials would reach beyond them."""
    if principal.limited:
        raise Forbidden("token.limited", "This API token has limits and acts within them only. Log in to do this.")
    return _person(principal)


def _person(principal: Principal) -> str:
    if principal.kind != "person":
        raise Forbidden("auth.forbidden", "Only people have tokens, sessions and passwords; programs have credentials.")
    return principal.name


def _hash(shown_once: str) -> str:
    return sha256(shown_once.encode(errors="replace"))
