"""How a command ends: the exit status a script can rely on, and what a person reads on stderr."""

from enum import IntEnum

import click

from cli.display import talk


class Exit(IntEnum):
    SUCCEEDED = 0
    FAILED_HOSTS = 1
    USAGE = 2
    REFUSED = 3
    LOGIN = 4
    UNREACHABLE = 5
    STILL_RUNNING = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """As a shell reports a program that SIGPIPE ended: nobody reads stdout any more, and nothing is said."""


MEANINGS: dict[Exit, str] = {
    Exit.SUCCEEDED: "all hosts succeeded, or the command did what it was asked",
    Exit.FAILED_HOSTS: "some hosts of the run did not succeed, or were refused a change or an import; of `doctor` and"
    " `audit verify`: something is wrong",
    Exit.USAGE: "the command line is wrong; nothing was sent",
    Exit.REFUSED: "the server refused; reason, sentence and remedy are on stderr",
    Exit.LOGIN: "not logged in, or the token is no longer good",
    Exit.UNREACHABLE: "the server, or the service behind it, did not answer",
    Exit.STILL_RUNNING: "the run goes on; only watching ended at `--timeout`",
    Exit.INTERRUPTED: "Ctrl-C; a run that was being watched goes on",
    Exit.BROKEN_PIPE: "whoever read stdout went away",
}


class Ended(click.ClickException):
    """Ends the command with a sentence on stderr, and a second one that says what to do."""

    def __init__(self, message: str, remedy: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        self.reason = reason

    def show(self, file: object = None) -> None:
        talk(f"drover: {self.message}" + (f" ({self.reason})" if self.reason else ""))
        for line in self.remedy.splitlines():
            talk(f"  {line}")


class Refused(Ended):
    exit_code = Exit.REFUSED


class LoginNeeded(Ended):
    exit_code = Exit.LOGIN


class Unreachable(Ended):
    exit_code = Exit.UNREACHABLE


class StillRunning(Ended):
    exit_code = Exit.STILL_RUNNING
