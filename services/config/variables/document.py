"""From the text of a document to its values: YAML, read so that it means one thing and can do no harm. Pure.

The parser gives events and we make the values, so that there are no tags that build objects, no aliases that multiply,
no key that silently wins over another, and every refusal names line and column.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from contracts.errors import Invalid
from contracts.runs import MASK
from services.config.variables.scalars import meaning
from services.config.variables.values import Path, Place, Secret, Tree, Value, leaves, read, scalars, written

MOST_BYTES = 256 * 1024
MOST_DEPTH = 20
MOST_KEYS = 5_000
MOST_FLAT = 320 * 1024
"""Characters of all flattened keys and values: deep documents repeat the beginnings of their keys."""
LONGEST_KEY = 200
SECRET_TAG = "!secret"  # noqa: S105  a tag, not a secret
RESERVED = frozenset({"inventory_hostname", "host", "group_names", "global"})
"""What Drover itself says of a host. A document that could say it too would let templates lie about where they are."""


class Warned(NamedTuple):
    line: int
    column: int
    message: str


class Span(NamedTuple):
    """Where a secret stands in the text, its tag included."""

    start: int
    end: int


class Point(NamedTuple):
    """Where something stands in the text. Both count from 1."""

    line: int
    column: int


@dataclass
class Document:
    text: str
    values: Tree = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)
    secrets: list[Span] = field(default_factory=list)
    points: dict[Place, Point] = field(default_factory=dict)

    def masked(self) -> str:
        """The text with MASK in the place of every secret."""
        parts, end = [], 0
        for span in self.secrets:
            parts += [self.text[end : span.start], f'{SECRET_TAG} "{MASK}"']
            end = span.end
        return "".join([*parts, self.text[end:]])


def parse(text: str) -> Document:
    """Raises Invalid with the line and column of what cannot be taken."""
    _check_size(text)
    try:
        document = _Reader(text.removeprefix("\ufeff")).document()
    except yaml.YAMLError as error:
        raise _not_yaml(error) from None
    except UnicodeEncodeError:
        raise Invalid("variables.malformed", "The document has half of a surrogate pair; it must be UTF-8.") from None
    _check_reserved(document)
    _check_dotted(document)
    _check_flat(document)
    return document


def keep_secrets(document: Document, earlier: Tree) -> Tree:
    """The document's values; a secret that reads MASK keeps what it was in the earlier version, at the same path.

    Raises Invalid where there was none, and where MASK stands without its tag: somebody would store the dots.
    """
    before = dict(scalars(earlier))
    return {key: _kept(document, (key,), value, before) for key, value in document.values.items()}


def _kept(document: Document, at: Place, value: Value, before: dict[Place, Value]) -> Value:
    if isinstance(value, dict):
        return {key: _kept(document, (*at, key), each, before) for key, each in value.items()}
    if isinstance(value, list):
        return [_kept(document, (*at, index), each, before) for index, each in enumerate(value)]
    if value == Secret(MASK) and isinstance(before.get(at), Secret):
        return before[at]
    if value in (Secret(MASK), MASK):
        name = written(tuple(str(part) for part in at))
        raise refusal(
            "variables.secret_missing",
            document.points.get(at),
            f"{name} is masked, and no earlier secret at this key could be kept. Write {SECRET_TAG} and the value.",
        )
    return value


def refusal(reason: str, point: Point | None, message: str) -> Invalid:
    if point is None:
        return Invalid(reason, message)
    where = {"line": point.line, "column": point.column}
    return Invalid(reason, f"Line {point.line}, column {point.column}: {message}", where)


def _check_size(text: str) -> None:
    # Characters first: encoding what is far too large would cost as much as it is large.
    if len(text) > MOST_BYTES or len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        raise Invalid(
            "variables.too_large", f"The document is larger than {MOST_BYTES // 1024} KiB. Split it by group."
        )


def _check_reserved(document: Document) -> None:
    for key in document.values:
        first = key.split(".", 1)[0]
        if first in RESERVED:
            raise refusal(
                "variables.reserved",
                document.points.get((key,)),
                f"Drover itself says what {first} is for every host. Choose another name.",
            )


def _check_dotted(document: Document) -> None:
    """A key with a dot in it is one key. Where the same path exists by nesting too, nobody could tell them apart."""
    paths = [path for path, _ in leaves(document.values)]
    nested = {path[:length] for path in paths for length in range(1, len(path) + 1)}
    for path in sorted(path for path in nested if "." in path[-1]):
        parts = _split(path[-1])
        clash = next((way for n in range(1, len(parts) + 1) if (way := (*path[:-1], *parts[:n])) in nested), None)
        if clash is not None and clash != path:
            raise refusal(
                "variables.key_clash",
                document.points.get(path),
                f"The key {path[-1]!r} and the nested {'.'.join(clash)} look the same. Nest it, or rename it.",
            )


def _check_flat(document: Document) -> None:
    size = sum(len(written(path)) + len(str(value)) for path, value in leaves(document.values))
    if size > MOST_FLAT:
        raise Invalid(
            "variables.too_large",
            f"Flattened, the document has {size} characters; {MOST_FLAT} are allowed. Split it by group.",
        )


def _split(key: str) -> Path:
    try:
        return read(key)
    except ValueError:
        return tuple(key.split("."))


def _not_yaml(error: yaml.YAMLError) -> Invalid:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = str(getattr(error, "problem", "") or "it is not YAML")
        return refusal("variables.malformed", Point(mark.line + 1, mark.column + 1), f"{problem[:200]}.")
    return Invalid("variables.malformed", f"The document is not YAML: {' '.join(str(error).split())[:200]}.")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._made = Document(text)
        self._keys = 0

    def document(self) -> Document:
        """Raises Invalid and YAMLError."""
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, yaml.DocumentStartEvent):
            self._whole(next(self._events))
            next(self._events)  # the document's end
            after = next(self._events)
            if isinstance(after, yaml.DocumentStartEvent):
                raise self._refused(after, "a second document begins. One scope has one document.")
        return self._made

    def _whole(self, event: Any) -> None:
        value = self._value(event, ())
        if value is not None and not isinstance(value, dict):
            raise self._refused(event, "the document must be a mapping of names to values.")
        self._made.values = value or {}

    def _value(self, event: Any, at: Place) -> Value:
        self._made.points[at] = _point(event)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refused(event, "anchors and aliases are not taken. Write the value out, or set it in a group.")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, at)
        if len(at) >= MOST_DEPTH:
            raise self._refused(event, f"this is nested more than {MOST_DEPTH} levels deep.")
        if event.tag is not None:
            raise self._refused(event, f"the tag {event.tag[:80]} is not taken; values are plain data.")
        return self._list(at) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(at)

    def _list(self, at: Place) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._count(event)
            items.append(self._value(event, (*at, len(items))))
        return items

    def _mapping(self, at: Place) -> Tree:
        made: Tree = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._count(event)
            key = self._key(event)
            if key in made:
                first = self._made.points[(*at, key)]
                raise refusal("variables.duplicate_key", _point(event), f"{key!r} stands already in line {first.line}.")
            made[key] = self._value(next(self._events), (*at, key))
            self._made.points[(*at, key)] = _point(event)
        return made

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refused(event, "a key must be text.")
        if event.anchor is not None or event.tag is not None:
            raise self._refused(event, "a key has neither anchor nor tag.")
        if not event.style:
            self._check_plain_key(event)
        key: str = event.value
        if not key or len(key) > LONGEST_KEY or not key.isprintable():
            raise self._refused(event, f"a key has 1 to {LONGEST_KEY} printable characters.")
        return key

    def _check_plain_key(self, event: Any) -> None:
        if event.value == "<<":
            raise self._refused(event, "merge keys are not taken. Groups and their precedence do that.")
        if not isinstance(self._plain(event), str):
            raise self._refused(event, f"a key must be text; write {event.value[:80]} in quotes if that is meant.")

    def _scalar(self, event: Any, at: Place) -> Value:
        if "\0" in event.value:
            raise self._refused(event, "the text has a NUL.")
        if event.tag == SECRET_TAG:
            self._made.secrets.append(self._span(event))
            return Secret(event.value)
        if event.tag is not None:
            raise self._refused(event, f"the tag {event.tag[:80]} is not taken; values are plain data.")
        return event.value if event.style else self._plain(event)

    def _plain(self, event: Any) -> Value:
        try:
            found = meaning(event.value)
        except ValueError as error:
            raise self._refused(event, f"{error}.") from None
        if found.elsewhere:
            shown, point = event.value[:80], _point(event)
            here = "text" if isinstance(found.value, str) else repr(found.value)
            self._made.warnings.append(
                Warned(
                    *point, f"{shown} is {here} here; other readers of YAML take it for {found.elsewhere}. Quote it."
                )
            )
        return found.value

    def _span(self, event: Any) -> Span:
        start, end = event.start_mark.index, event.end_mark.index
        # A block scalar ends where the next thing begins; the line feeds before that stay.
        while self._text[end - 1] in "\r\n":
            end -= 1
        return Span(start, end)

    def _count(self, event: Any) -> None:
        self._keys += 1
        if self._keys > MOST_KEYS:
            raise self._refused(event, f"the document has more than {MOST_KEYS} keys and items. Split it by group.")

    @staticmethod
    def _refused(event: Any, message: str) -> Invalid:
        return refusal("variables.malformed", _point(event), message)


def _point(event: Any) -> Point:
    return Point(event.start_mark.line + 1, event.start_mark.column + 1)
