"""The entry point of `drover` and `python -m cli`."""

import io
import sys

from cli.exits import Exit


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # output of hosts holds characters that a locale may lack
    try:
        from cli.app import PROGRAM, drover

        drover(prog_name=PROGRAM)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)


if __name__ == "__main__":
    main()
