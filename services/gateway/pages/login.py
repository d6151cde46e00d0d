"""Login and logout: what sets and takes the cookie."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from contracts.kinds import ANYONE, Call, post
from contracts.people import SECRET, Nothing, Principal
from runtime.bus import Auditor
from services.gateway.routes import Page, as_json
from services.gateway.sessions import cookie
from services.gateway.sessions.sessions import Sessions


class LogIn(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=64)]
    password: Annotated[str, Meta(max_length=200, extra=SECRET)]


log_in = Call(
    "gateway.login", LogIn, Principal, needs=ANYONE, http=post("/login"), summary="Log in; sets the session's cookie"
)
log_out = Call(
    "gateway.logout", Nothing, Nothing, needs="self:manage", http=post("/logout"), summary="Log out; ends the session"
)


def pages(sessions: Sessions, auditor: Auditor) -> list[Page]:
    async def handle_log_in(request: web.Request, given: LogIn, stranger: Principal) -> web.Response:
        # Whoever must wait leaves no row, or guessing would fill the trail.
        attempt = await sessions.attempt(given.name, stranger.address)

        async def log_in_now() -> tuple[str, Principal]:
            user_agent = request.headers.get("User-Agent", "")
            return await sessions.log_in(attempt, given.name, given.password, stranger.address, user_agent)

        value, principal = await auditor.carried_out(log_in, given, stranger, log_in_now)
        # The session is always a new one: a cookie that was there before, whoever set it, ends here.
        if before := cookie.read(request):
            await sessions.log_out(before)
        response = as_json(principal)
        cookie.give(request, response, value)
        return response

    async def handle_log_out(request: web.Request, _: Nothing, __: Principal) -> web.Response:
        await sessions.log_out(cookie.read(request))
        response = as_json(Nothing())
        cookie.take(request, response)
        return response

    return [Page(log_in, handle_log_in, audited=False), Page(log_out, handle_log_out)]
