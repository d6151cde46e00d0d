"""A small process beside the agent process that starts tasks, outlives the agent, and ends what a task started.

Every task is its child and everything a task starts stays below it, because it is a child subreaper. So the agent may
crash or be upgraded while scripts run: it finds the spawner again through a unix socket (`agent.spawning`) and the
ends of tasks in their exit records. Standard library only, and little of it: it runs with `python -S` on every host,
and `dataclasses`, `typing`, `asyncio` or `ctypes` alone would cost 1 to 10 MB.

    protocol     what crosses the socket, and the exit record          model, pure
    procfs       what /proc says, as text and as a snapshot            parsing pure, reading apart
    belonging    which processes of a snapshot are a task's            pure
    accounts     who the task runs as, with what environment
    cgroup       a cgroup v2 for each task, where the host lets us
    marks        a number that everything a task starts inherits
    launch       one posix_spawn, with everything that must be right about it
    tasks, known what is known about each task, and its one ending
    signals      to exactly the process that was meant
    ending       time-outs and stops: TERM, grace, KILL, and proof
    connections  bytes to requests and back
    serve, loop  the event loop that holds these together
    subreaper    how the process becomes what it is, and stays small

Promises and limits:

- A key (host, task) is run at most once: a second order is refused, and so is any order for a folder that already has
  an output file, even by another spawner.
- After a normal end, processes that the script left behind on purpose (a daemon it started) are left alone.
- `stopped` and `timed_out` are said only when nothing of the task is left. Work that a script hands to another
  service (systemd, cron, at, a container daemon) is not the task's any more and is out of reach.
- Needs Linux 5.3 or newer (pidfd); cgroups need 5.14 (cgroup.kill).
"""
