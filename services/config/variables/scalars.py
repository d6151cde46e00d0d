"""What a plain word of YAML means: YAML 1.2's core schema. Pure.

Readers of YAML 1.1 see booleans, dates, base-60 and octal numbers in words that look like text. Such a word is kept as
it was written and comes with a warning, so that nobody's `no` becomes false and nobody's file mode becomes 493. The
reverse, a number that older readers take for text, is a number here and is warned of too.
"""

import math
import re
from typing import NamedTuple

Scalar = str | int | float | bool | None

LARGEST = 2**63 - 1
_CORE: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGERS = (
    (re.compile(r"[-+]?(0|[1-9][0-9]*)"), 10, ""),
    (re.compile(r"0x[0-9a-fA-F]+"), 16, ""),
    (re.compile(r"0o[0-7]+"), 8, "text"),
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_OLD_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")

_AMBIGUOUS = (
    (re.compile(r"y|Y|yes|Yes|YES|on|On|ON"), "true"),
    (re.compile(r"n|N|no|No|NO|off|Off|OFF"), "false"),
    (re.compile(r"[-+]?0[0-7_]+"), "an octal number"),
    (re.compile(r"[-+]?0[0-9]+"), "a number"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number"),
    (re.compile(r"[-+]?(?=[0-9.]*_)[0-9][0-9_]*(\.[0-9_]*)?|0x(?=[0-9a-fA-F]*_)[0-9a-fA-F_]+"), "a number"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "a number of base 60"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"), "a date"),
)


class Meaning(NamedTuple):
    value: Scalar
    elsewhere: str = ""
    """What other readers of YAML take the word for, if that differs."""


def meaning(word: str) -> Meaning:
    """Raises ValueError, whose text says why, for a number that cannot be kept."""
    if word in _CORE:
        return Meaning(_CORE[word])
    for pattern, radix, elsewhere in _INTEGERS:
        if pattern.fullmatch(word):
            return Meaning(_integer(word.removeprefix("0x").removeprefix("0o"), radix), elsewhere)
    if _NOT_FINITE.fullmatch(word):
        raise ValueError(f"{word} is no number that can be calculated with")
    elsewhere = next((meant for pattern, meant in _AMBIGUOUS if pattern.fullmatch(word)), "")
    if not elsewhere and _FLOAT.fullmatch(word):
        return Meaning(_float(word), "" if _OLD_FLOAT.fullmatch(word) else "text")
    return Meaning(word, elsewhere)


def _integer(digits: str, radix: int) -> int:
    # Python itself refuses to read more than 4,300 digits, and takes long for fewer.
    value = int(digits, radix) if len(digits) <= 64 else LARGEST + 1
    if not -LARGEST - 1 <= value <= LARGEST:
        raise ValueError("the number does not fit in 64 bits")
    return value


def _float(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError("the number is larger than a float holds")
    return value
