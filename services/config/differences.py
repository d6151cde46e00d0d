"""What differs between two texts, as a unified diff that never takes long. Pure.

difflib's time grows with the cube of the lines for texts made for it (4 s for 8,000 lines). So equal lines at both ends
are set aside first, and where still too many are left, they are told as one block: all of the one, all of the other.
"""

import difflib
from collections.abc import Iterator, Sequence

MOST_LINES = 2000
CONTEXT = 3

Step = tuple[str, int, int, int, int]
"""What becomes of lines of the one and the other, as difflib's opcodes have it."""


def unified(before: str, after: str, before_name: str, after_name: str) -> str:
    """Empty if no line differs. Every line ends with a line feed, also where a text does not."""
    old, new = _lines(before), _lines(after)
    if old == new:
        return ""
    grouping = difflib.SequenceMatcher(None, "", "")
    grouping.opcodes = list(_steps(old, new))  # type: ignore[attr-defined]  # what get_opcodes() gives
    lines = [f"--- {before_name}", f"+++ {after_name}"]
    for group in grouping.get_grouped_opcodes(CONTEXT):
        lines += _hunk(group, old, new)
    return "".join(line + "\n" for line in lines)


def _lines(text: str) -> list[str]:
    """A carriage return is a part of its line: who compares files must see it."""
    return text.removesuffix("\n").split("\n") if text else []


def _steps(old: Sequence[str], new: Sequence[str]) -> Iterator[Step]:
    start = _equal_at_start(old, new)
    tail = _equal_at_start(old[start:][::-1], new[start:][::-1])
    end, new_end = len(old) - tail, len(new) - tail
    yield "equal", 0, start, 0, start
    if max(end, new_end) - start > MOST_LINES:
        yield "replace", start, end, start, new_end
    else:
        for what, a, b, c, d in difflib.SequenceMatcher(None, old[start:end], new[start:new_end]).get_opcodes():
            yield what, start + a, start + b, start + c, start + d
    yield "equal", end, len(old), new_end, len(new)


def _equal_at_start(old: Sequence[str], new: Sequence[str]) -> int:
    return next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _hunk(group: Sequence[Step], old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    _, first, _, new_first, _ = group[0]
    _, _, last, _, new_last = group[-1]
    yield f"@@ -{_range(first, last)} +{_range(new_first, new_last)} @@"
    for what, a, b, c, d in group:
        if what == "equal":
            yield from (f" {line}" for line in old[a:b])
        else:
            yield from (f"-{line}" for line in old[a:b])
            yield from (f"+{line}" for line in new[c:d])


def _range(first: int, last: int) -> str:
    """As `diff -u` counts: from 1, and an empty range stands after the line before it."""
    length = last - first
    if length == 1:
        return str(first + 1)
    return f"{first + 1 if length else first},{length}"
