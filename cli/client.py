"""The one client: takes any Call with its request and speaks to the route that the contract gives it."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, urlencode

import click
import msgspec

from cli.exits import LoginNeeded, Refused, Unreachable
from contracts.kinds import Call, Route
from contracts.reasons import REASONS

if TYPE_CHECKING:
    from cli.connection import Answer, Connection

Q = TypeVar("Q")
R = TypeVar("R")

API = "/api/v1"
CHECK_ADDRESS = "Check the address: drover doctor"
IN_PATH = re.compile(r"{(\w+)}")


class Client:
    """Calls of the contracts over one Connection. Every failure ends the command with its own exit status."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection

    def call(self, call: Call[Q, R], request: Q, *, cookie: str = "") -> R:
        return typed(read(self.ask(call, request, cookie=cookie)), call.reply)

    def both(self, call: Call[Q, R], request: Q) -> tuple[Any, R]:
        """The reply as the API wrote it, and read."""
        content = read(self.ask(call, request))
        return content, typed(content, call.reply)

    def ask(self, call: Call[Q, R], request: Q, *, cookie: str = "") -> bytes:
        """The reply as the API wrote it: what `-o json` shows also when the server is newer than this client."""
        if call.http is None:
            raise click.UsageError(f"{call.subject} has no route: it is for services only")
        try:
            path, body = encoded(call.http, request)
        except UnicodeEncodeError:
            raise click.UsageError("a word of the command is not text in UTF-8") from None
        repeatable = call.idempotent or bool(getattr(request, "idempotency_key", ""))
        return checked(self.connection.exchange(call.http.method, path, body, repeatable=repeatable, cookie=cookie))

    def all_pages(self, call: Call[Q, R], request: Q, at_most: int | None = None) -> dict[str, Any]:
        """The reply of a list call as if one page held everything, or its first `at_most` items."""
        items = call.reply.__struct_fields__[0]  # type: ignore[attr-defined]
        whole = page = read(self.ask(call, request))
        while page.get("next") and (at_most is None or len(whole[items]) < at_most):
            request = msgspec.structs.replace(request, after=page["next"])  # type: ignore[type-var]
            page = read(self.ask(call, request))
            whole[items] += page[items]
            whole["next"] = page["next"]
        whole[items] = whole[items][:at_most]
        return cast(dict[str, Any], whole)


def read(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreachable("something answers there, but not as Drover does", CHECK_ADDRESS) from None


def typed(content: Any, kind: type[R]) -> R:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise Refused(f"the server answers in another way than this drover knows: {error}", "Upgrade drover.") from None


def encoded(route: Route, request: Any) -> tuple[str, bytes | None]:
    """Path with query, and body. Fields that have their default stay away: a server need not know those of tomorrow."""
    fields = told(request)
    for name in IN_PATH.findall(route.path):
        if str(getattr(request, name)) in {"", ".", ".."}:
            raise click.UsageError(f"{getattr(request, name)!r} is not the name of a {name}")
        fields.pop(name, None)
    path = API + IN_PATH.sub(lambda match: quote(str(getattr(request, match[1])), safe=""), route.path)
    if route.method in {"GET", "DELETE"}:
        query = urlencode([(name, word(each)) for name, value in fields.items() for each in _several(value)])
        return path + (f"?{query}" if query else ""), None
    return path, msgspec.json.encode(fields)


def told(request: Any) -> dict[str, Any]:
    """The fields of a struct that differ from their default."""
    fields = {}
    for field in msgspec.structs.fields(request):
        value = getattr(request, field.name)
        if value is msgspec.UNSET or (field.required is False and value == _default(field)):
            continue
        fields[field.encode_name] = told(value) if isinstance(value, msgspec.Struct) else value
    return fields


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _several(value: Any) -> Any:
    return value if isinstance(value, tuple | list) else (value,)


def word(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def checked(answer: "Answer") -> bytes:
    """The body of a good answer; anything else ends the command with the status that fits."""
    if answer.status < 300:
        if "json" not in answer.headers.get("Content-Type", "json"):
            raise Unreachable("something answers there, but it is not Drover", CHECK_ADDRESS)
        return answer.body
    try:
        problem = msgspec.json.decode(answer.body)
        detail, reason = str(problem["detail"]), str(problem["reason"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise Unreachable(
            f"something answers there with status {answer.status}, but not as Drover does",
            CHECK_ADDRESS,
        ) from None
    if answer.status >= 500 and problem.get("reference"):
        detail += f" [reference {problem['reference']}]"
    if answer.status == 401:
        raise LoginNeeded(detail, "drover login" if reason != "auth.wrong_password" else "", reason)
    remedy = REASONS[reason].remedy if reason in REASONS else ""
    if retry := answer.headers.get("Retry-After"):
        remedy += f" (after {retry} s)"
    kind = Unreachable if answer.status in {502, 503, 504} else Refused
    raise kind(detail, remedy, reason)
