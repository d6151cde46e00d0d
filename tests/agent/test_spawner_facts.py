"""The pure parts of the spawner: what /proc says, and whose a process is."""

import os
import socket

import pytest

from agent.spawner.belonging import FINISHED, below, sort_out
from agent.spawner.connections import Connection, Lost
from agent.spawner.marks import Marks
from agent.spawner.procfs import (
    Process,
    now_ticks,
    parse_cgroup2_mount,
    parse_cgroup_v2,
    parse_limit,
    parse_stat,
    process,
    variable,
)

STAT = b"42 (%b) %b 7 42 41 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 %d 0 1234 2 3 4"


@pytest.mark.parametrize("name", [b"sh", b"a b", b") R 1 (", b"\xff\n"])
def test_a_stat_line_is_read_whatever_the_program_calls_itself(name: bytes) -> None:
    seen = parse_stat(STAT % (name, b"S", 1))
    assert (seen.pid, seen.parent, seen.session, seen.start, seen.zombie) == (42, 7, 41, 1234, False)


@pytest.mark.parametrize(
    ("state", "threads", "zombie"), [(b"Z", 1, True), (b"Z", 0, True), (b"Z", 2, False), (b"X", 0, True)]
)
def test_a_zombie_has_no_thread_left(state: bytes, threads: int, zombie: bool) -> None:
    assert parse_stat(STAT % (b"sh", state, threads)).zombie is zombie


def test_our_own_line_fits() -> None:
    me = process(os.getpid())
    assert me is not None
    assert (me.pid, me.parent, me.session, me.zombie) == (os.getpid(), os.getppid(), os.getsid(0), False)
    assert 0 < me.start <= now_ticks()


@pytest.mark.parametrize(
    ("environ", "value"),
    [(b"A=1\0B=2\0", "2"), (b"B=2\0", "2"), (b"B=2", "2"), (b"AB=3\0", ""), (b"A=B=2\0", ""), (b"B=\0", ""), (b"", "")],
)
def test_a_variable_is_found_by_its_whole_name(environ: bytes, value: str) -> None:
    assert variable(environ, "B") == value


def test_limits_cgroups_and_mounts_are_read() -> None:
    limits = b"Limit   Soft Limit   Hard Limit\nMax cpu time    unlimited  unlimited seconds\nMax realtime timeout 77  unlimited us\n"
    assert parse_limit(limits, b"Max realtime timeout") == 77
    assert parse_limit(limits, b"Max cpu time") is None
    assert parse_limit(b"", b"Max cpu time") is None
    assert parse_cgroup_v2("8:pids:/x\n0::/drover/1-2/7\n") == "/drover/1-2/7"
    assert parse_cgroup_v2("8:pids:/x\n") is None
    assert (
        parse_cgroup2_mount(
            "40 31 0:37 / /sys/fs/cgroup/x rw - cgroup cgroup rw\n41 31 0:38 / /a\\040b rw shared:1 - cgroup2 none rw\n"
        )
        == "/a b"
    )
    assert parse_cgroup2_mount("") is None


def test_marks_of_two_spawners_differ() -> None:
    one, other = Marks(), Marks()
    assert one.ours(one.next()) and one.next() != one.next()
    assert not one.ours(other.next())
    assert not one.ours(2**64 - 1) and not one.ours(-1)


def tree(*lines: tuple[int, int]) -> dict[int, Process]:
    return {pid: Process(pid, parent, pid, 100, False) for pid, parent in lines}


def test_a_childs_owner_is_its_parents_and_nobody_else_is_asked() -> None:
    processes = tree((10, 1), (11, 10), (12, 11), (13, 12), (20, 10), (21, 20), (30, 10), (40, 1))
    asked = []

    def witness(process: Process) -> object:
        asked.append(process.pid)
        return {11: "task", 20: FINISHED}.get(process.pid)

    owned = sort_out(processes, 10, witness)  # type: ignore[arg-type]
    assert owned.owners == {11: "task", 12: "task", 13: "task", 20: FINISHED, 21: FINISHED}
    assert [orphan.pid for orphan in owned.orphans] == [30]
    assert sorted(asked) == [11, 20, 30]


def test_a_dead_orphan_is_nobodys_worry() -> None:
    processes = {11: Process(11, 10, 11, 100, True)}
    assert sort_out(processes, 10, lambda _: None).orphans == []


def test_descendants_come_parents_first() -> None:
    processes = tree((5, 1), (4, 5), (3, 4), (2, 5))
    order = [process.pid for process in below(processes, 5)]
    assert sorted(order) == [2, 3, 4] and order.index(4) < order.index(3)


def test_a_connection_keeps_half_lines_and_ends_endless_ones() -> None:
    here, there = socket.socketpair()
    connection = Connection(here)
    assert connection.pid == os.getpid()
    assert connection.lines() == []
    there.sendall(b"one\ntw")
    assert connection.lines() == [b"one"]
    there.sendall(b"o\n")
    assert connection.lines() == [b"two"]
    with pytest.raises(Lost, match="too long"):
        while True:
            there.sendall(b"x" * 65536)
            connection.lines()
    there.close()
    with pytest.raises(Lost):
        while True:
            connection.lines()
    connection.close()
