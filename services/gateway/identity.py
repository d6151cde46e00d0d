"""Who sends a request: the owner of an API token, of a session, or nobody."""

import msgspec
from aiohttp import web

from contracts.errors import Unauthenticated
from contracts.people import Principal
from services.gateway.sessions import cookie
from services.gateway.sessions.sessions import Sessions
from services.gateway.tokens.tokens import Tokens


def nobody(request: web.Request) -> Principal:
    return Principal(kind="anonymous", name="anonymous", via="none", address=request.remote or "")


class Identity:
    def __init__(self, sessions: Sessions, tokens: Tokens) -> None:
        self._sessions = sessions
        self._tokens = tokens

    async def of(self, request: web.Request, *, active: bool = True) -> Principal:
        """Who it is and where they are. Raises Unauthenticated for a token that does not work; a session that is over
        is nobody's.

        `active` false only looks, and does not keep an idle session alive.
        """
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("auth.token_invalid", "Send the token as `Authorization: Bearer drv_…`.")
            return _from(request, await self._tokens.principal(token.strip()))
        value = cookie.read(request)
        known = await self._sessions.principal(value, active=active) if value else None
        return nobody(request) if known is None else _from(request, known)


def _from(request: web.Request, principal: Principal) -> Principal:
    return msgspec.structs.replace(principal, address=request.remote or "")
