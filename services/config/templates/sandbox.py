"""The program of the child process that compiles and renders what people wrote. It knows nothing of Drover.

It reads one batch (JSON) until the end of its input, writes one answer (JSON), and ends. It holds no credentials, is
nobody where it may become that, and has limits that it cannot lift: memory, CPU for each host and for all, no files and
connections, no processes. Variables are data: nothing that comes out of rendering is rendered again.

A batch is {"text", "hosts", "trees", "values", "global", "most_bytes", "quiet"}. Each host names its tree of variables
by index and brings what is its own; trees name their values by index, since most hosts share most of them. Without
"hosts" the template is only looked at. The answer is {"reads", "results", "error"}.
"""

import os
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import msgspec
from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace

NOBODY = 65534
MEMORY_BYTES = 512 * 1024 * 1024
OUTPUT_BYTES = 400 * 1024
HOST_CPU_S = 0.5
"""User time for one host. Python raises when it is over, which still tells the line."""
KILL_CPU_S = 0.8
"""A single operation that never comes back to Python is ended by the kernel."""
ENOUGH_S = 3.0
"""A batch that took so long, on whatever machine, goes back with what it has; the rest is another batch."""
BATCH_CPU_S = 8
FILE = "<template>"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

Answer = dict[str, Any]
LOADS = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
EXPENSIVE = (MemoryError, OverflowError, RecursionError)


class TooExpensive(Exception):
    """The CPU time of one host is used up."""


class BadOutput(Exception):
    """What was rendered cannot be a file that we write."""


