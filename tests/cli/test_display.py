"""What is printed: folded, safe on a terminal, unchanged for programs."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cli.display import printable
from cli.folding import fold, heading, in_words, labels
from contracts.runs import Counts, HostResult


def result(n: int, state: str = "succeeded", output_hash: str = "a", **more) -> HostResult:
    return HostResult(
        host=f"h-{n}",
        hostname=more.pop("hostname", f"web{n}"),
        ip="",
        idc="js",
        task="t",
        state=state,
        output_hash=output_hash,
        **more,
    )


def test_equal_results_fold_and_failures_come_first():
    results = [result(n) for n in range(9)] + [
        result(9, "failed", "b", exit_code=3),
        result(10, "lost", "", reason="task.silent"),
    ]
    found = fold(results)
    called = labels(results)
    assert [heading(each, called) for each in found] == [
        "1 host: failed, exit status 3: web9",
        "1 host: lost, The host accepted and was never heard of again (task.silent): web10",
        "9 hosts: succeeded: web0, web1, web2, web3, web4, web5, web6, web7, web8",
    ]


def test_what_differs_does_not_fold():
    differing = [
        result(1),
        result(2, output_hash="b"),
        result(3, "failed"),
        result(4, "failed", exit_code=1),
        result(5, tag="x"),
    ]
    assert len(fold(differing)) == len(differing)


@given(st.lists(st.tuples(st.sampled_from(["succeeded", "failed", "offline"]), st.sampled_from(["a", "b", ""]))))
def test_folding_keeps_every_host_once(kinds):
    results = [result(n, state, output) for n, (state, output) in enumerate(kinds)]
    found = fold(results)
    assert sorted(each.host for made in found for each in made.hosts) == sorted(each.host for each in results)
    goods = [made.good for made in found]
    assert goods == sorted(goods)


def test_hosts_of_a_fold_are_in_the_order_that_people_count():
    results = [result(n, hostname=name) for n, name in enumerate(("web10", "web2", "db"))]
    assert heading(fold(results)[0], labels(results)).endswith(": db, web2, web10")


def test_many_hosts_are_counted_and_hosts_of_one_name_told_apart():
    results = [result(n) for n in range(30)]
    assert heading(fold(results)[0], labels(results)).endswith("web11, and 18 more")
    twins = [result(1, hostname="same"), result(2, hostname="same"), result(3, hostname="")]
    assert labels(twins) == {"h-1": "same/h-1", "h-2": "same/h-2", "h-3": "/h-3"}


def test_counts_in_words_tell_the_worst_first():
    assert in_words(Counts(succeeded=5, timed_out=1, running=2)) == "1 timed out, 2 running, 5 succeeded"
    assert in_words(Counts()) == ""


def test_a_terminal_cannot_be_steered_by_a_host():
    assert printable("\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J") == "red\\x1b]0;title\\x07\\x9b2J"
    assert printable("10%\r20%\r\nend\n") == "10%\n20%\nend\n"


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text):
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", printable(text))
