#!/usr/bin/env python3
"""Database instances of this host, found among its processes: one JSON object a line. Standard library only.

An instance is named by its engine and port, so that it stays the same when its process starts anew.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PORTS = {"mysql": 3306, "mongod": 27017, "redis": 6379, "postgres": 5432}
ENGINES = {
    "mysqld": "mysql",
    "mariadbd": "mysql",
    "mongod": "mongod",
    "redis-server": "redis",
    "postgres": "postgres",
    "postmaster": "postgres",
}
LONG = re.compile(r"--?(port|datadir|dbpath|config|defaults-file|dir)(?:=(.*))?")
SHORT = {"-p": "port", "-D": "datadir", "-P": "port", "-f": "config"}
REDIS_TITLE = re.compile(r":(\d{1,5})(?:\s|$)")


def options(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, word in enumerate(words):
        behind = words[index + 1] if index + 1 < len(words) else ""
        long = LONG.fullmatch(word)
        if long:
            found[long[1]] = long[2] if long[2] is not None else behind
        elif word in SHORT:
            found[SHORT[word]] = behind
    return found


def instance(engine: str, words: list[str]) -> dict[str, object]:
    given = options(words)
    port = given.get("port", "")
    title = REDIS_TITLE.search(" ".join(words)) if engine == "redis" else None
    if title:
        port = title[1]
    number = int(port) if port.isdecimal() and len(port) < 6 else PORTS[engine]
    told: dict[str, object] = {"kind": "database", "name": f"{engine}:{number}", "engine": engine, "port": number}
    for ours, theirs in (("data", ("datadir", "dbpath", "dir")), ("config", ("config", "defaults-file"))):
        value = next((given[each] for each in theirs if given.get(each)), "")
        if value:
            told[ours] = value[:200]
    return told


def processes(root: Path) -> Iterator[tuple[int, list[str]]]:
    """Process id and command line, of those that are no child of the same engine."""
    for folder in root.iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words and words[0]:
                yield int(folder.name), [word for word in words if word]


def engine_of(words: list[str]) -> str:
    """Empty if it is none. PostgreSQL's own children name what they do, with a colon, where the command stands."""
    first = words[0].split()[0] if words[0].split() else ""
    return "" if first.endswith(":") else ENGINES.get(Path(first).name, "")


def main(root: Path = Path("/proc")) -> int:
    found: dict[object, dict[str, object]] = {}
    for number, words in processes(root):
        engine = engine_of(words)
        if engine:
            told = instance(engine, words)
            found.setdefault(told["name"], {**told, "pid": number})
    for each in found.values():
        print(json.dumps(each))
    return 0


if __name__ == "__main__":
    sys.exit(main())
