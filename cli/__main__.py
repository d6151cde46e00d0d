"""The entry point of `drover` and `python -m cli`. Whatever takes time to import is imported where Ctrl-C is caught."""

import io
import sys

INTERRUPTED = 130
"""As in cli.exits, whose import may be what was interrupted."""


def main() -> None:
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # output of hosts holds characters that a locale may lack
        from cli.app import PROGRAM, drover

        drover(prog_name=PROGRAM)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
