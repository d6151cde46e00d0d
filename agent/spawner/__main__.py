"""`python -S -m agent.spawner --socket PATH`: start the spawner in the background, unless one listens there already."""

import argparse
import sys

from agent.spawner.subreaper import detach


def main() -> int:
    parser = argparse.ArgumentParser(prog="agent.spawner", description=__doc__)
    parser.add_argument("--socket", required=True, help="unix socket, in a folder of mode 0700")
    parser.add_argument(
        "--cgroup", choices=("auto", "off"), default="auto", help="a cgroup v2 for each task if possible"
    )
    parser.add_argument("--linger", type=float, default=300.0, help="seconds to stay without agent and task")
    parser.add_argument("--sync", action="store_true", help="exit records survive a power cut (one fsync each)")
    given = parser.parse_args()
    if detach(given.socket, cgroup=given.cgroup, linger_s=given.linger, sync=given.sync):
        return 0
    print("The spawner did not start; its log says why.", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