class Missing(StrictUndefined):
    """Any use of it is an error, whose message is the bare name."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or str(self._undefined_name)


class Sandbox(ImmutableSandboxedEnvironment):
    def __init__(self) -> None:
        super().__init__(undefined=Missing, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)
        self.globals = {"range": safe_range, "dict": dict, "namespace": Namespace}
        del self.filters["random"]  # the same variables always give the same file

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`region.items` is the variable of that name; methods of mappings are found where no key is in their way."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def main() -> None:
    warm_up()
    give_up_rights()
    data = sys.stdin.buffer.read()
    if data:
        sys.stdout.buffer.write(msgspec.json.encode(answer(msgspec.json.decode(data))))


def warm_up() -> None:
    """Do once what a batch will do: Python loads much only when it is used first, and later it has no files."""
    signal.signal(signal.SIGVTALRM, out_of_time)
    text = "{{ 'a' ~ a|upper ~ a|pprint ~ a|striptags ~ a|urlize }}\n{{ b }}"
    answer({"text": text, "values": [1], "trees": [{"a": 0}], "hosts": [{"tree": 0, "own": {}}]})


def give_up_rights() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, BATCH_CPU_S),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def out_of_time(_: int, __: FrameType | None) -> None:
    raise TooExpensive


def give_time() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, HOST_CPU_S)
    signal.setitimer(signal.ITIMER_PROF, KILL_CPU_S)


def answer(batch: Mapping[str, Any]) -> Answer:
    """Raises nothing for anything that a template can do."""
    sandbox, reads, quiet = Sandbox(), list[Answer](), batch.get("quiet", False)
    give_time()
    try:
        refuse_carriage_returns(batch["text"])
        tree = sandbox.parse(batch["text"])
        reads = list(read_by(tree, sandbox))
        refuse_loading(tree)
        template = sandbox.from_string(batch["text"])
    except Exception as error:
        return {"reads": reads, "results": [], "error": problem(error, reads, quiet)}
    return {"reads": reads, "results": list(rendered(template, batch, reads)), "error": None}


def rendered(template: Template, batch: Mapping[str, Any], reads: Sequence[Answer]) -> Iterator[Answer]:
    """One result for each host, until they hold as much, or took as long, as is enough; the first one in any case."""
    values, common, quiet = batch.get("values", ()), batch.get("global", {}), batch.get("quiet", False)
    trees = [{name: values[index] for name, index in tree.items()} for tree in batch.get("trees", ())]
    left, until = batch.get("most_bytes", OUTPUT_BYTES), time.monotonic() + ENOUGH_S
    for host in batch.get("hosts", ()):
        give_time()
        try:
            text = checked(template.render({**trees[host["tree"]], **host["own"], "global": common}))
        except Exception as error:
            found = problem(error, reads, quiet)
            yield {"text": None, "error": found}
            if found["kind"] == "expensive":
                return  # it would be so for the next host as well
            continue
        left -= len(text)
        yield {"text": text, "error": None}
        if left <= 0 or time.monotonic() > until:
            return


def checked(text: str) -> str:
    if len(text) > OUTPUT_BYTES or len(text.encode()) > OUTPUT_BYTES:
        raise BadOutput(f"the result is larger than {OUTPUT_BYTES // 1024} KiB")
    if found := CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise BadOutput(f"line {line} of the result has the control character U+{ord(found[0]):04X}")
    return text


def refuse_carriage_returns(text: str) -> None:
    """Jinja would make line feeds of them and tell nobody."""
    if "\r" in text:
        message = "there is a carriage return; lines of a template end with a line feed alone (dos2unix makes it so)"
        raise TemplateSyntaxError(message, text.count("\n", 0, text.index("\r")) + 1)


def refuse_loading(tree: nodes.Template) -> None:
    if found := next(tree.find_all(LOADS), None):
        raise TemplateSyntaxError("a template cannot load another one", found.lineno)


def problem(error: Exception, reads: Sequence[Answer], quiet: bool) -> Answer:
    """`quiet` leaves out texts that could repeat a value."""
    line = line_of(error)
    found: Answer = {"kind": "failed", "line": line, "name": "", "message": type(error).__name__}
    if isinstance(error, TemplateSyntaxError):
        found |= {"kind": "syntax", "line": error.lineno, "message": str(error.message)[:300]}
    elif isinstance(error, SecurityError):
        found |= {"kind": "refused", "message": str(error)[:300]}
    elif isinstance(error, UndefinedError):
        found |= {"kind": "undefined", **undefined(str(error)[:300], line, reads, quiet)}
    elif isinstance(error, BadOutput):
        found |= {"kind": "output", "message": str(error)}
    elif isinstance(error, (TooExpensive, *EXPENSIVE)):
        found |= {"kind": "expensive"}
    elif not quiet:
        found |= {"message": f"{type(error).__name__}: {error}"[:300]}
    return found


def undefined(message: str, line: int, reads: Sequence[Answer], quiet: bool) -> Answer:
    """The whole path of the variable that was missing, if the template reads one of that name on this line."""
    path = next((each["path"] for each in reads if each["line"] == line and each["path"][-1] == message), None)
    if path or message.isidentifier():
        name = ".".join(path or [message])
        # A name that does not stand in the template may have been a value.
        return {"name": name, "message": f"{name} is undefined"} if path or not quiet else {}
    return {} if quiet else {"message": message}


def line_of(error: Exception) -> int:
    line, frames = 0, error.__traceback__
    while frames is not None:
        if frames.tb_frame.f_code.co_filename == FILE:
            line = frames.tb_lineno
        frames = frames.tb_next
    return line


def read_by(tree: nodes.Template, sandbox: Sandbox) -> Iterator[Answer]:
    """Every path of variables that the template reads from outside, with its line, in the order of the text."""
    outside = meta.find_undeclared_variables(tree) - sandbox.globals.keys()
    for node, optional in visited(tree, optional=False):
        path = path_of(node)
        if path and path[0] in outside:
            yield {"path": path, "line": node.lineno, "optional": optional}


def visited(node: nodes.Node, *, optional: bool) -> Iterator[tuple[nodes.Node, bool]]:
    """Names and longest paths; what is only asked for with `default` or `is defined` may be absent."""
    if path_of(node):
        yield node, optional
        return
    asked = None
    if isinstance(node, nodes.Filter | nodes.Test) and node.name in {"default", "d", "defined", "undefined"}:
        asked = node.node
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        # The last part is the name of a method.
        yield from visited(node.node.node, optional=optional)
        asked = node.node
    for child in node.iter_child_nodes():
        if child is not asked:
            yield from visited(child, optional=optional)
        elif not isinstance(node, nodes.Call):
            yield from visited(child, optional=True)


def path_of(node: nodes.Node) -> list[str]:
    """`a.b['c']` → a, b, c; nothing for what is no plain path."""
    if isinstance(node, nodes.Name):
        return [node.name] if node.ctx == "load" else []
    if isinstance(node, nodes.Getattr):
        before, last = path_of(node.node), node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        before, last = path_of(node.node), node.arg.value
    else:
        return []
    return [*before, last] if before else []


if __name__ == "__main__":
    main()
