"""One host's part in a wave, and what to do about it next. Pure: times are seconds of one clock and are passed in.

When may a host be called `offline`? Only when nothing can start on it any more. A send that the server answered with
503 reached nobody. Any other send may have reached the host even if its answer was lost, and may start as long as
its grant lasts, by a clock that may be wrong; until then nobody can be sure. A grant lives at most `start_margin_s`
beyond the deadline, so that this ends. The report of a host that began all the same wins over the verdict.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import NamedTuple

from contracts.agents import MAX_START_WINDOW_S, TaskState, Verb
from contracts.runs import Refusal
from contracts.states import Live, Outcome
from services.jobs.runs.model import Target

RESEND_S = (2.0, 5.0, 15.0, 30.0, 60.0)
SWEEP_S = 60.0
"""A host that is away is asked again so often, in case its hello was lost."""
JUST_NOW_S = 2.0
"""A 503 comes within milliseconds, so it speaks of what was sent so recently."""
RECONNECT_S = 15.0
"""Hosts get at least so long to answer after this instance took the run or reconnected, if the run waits at all."""

START_WINDOW_S = MAX_START_WINDOW_S - 10
"""Agents refuse a grant that lasts longer than the contract says, and clocks and floats are not exact."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    silence_s: float
    start_margin_s: float
    clock_skew_s: float


@dataclass(kw_only=True)
class Terms:
    """What holds for all hosts of a wave."""

    deadline: float
    """Hosts that are away may come back until then."""
    wait_s: float
    duration_s: float
    """The longest a script may take: time-out and grace."""
    stop_s: float
    """The longest it may take to stop it."""
    patience: Patience
    since: float
    """When this instance took the run, or when its connection last came back: before that it heard nothing."""
    stopped_at: float | None = None

    def until(self) -> float:
        """The deadline for hosts that never answered."""
        return max(self.deadline, self.since + min(self.wait_s, RECONNECT_S))

    def last_start(self) -> float:
        return self.until() + self.patience.start_margin_s

    def not_after(self, now: float) -> float:
        """How long a grant made now may last."""
        return min(now + START_WINDOW_S, max(self.last_start(), now))


class Doing(Enum):
    SEND = "send"
    CONCLUDE = "conclude"
    WAIT = "wait"


class Step(NamedTuple):
    doing: Doing
    verb: Verb = Verb.RUN
    until: float = inf
    """WAIT: look again then."""
    outcome: Outcome = Outcome.OFFLINE
    reason: str = ""
    message: str = ""


@dataclass(eq=False, slots=True)
class Part:
    target: Target
    state: str = Live.PENDING
    """A word of Live, then of Outcome."""
    sends: int = 0
    """Since the last sign of life."""
    due: float = 0.0
    sent_at: float = -inf
    away_at: float = -inf
    """When the server last said that nobody is there."""
    grant_until: float = -inf
    """End of the last grant sent, until it is known that it reached nobody."""
    unsure_until: float = -inf
    """End of the longest of the grants before that."""
    accepted_at: float = -inf
    heard_at: float = -inf
    cancel_heard: bool = False
    refused: tuple[str, str] | None = None
    """Reason and message with which the host refused the last send. It keeps nothing of it, and may take the next."""
    reported: bool = False
    concluded: bool = False
    """A verdict was given."""
    wake_at: float = inf
    """When the ticker looks at it next."""

    @property
    def ended(self) -> bool:
        return self.state in _OUTCOMES

    @property
    def accepted(self) -> bool:
        return self.accepted_at > -inf

    @property
    def unsure(self) -> float:
        """Until when something that was sent may start."""
        return max(self.grant_until, self.unsure_until)

    def sent(self, now: float, not_after: float, jitter: float) -> None:
        """`jitter` stretches the wait for an answer, around 1."""
        self.unsure_until = self.unsure
        self.grant_until = not_after
        self.sent_at = now
        self.due = now + RESEND_S[min(self.sends, len(RESEND_S) - 1)] * jitter
        self.sends += 1
        if self.state == Live.PENDING:
            self.state = Live.SENT

    def nobody_there(self, now: float, jitter: float) -> None:
        """The server knows of nobody who listens for this host."""
        self.away_at = now
        self.due = now + SWEEP_S * jitter
        self.sends = 0
        if now - self.sent_at <= JUST_NOW_S:
            self.grant_until = -inf
        if self.state == Live.SENT and self.unsure == -inf:
            self.state = Live.PENDING

    def back(self) -> None:
        """The host is there again and does not have the task: send at once."""
        self.away_at = -inf
        self.sends = 0
        self.due = -inf

    def says(self, state: TaskState, now: float) -> None:
        """The host has the task, and where it stands."""
        self.heard_at = now
        self.away_at = -inf
        if not self.accepted:
            self.accepted_at = now
            self.sends = 0
            self.due = inf
        if not self.ended:
            self.state = Live.ACCEPTED if state is TaskState.ACCEPTED else Live.RUNNING

    def cancel_answered(self, now: float) -> None:
        self.heard_at = now
        self.cancel_heard = True
        self.due = inf

    def refuses(self, reason: str, message: str, now: float) -> None:
        self.heard_at = now
        self.away_at = -inf
        self.grant_until = -inf
        self.refused = (reason, message)

    def ends(self, outcome: Outcome, *, report: bool) -> bool:
        """Note an outcome that is in MongoDB; False if it was known. A report wins over a verdict."""
        known = self.reported if report else self.concluded
        if report or not self.reported:
            self.state = outcome
        self.reported, self.concluded = self.reported or report, self.concluded or not report
        return not known


