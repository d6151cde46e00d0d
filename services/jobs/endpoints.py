"""Which contract each use case fulfils."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from contracts import runs
from contracts.agents import AgentCall, AskBody
from contracts.errors import Unavailable
from runtime.bus import AgentEndpoint, Endpoint, answer, answer_agent
from runtime.mongo import PyMongoError
from services.jobs.dispatch.bodies import BodyDesk
from services.jobs.output.service import OutputService
from services.jobs.results.service import ResultService
from services.jobs.runs.service import RunService

Handler = Callable[[Any, Any], Awaitable[Any]]


def endpoints(
    run: RunService, result: ResultService, output: OutputService, bodies: BodyDesk
) -> list[Endpoint | AgentEndpoint]:
    table: list[Endpoint | AgentEndpoint] = [
        answer(runs.start, run.start),
        answer(runs.list_runs, run.list),
        answer(runs.show, run.show),
        answer(runs.stop, run.stop),
        answer(runs.retry, run.retry),
        answer(runs.list_host_results, result.list),
        answer(runs.read_output, output.read),
        answer(runs.search_output, output.search),
        answer_agent(AgentCall.BODY, AskBody, bodies.piece),
    ]
    return [replace(each, handle=_with_database(each.handle)) for each in table]


def _with_database(handle: Handler) -> Handler:
    """A database that is away is nobody's mistake, and passes."""

    async def handled(request: Any, who: Any) -> Any:
        try:
            return await handle(request, who)
        except PyMongoError as error:
            raise Unavailable("storage.away", "The database does not answer now. Try again.") from error

    return handled
