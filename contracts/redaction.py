"""What may be written down of a request or an object: no secret, and not more than anybody reads. Pure.

One table of words says which fields hold secrets, whatever message they are in. What no name shows, a `Call` names in
`conceals`.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

HIDDEN = "••••••"
SECRET_WORDS = frozenset(
    {
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "seed",
        "secret",
        "secrets",
        "signature",
        "token",
        "tokens",
    }
)
"""A field is secret if one of these is a word of its name: `password`, `DB_PASSWORD`, `joinToken`."""

MARKS = ("masked", "secret")
"""An object that says `true` to one of these holds a secret value."""
SHOWN_BESIDE_MARKS = frozenset({"name", "path", "type", "kind", "description", "required"})

TAG = "!secret"
"""How a YAML document marks a secret value. A text with this tag is not shown at all."""

LONGEST_TEXT = 500
MOST_ITEMS = 100
DEEPEST = 12
LARGEST = 16 * 1024
"""Characters of one written value, as JSON."""
LONGEST_BRIEF = 100
"""Characters of a value as a list of changes has it, as JSON."""

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def written(value: Any, conceals: Collection[str] = ()) -> str:
    """`value` as JSON text with sorted keys, without secrets, long texts and lists cut with the hash of the whole.

    `conceals` names fields of `value` itself that hold secrets. None is the empty text.
    """
    if value is None:
        return ""
    plain = msgspec.to_builtins(value)
    if isinstance(plain, dict):
        plain = {name: HIDDEN if name in conceals and each else each for name, each in plain.items()}
    text = as_json(_shown(plain, DEEPEST))
    return text if len(text) <= LARGEST else as_json(_cut(text, LARGEST // 4))


def brief(name: str, value: Any) -> Any:
    """The value of a field of that name as a list of changes has it: no secret, a long one by its size and hash."""
    plain = msgspec.to_builtins(value)
    if is_secret(name):
        return _hidden(plain)
    shown = _shown(plain, DEEPEST)
    text = as_json(shown)
    if len(text) <= LONGEST_BRIEF:
        return shown
    whole = plain if isinstance(plain, str) else text
    return {"characters": len(whole), **_hash(whole)}


def as_json(value: Any) -> str:
    """One spelling for one value: sorted keys, no spaces, everything beyond ASCII escaped."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def is_secret(name: str) -> bool:
    return any(word.lower() in SECRET_WORDS for word in _WORDS.findall(name))


def _shown(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping | list | tuple) and depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return _object(value, depth)
    if isinstance(value, list | tuple):
        first: list[Any] = [_shown(each, depth - 1) for each in value[:MOST_ITEMS]]
        return (
            first if len(value) <= MOST_ITEMS else [*first, {"more": len(value) - MOST_ITEMS, **_hash(as_json(value))}]
        )
    return value


def _text(value: str) -> Any:
    if TAG in value:
        return HIDDEN
    return value if len(value) <= LONGEST_TEXT else _cut(value, LONGEST_TEXT)


def _object(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    marked = any(value.get(mark) is True for mark in MARKS)
    shown: dict[str, Any] = {}
    for name, each in list(value.items())[:MOST_ITEMS]:
        secret = is_secret(str(name)) or (marked and name not in SHOWN_BESIDE_MARKS)
        shown[str(name)[:LONGEST_TEXT]] = _hidden(each) if secret else _shown(each, depth - 1)
    if len(value) > MOST_ITEMS:
        shown["…"] = {"more": len(value) - MOST_ITEMS}
    return shown


def _hidden(value: Any) -> Any:
    """Whether there is a secret at all may be seen: flags and empty values stay."""
    return value if isinstance(value, bool) or not value else HIDDEN


def _cut(text: str, length: int) -> dict[str, Any]:
    return {"begins": text[:length], "characters": len(text), **_hash(text)}


def _hash(text: str) -> dict[str, str]:
    return {"sha256": hashlib.sha256(text.encode(errors="replace")).hexdigest()}
