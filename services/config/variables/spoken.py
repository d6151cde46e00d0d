"""Effective values as scripts read them: texts under flattened keys. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from services.config.variables.values import Secret, flatten, revealed, scalars


class Spoken(NamedTuple):
    flat: dict[str, str]
    secrets: tuple[str, ...]
    """Every secret text in it."""


def spoken(tree: Mapping[str, Any]) -> Spoken:
    """Texts as they are, secret ones in the clear; whatever is no text as JSON."""
    flat = {key: _text(revealed(leaf)) for key, leaf in flatten(tree).items()}
    secrets = {value.text for _, value in scalars(dict(tree)) if isinstance(value, Secret)}
    return Spoken(flat, tuple(sorted(secrets)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