_OUTCOMES = frozenset(Outcome)
_WAIT = Step(Doing.WAIT)


def next_step(part: Part, terms: Terms, now: float) -> Step:
    """What to do about this host now."""
    if part.ended:
        return _WAIT
    if part.accepted:
        return _watch(part, terms, now)
    return _reach(part, terms, now) if terms.stopped_at is None else _withdraw(part, terms, now)


def _reach(part: Part, terms: Terms, now: float) -> Step:
    """Nothing was heard: send until the deadline, then conclude once nothing can start."""
    until = terms.until()
    if part.due <= now and (now < until or _may_try(part, terms, now)):
        return Step(Doing.SEND)
    if now < until:
        return Step(Doing.WAIT, until=min(part.due, until))
    sure = part.unsure + terms.patience.clock_skew_s
    if now >= sure:
        return _offline(part)
    return Step(Doing.WAIT, until=min(sure, part.due if now < part.due < terms.last_start() else inf))


def refused(part: Part, refusal: Refusal) -> Step:
    """Nothing of the try is sent to any host."""
    if part.ended:
        return _WAIT
    return Step(Doing.CONCLUDE, outcome=Outcome.REFUSED, reason=refusal.reason, message=refusal.message)


def unsealable(part: Part, terms: Terms, now: float, jitter: float) -> Step:
    """Nothing can be sealed for this host. One without any key never enrolled, so there is nobody who could hear."""
    if not part.target.box_key:
        part.nobody_there(now, jitter)
        return next_step(part, terms, now)
    message = "Masked parameters and variables cannot be sealed for this host. Enrol it again."
    return Step(Doing.CONCLUDE, outcome=Outcome.REFUSED, reason="grant.unsealable", message=message)


def _may_try(part: Part, terms: Terms, now: float) -> bool:
    """Past the deadline: hosts that may be there are asked until the last start, others once."""
    if part.away_at > -inf or part.refused:
        return False
    return part.sends == 0 or now < terms.last_start()


def _offline(part: Part) -> Step:
    if part.refused:
        reason, message = part.refused
        return Step(Doing.CONCLUDE, outcome=Outcome.REFUSED, reason=reason, message=message)
    if part.unsure == -inf:
        message = "The host was away until the deadline. Nothing was started on it."
    else:
        message = (
            "The host did not answer until the deadline, and its grant has run out. If it began all the same, its "
            "report will replace this."
        )
    return Step(Doing.CONCLUDE, outcome=Outcome.OFFLINE, reason="host.offline", message=message)


def _withdraw(part: Part, terms: Terms, now: float) -> Step:
    """The run is being stopped before this host was heard."""
    if part.unsure == -inf:
        message = "The run was stopped before the script began."
        return Step(Doing.CONCLUDE, outcome=Outcome.CANCELLED, reason="task.cancelled", message=message)
    sure = max(terms.until(), part.unsure + terms.patience.clock_skew_s)
    if now >= sure:
        return _offline(part)
    if part.due <= now:
        return Step(Doing.SEND, Verb.CANCEL)
    return Step(Doing.WAIT, until=min(part.due, sure))


def _watch(part: Part, terms: Terms, now: float) -> Step:
    """The host has the task: wait for its report, ask when it is late, conclude when it stays silent."""
    end = part.accepted_at + terms.duration_s
    verb = Verb.RUN
    if terms.stopped_at is not None:
        verb = Verb.CANCEL
        end = min(end, terms.stopped_at + terms.wait_s + terms.stop_s)
        # No answer is due yet if the host was heard only after the stop: what it answered was the command to run.
        if not part.cancel_heard and (part.due <= now or part.due == inf):
            return Step(Doing.SEND, verb)
    lost = max(end, part.heard_at, terms.since) + terms.patience.silence_s
    if now >= lost:
        message = "The host accepted the script and was never heard of again. Nobody can know how it ended."
        return Step(Doing.CONCLUDE, outcome=Outcome.LOST, reason="task.silent", message=message)
    ask = end + terms.patience.silence_s / 4
    if now >= ask and (part.due <= now or (part.due == inf and now - part.heard_at >= terms.patience.silence_s / 4)):
        return Step(Doing.SEND, verb)
    later = part.due if part.due < inf else max(ask, part.heard_at + terms.patience.silence_s / 4)
    return Step(Doing.WAIT, until=max(min(later, lost), now))
