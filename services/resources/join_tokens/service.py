"""Who may let hosts in, and how many. Each public method is one use case."""

import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from contracts.errors import Forbidden, Invalid, NotFound
from contracts.hosts import CreateJoinToken, JoinToken, JoinTokenRef, JoinTokens, create_join_token
from contracts.people import Nothing, Principal
from contracts.topology import PlaceKind
from runtime import ids
from runtime.authorize import scopes
from runtime.signing import sha256
from services.resources.hosts.model import ordered
from services.resources.hosts.visibility import is_bounded
from services.resources.idcs import reserved
from services.resources.join_tokens.store import JoinTokenStore
from services.resources.topology.model import Spot, check
from services.resources.topology.store import PlaceStore

log = structlog.get_logger()


class JoinTokenService:
    """A join token says to which business a host comes, so whoever is bound to some of them makes and sees none."""

    def __init__(self, tokens: JoinTokenStore, places: PlaceStore, *, idcs: Collection[str]) -> None:
        """`idcs` are those that have a relay."""
        self._tokens, self._places, self._idcs = tokens, places, idcs

    async def create(self, request: CreateJoinToken, principal: Principal) -> JoinToken:
        _refuse_bounded(principal)
        if reserved(request.idc):
            raise Invalid("idc.reserved", f"No IDC can be called {request.idc}: Drover uses that name itself.")
        if request.idc not in self._idcs:
            known = ", ".join(sorted(self._idcs))
            raise Invalid("idc.unknown", f"There is no IDC {request.idc}; those with a relay are {known}.")
        await self._make_places(request, principal)
        secret = ids.secret()
        token = JoinToken(
            id=f"j-{secrets.token_hex(6)}",
            idc=request.idc,
            expires_at=datetime.now(UTC) + timedelta(seconds=request.expires_in_s),
            uses_left=request.uses,
            created_by=principal.name,
            secret=secret,
        )
        given = msgspec.structs.replace(request, tags=ordered(request.tags))
        await self._tokens.add(token, given, sha256(secret.encode()))
        log.info("join_token.created", token=token.id, idc=token.idc, uses=token.uses_left, by=principal.name)
        return token

    async def _make_places(self, request: CreateJoinToken, principal: Principal) -> None:
        """Whoever may let hosts in may also name a business that is new. Raises Invalid."""
        if request.product_line and not request.business:
            raise Invalid("place.bad_path", "A product line belongs to a business; name that too.")
        names = [name for name in (request.business, request.product_line) if name]
        if names:
            kind = PlaceKind.PRODUCT_LINE if request.product_line else PlaceKind.BUSINESS
            spot = Spot(kind, "/".join(names))
            check(spot)
            await self._places.ensure([spot], principal.name)

    async def list(self, _: Nothing, principal: Principal) -> JoinTokens:
        _refuse_bounded(principal)
        return JoinTokens(tokens=await self._tokens.working())

    async def withdraw(self, request: JoinTokenRef, principal: Principal) -> JoinToken:
        _refuse_bounded(principal)
        token = await self._tokens.withdraw(request.id, principal.name)
        if token is None:
            raise NotFound("join.token_unknown", "There is no such join token.")
        log.info("join_token.withdrawn", token=token.id, by=principal.name)
        return token


def _refuse_bounded(principal: Principal) -> None:
    if is_bounded(scopes(principal, create_join_token.needs)):
        raise Forbidden(
            "auth.forbidden",
            f"{principal.name} may not use join tokens: that needs {create_join_token.needs} for all businesses and"
            " groups.",
        )
