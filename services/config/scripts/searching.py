"""Finding a text in texts. Pure."""

from collections.abc import Iterable, Mapping

from contracts.script_search import FoundLine, FoundScript
from contracts.scripts import Script

LINES = 5
"""Shown of each version."""
LONGEST_LINE = 200


def named(script: Script, wanted: str) -> bool:
    """`wanted` is casefolded."""
    return any(wanted in each.casefold() for each in (script.name, script.description, *script.tags))


def found(script: Script, texts: Mapping[int, str], wanted: str) -> FoundScript | None:
    """Version → text; `wanted` is casefolded. None if it is nowhere."""
    lines: list[FoundLine] = []
    count = 0
    for version, text in sorted(texts.items(), reverse=True):
        hits = [(number, line) for number, line in enumerate(text.splitlines(), 1) if wanted in line.casefold()]
        count += len(hits)
        lines += [FoundLine(version=version, line=number, text=line[:LONGEST_LINE]) for number, line in hits[:LINES]]
    if not count and not named(script, wanted):
        return None
    return FoundScript(script=script, lines=lines, count=count)


def all_found(scripts: Iterable[tuple[Script, Mapping[int, str]]], wanted: str) -> list[FoundScript]:
    wanted = wanted.casefold()
    return [hit for script, texts in scripts if (hit := found(script, texts, wanted)) is not None]
