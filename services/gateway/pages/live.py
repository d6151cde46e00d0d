"""The address of the live stream, and what a browser may ask of it."""

import msgspec
from aiohttp import web
from msgspec import Struct

from contracts import runs
from contracts.errors import Invalid
from contracts.hosts import Token
from contracts.kinds import Call, get
from contracts.people import Principal
from services.gateway.edge.problems import too_many
from services.gateway.routes import Page
from services.gateway.stream.follower import Wanted
from services.gateway.stream.viewer import Streams, Wish

MOST_STREAMS = 500
"""Per process; each may have some 3 MB waiting for its browser."""
MOST_STREAMS_EACH = 50
MOST_RUNS, MOST_OUTPUTS = 50, 20


class Watch(Struct, frozen=True, kw_only=True):
    """Events are named as in the reference, `jobs.run`, `jobs.outcomes` and `jobs.output`, and carry their messages.
    Of chosen hosts there are also `output` (run, host, task, offset, text), every byte once and in order, and
    `output.end`. A stream that begins, or cannot go on where it ended (`reset`), first says how each run stands."""

    runs: str
    """Ids, separated by commas."""
    output: str = ""
    """Hosts whose output to follow, as run:host or run:host:offset, separated by commas."""
    last_event_id: str = ""
    """The number of the last event that was received; browsers send it in the header Last-Event-ID."""


watch = Call(
    "gateway.stream",
    Watch,
    str,
    needs=runs.show.needs,
    http=get("/stream"),
    idempotent=True,
    summary="What happens to some runs, live, as server-sent events",
)


def pages(streams: Streams) -> list[Page]:
    async def handle(request: web.Request, wanted: Watch, principal: Principal) -> web.StreamResponse:
        if streams.count() >= MOST_STREAMS or streams.count(principal.name) >= MOST_STREAMS_EACH:
            raise too_many(5)
        last = request.headers.get("Last-Event-ID") or wanted.last_event_id
        return await streams.show(request, wish(wanted, last), principal)

    return [Page(watch, handle, media_type="text/event-stream")]


def wish(wanted: Watch, last: str) -> Wish:
    """Raises Invalid."""
    chosen = tuple(dict.fromkeys(_token(run) for run in wanted.runs.split(",")))
    outputs = tuple(dict.fromkeys(_output(each, chosen) for each in wanted.output.split(",") if each))
    if len(chosen) > MOST_RUNS or len(outputs) > MOST_OUTPUTS:
        raise Invalid("bus.malformed", f"One stream shows {MOST_RUNS} runs and the output of {MOST_OUTPUTS} hosts.")
    if last and not (last.isascii() and last.isdigit() and len(last) <= 18):
        raise Invalid("bus.malformed", "The last event's id is the number that the event had.")
    return Wish(chosen, outputs, int(last) if last else None)


def _output(text: str, chosen: tuple[str, ...]) -> Wanted:
    run, _, rest = text.partition(":")
    host, _, offset = rest.partition(":")
    if run not in chosen:
        raise Invalid("bus.malformed", "Output is followed of runs that the stream shows: run:host or run:host:offset.")
    if offset and not (offset.isascii() and offset.isdigit() and len(offset) <= 15):
        raise Invalid("bus.malformed", "The offset of an output is a number of bytes.")
    return Wanted(run, _token(host), int(offset or 0))


def _token(text: str) -> str:
    try:
        return msgspec.convert(text, Token)
    except msgspec.ValidationError:
        raise Invalid("bus.malformed", "Runs and hosts are named by their ids, separated by commas.") from None
