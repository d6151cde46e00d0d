"""What is done about one host, decided without clock or network."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.agents import MAX_START_WINDOW_S, TaskState, Verb
from contracts.states import Live, Outcome
from services.jobs.dispatch.part import Doing, Part, Patience, Terms, next_step
from services.jobs.runs.model import Target

PATIENCE = Patience(silence_s=120, start_margin_s=30, clock_skew_s=240)


def terms(wait_s=15, duration_s=60, stop_s=10, began=0.0, **more):
    return Terms(
        deadline=began + wait_s, wait_s=wait_s, duration_s=duration_s, stop_s=stop_s, patience=PATIENCE, since=began, **more
    )  # fmt: skip


def part():
    return Part(Target(id="h", idc="js", ip="", hostname="", box_key=""))


class Story:
    """Plays next_step against a clock, and notes what was done."""

    def __init__(self, given_terms, the_part=None, now=0.0):
        self.terms, self.part, self.now = given_terms, the_part or part(), now
        self.sent, self.not_after = [], []
        self.end = None
        self.turns = 0

    def turn(self):
        """One decision; the time of the next, or None at the end."""
        self.turns += 1
        step = next_step(self.part, self.terms, self.now)
        if step.doing is Doing.CONCLUDE:
            self.end = (step.outcome, step.reason)
            return None
        if step.doing is Doing.SEND:
            end = self.terms.not_after(self.now) if step.verb is Verb.RUN else self.part.unsure
            self.sent.append((self.now, step.verb))
            self.not_after.append(end)
            self.part.sent(self.now, end, 1.0)
            return self.part.due
        return step.until

    def until_end(self, most=100_000.0, answers=lambda story: None):
        """Go on to the verdict; `answers` plays the host after every send."""
        while self.now < most:
            sends = len(self.sent)
            following = self.turn()
            if following is None:
                return self.end
            if len(self.sent) > sends:
                answers(self)
                continue
            if following == inf:
                return None
            assert following >= self.now, "time does not go back"
            self.now = max(following, self.now + 0.001)
            assert self.turns < 5000, "it spins"
        return None


def away(story):
    story.part.nobody_there(story.now, 1.0)


def test_a_host_that_does_not_answer_is_asked_again_after_2_5_15_and_30_seconds():
    story = Story(terms(wait_s=300))

    story.until_end(most=100)

    assert [when for when, _ in story.sent] == pytest.approx([0, 2, 7, 22, 52], abs=0.1)


def test_a_host_that_is_away_counts_as_offline_at_the_deadline_and_nothing_spins():
    story = Story(terms(wait_s=15))

    assert story.until_end(answers=away) == (Outcome.OFFLINE, "host.offline")
    assert story.now == pytest.approx(15, abs=0.1)
    assert len(story.sent) == 1


def test_without_waiting_a_host_that_is_away_is_offline_at_once():
    story = Story(terms(wait_s=0))

    assert story.until_end(answers=away) == (Outcome.OFFLINE, "host.offline")
    assert story.now < 0.1


def test_a_silent_host_is_not_called_offline_while_a_grant_may_still_start_there():
    story = Story(terms(wait_s=15))

    assert story.until_end() == (Outcome.OFFLINE, "host.offline")
    assert story.now >= max(story.not_after) + PATIENCE.clock_skew_s


def test_a_503_takes_back_only_the_send_that_it_answers():
    story = Story(terms(wait_s=15))
    story.turn()
    first = story.not_after[0]
    story.now = 5.0
    story.turn()

    away(story)

    assert story.part.unsure == first
    assert story.part.state == Live.SENT


def test_a_503_long_after_a_send_says_nothing_of_it():
    story = Story(terms(wait_s=15))
    story.turn()
    story.now = 5.0

    away(story)

    assert story.part.unsure == story.not_after[0]
    assert story.until_end() == (Outcome.OFFLINE, "host.offline")
    assert len(story.sent) == 1, "past the deadline a host that is away is not asked again"


def test_past_the_deadline_a_refusal_is_believed_at_once():
    story = Story(terms(wait_s=15))
    story.now = 14.5
    story.turn()
    story.part.refuses("task.spool_full", "full", 14.5)
    story.part.due = story.now = 16.0

    assert next_step(story.part, story.terms, 16.0).doing is Doing.CONCLUDE


def test_a_host_that_comes_back_is_asked_as_often_as_at_first():
    story = Story(terms(wait_s=3600))
    for _ in range(4):
        story.now = max(story.now, story.part.due)
        story.turn()
    away(story)
    story.part.back()

    story.turn()

    assert story.part.due - story.now == 2.0


def test_hello_brings_the_command_at_once():
    story = Story(terms(wait_s=3600))
    story.turn()
    away(story)
    story.now = 100.0
    assert next_step(story.part, story.terms, 10.0).doing is Doing.WAIT

    story.part.back()

    assert next_step(story.part, story.terms, story.now).doing is Doing.SEND


def test_a_grant_lasts_no_longer_than_agents_allow_nor_than_the_deadline_and_its_margin():
    assert terms(wait_s=3600).not_after(0.0) < MAX_START_WINDOW_S
    assert terms(wait_s=15).not_after(0.0) == 15 + PATIENCE.start_margin_s
    assert terms(wait_s=3600).not_after(3599.0) == 3600 + PATIENCE.start_margin_s


def test_an_accepted_host_that_stays_silent_is_lost_after_its_time_out_and_was_asked_before():
    story = Story(terms(duration_s=60))
    story.turn()
    story.part.says(TaskState.ACCEPTED, story.now)

    assert story.until_end() == (Outcome.LOST, "task.silent")
    assert story.now >= 60 + PATIENCE.silence_s
    assert len(story.sent) > 1


def test_heartbeats_that_list_the_task_keep_it_alive():
    story = Story(terms(duration_s=60))
    story.turn()
    story.part.says(TaskState.ACCEPTED, 0.0)

    for now in range(0, 10_000, 60):
        story.part.says(TaskState.RUNNING, float(now))
        assert next_step(story.part, story.terms, float(now)).doing is not Doing.CONCLUDE


def test_silence_while_we_were_cut_off_ourselves_is_not_the_hosts():
    cut_off = terms(wait_s=15, duration_s=60)
    accepted, unheard = part(), part()
    accepted.says(TaskState.RUNNING, 1.0)
    cut_off.since = 5000.0

    assert next_step(accepted, cut_off, 5001.0).doing is Doing.SEND
    assert next_step(unheard, cut_off, 5001.0).doing is Doing.SEND


def test_a_refusal_is_tried_again_until_the_deadline_and_then_believed():
    story = Story(terms(wait_s=15))

    def refuse(told):
        told.part.refuses("task.spool_full", "full", told.now)

    assert story.until_end(answers=refuse) == (Outcome.REFUSED, "task.spool_full")
    assert len(story.sent) > 1
    assert story.now == pytest.approx(15, abs=0.1)


def test_a_refusal_that_passes_is_forgotten():
    story = Story(terms(wait_s=15))
    story.turn()
    story.part.refuses("task.spool_full", "full", 0.0)
    story.part.says(TaskState.ACCEPTED, 2.0)

    assert next_step(story.part, story.terms, 16.0).doing is Doing.WAIT


def test_a_host_that_never_got_the_command_is_cancelled_by_a_stop():
    never, was_away = part(), Story(terms(wait_s=3600))
    was_away.turn()
    away(was_away)

    for each in (never, was_away.part):
        step = next_step(each, terms(wait_s=3600, stopped_at=1.0), 1.0)
        assert (step.doing, step.outcome) == (Doing.CONCLUDE, Outcome.CANCELLED)


def test_a_host_that_may_have_the_command_gets_a_cancel_until_it_answers():
    story = Story(terms(wait_s=15))
    story.turn()
    story.terms.stopped_at = story.now = 1.0
    story.part.due = 1.0

    assert story.turn() is not None
    assert story.sent[-1] == (1.0, Verb.CANCEL)
    assert story.until_end() == (Outcome.OFFLINE, "host.offline")
    assert story.now >= max(story.not_after) + PATIENCE.clock_skew_s


def test_an_accepted_host_gets_a_cancel_until_it_answers_and_then_none():
    story = Story(terms(duration_s=10_000, stopped_at=0.0))
    story.part.says(TaskState.RUNNING, 0.0)
    story.part.due = 0.0
    for _ in range(3):
        story.now = story.part.due
        story.turn()
    assert [verb for _, verb in story.sent] == [Verb.CANCEL] * 3

    story.part.cancel_answered(story.now)

    assert next_step(story.part, story.terms, story.now).doing is Doing.WAIT


def test_a_host_that_never_says_how_its_stop_went_is_lost():
    story = Story(terms(wait_s=15, duration_s=10_000, stop_s=10, stopped_at=0.0))
    story.part.says(TaskState.RUNNING, 0.0)
    story.part.due = 0.0

    assert story.until_end(answers=away) == (Outcome.LOST, "task.silent")
    assert story.now < 1000


def test_a_report_wins_over_a_verdict_whichever_comes_first():
    first, second = part(), part()
    assert first.ends(Outcome.OFFLINE, report=False)
    assert first.ends(Outcome.SUCCEEDED, report=True)
    assert second.ends(Outcome.SUCCEEDED, report=True)
    assert second.ends(Outcome.OFFLINE, report=False)

    assert first.state == second.state == Outcome.SUCCEEDED
    assert not first.ends(Outcome.SUCCEEDED, report=True), "known"


def refuse_send(story):
    story.part.refuses("grant.expired", "", story.now)


def accept(story):
    story.part.says(TaskState.RUNNING, story.now)


def stop(story):
    if story.terms.stopped_at is None:
        story.terms.stopped_at, story.part.sends, story.part.due = story.now, 0, story.now


def reconnect(story):
    story.terms.since = story.now
    if not story.part.accepted:
        story.part.back()


def come_back(story):
    story.part.back()


def nothing(_):
    pass


REACHED_NOBODY = {away, refuse_send}
EVENTS = st.lists(
    st.tuples(st.floats(0.001, 400), st.sampled_from([away, refuse_send, accept, stop, reconnect, come_back, nothing])),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.sampled_from([0, 15, 600, 86_400]), st.integers(1, 1000))
def test_every_host_comes_to_an_end_and_offline_is_never_said_while_something_may_start(events, wait_s, duration_s):
    story = Story(terms(wait_s=wait_s, duration_s=duration_s))
    may_start = [-inf]

    def happen(_):
        wait, what = events.pop() if events else (0.0, nothing)
        what(story)
        if what not in REACHED_NOBODY and story.sent[-1][1] is Verb.RUN:
            may_start.append(story.not_after[-1])
        story.now += wait

    end = story.until_end(most=1e6, answers=happen)

    assert end is not None
    assert story.part.accepted == (end[0] is Outcome.LOST)
    if end[0] is not Outcome.LOST:
        assert story.now >= max(may_start) + PATIENCE.clock_skew_s


def test_a_host_that_is_heard_only_after_the_stop_gets_the_cancel_again_soon():
    story = Story(terms(wait_s=3600, duration_s=86_400))
    story.turn()
    story.terms.stopped_at, story.part.sends, story.part.due = 1.0, 0, 1.0
    story.now = 1.0
    story.turn()
    story.part.says(TaskState.RUNNING, 1.5)  # the answer to the command to run; that to the cancel is lost

    story.until_end(most=60)

    assert [verb for _, verb in story.sent[:3]] == [Verb.RUN, Verb.CANCEL, Verb.CANCEL]
    assert story.sent[2][0] < 10
