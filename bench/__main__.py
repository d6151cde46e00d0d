"""`python -m bench [name …]`: the named measurements, or all of them, one after the other."""

import signal
import subprocess
import sys

NAMES = ("fleet", "plane", "ingest", "idle", "targets")


def main() -> None:
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    if unknown := set(names) - set(NAMES):
        raise SystemExit(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    failed = [name for name in names or NAMES if _run(name) != 0]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _run(name: str) -> int:
    # A process each: one that failed takes nothing with it, and none measures what another left in memory.
    process, interrupted = subprocess.Popen([sys.executable, "-m", f"bench.{name}"]), False
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches the whole group; the measurement ends its own servers first.
            interrupted = True
            continue
        if interrupted:
            raise SystemExit(128 + signal.SIGINT)
        return status


if __name__ == "__main__":
    main()
