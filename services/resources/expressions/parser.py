"""From the text of an expression to its tree, by recursive descent. Pure.

    expression  = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term        = "not" term | "(" expression ")" | membership | comparison
    membership  = "group" "(" name ")"
    comparison  = attribute
                | attribute ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
                | attribute [ "not" ] "in" ( value | "(" value { "," value } ")" )

An attribute alone must be one that is true or false. Length, depth and number of terms are bounded, so that whatever
somebody sends is read or refused within milliseconds.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from contracts.errors import Invalid
from services.resources.expressions.attributes import (
    ALIASES,
    ATTRIBUTES,
    CUSTOM,
    LABELS,
    PREFIXES,
    YES_OR_NO,
    Attribute,
    Kind,
    custom,
    label,
)
from services.resources.expressions.globs import literal
from services.resources.expressions.lexer import Kind as TokenKind
from services.resources.expressions.lexer import Token, refuse, tokens
from services.resources.expressions.tree import And, Equals, Fits, InGroup, Not, Or, Order, Tree
from services.resources.expressions.values import as_order, as_test

DEEPEST = 32
MOST_TERMS = 500
KEYWORDS = frozenset({"and", "or", "not", "in"})
_VALUE = "a value"
_LABEL = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
"""As contracts.hosts.Tag has it."""


def parse(text: str, declared: Mapping[str, Kind]) -> Tree:
    """`declared` are the attributes that people made. Raises Invalid, which names the column."""
    return _Parser(tokens(text), declared).whole()


class _Parser:
    def __init__(self, cut: list[Token], declared: Mapping[str, Kind]) -> None:
        self._tokens, self._declared = cut, declared
        self._at = self._depth = self._terms = 0

    def whole(self) -> Tree:
        tree = self._expression()
        if self._next.kind is not TokenKind.END:
            self._refuse('"and"', '"or"', "the end")
        return tree

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _is(self, word: str) -> bool:
        """Whether the next token is this keyword or mark. A quoted word is never one."""
        return self._next.kind in {TokenKind.WORD, TokenKind.MARK} and self._next.text.lower() == word

    def _took(self, word: str) -> bool:
        if not self._is(word):
            return False
        self._at += 1
        return True

    def _expect(self, mark: str, *others: str) -> None:
        if not self._took(mark):
            self._refuse(mark, *others)

    def _refuse(self, *expected: str) -> NoReturn:
        refuse(self._next.column, f"found {self._next.shown}", *expected)

    def _expression(self) -> Tree:
        parts = [self._conjunction()]
        while self._took("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _conjunction(self) -> Tree:
        parts = [self._term()]
        while self._took("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _term(self) -> Tree:
        column = self._next.column
        if self._took("not"):
            return Not(self._deeper(column, self._term))
        if self._took("("):
            tree = self._deeper(column, self._expression)
            self._expect(")", '"and"', '"or"')
            return tree
        if self._next.kind is not TokenKind.WORD or self._next.text.lower() in KEYWORDS:
            self._refuse("an attribute", "group(", '"not"', "(")
        name = self._take()
        if name.text == "group":
            return self._membership(name)
        return self._comparison(self._attribute(name), name.column)

    def _deeper(self, column: int, read: Callable[[], Tree]) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _too_large(column, f"it is nested more than {DEEPEST} deep")
        tree = read()
        self._depth -= 1
        return tree

    def _count(self, column: int) -> None:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise _too_large(column, f"it has more than {MOST_TERMS} terms")

    def _membership(self, name: Token) -> InGroup:
        self._count(name.column)
        self._expect("(")
        value = self._value("the name of a group")
        text = literal(value.glob)
        if not text:
            refuse(value.column, f"{value.shown} is no name", "the name of one group")
        self._expect(")")
        return InGroup(text, value.column)

    def _attribute(self, name: Token) -> Attribute:
        plain = ALIASES.get(name.text, name.text)
        if plain in ATTRIBUTES:
            return ATTRIBUTES[plain]
        first, dot, rest = name.text.partition(".")
        first = ALIASES.get(first, first)
        if dot and first in PREFIXES:
            rest = rest or self._quoted(name)
            if first == LABELS:
                return _label(name, rest)
            if rest in self._declared:
                return custom(rest, self._declared[rest])
        raise _unknown(name, self._declared)

    def _quoted(self, name: Token) -> str:
        """The quoted rest of a name, such as in `labels."example.com/team"`."""
        token = self._next
        text = literal(token.glob) if token.kind is TokenKind.STRING and token.column == name.end else None
        if not text:
            refuse(name.end, f"found {token.shown}", f"the name of one of the {name.text[:-1]}")
        self._at += 1
        return text

    def _comparison(self, attribute: Attribute, column: int) -> Tree:
        if self._next.kind is TokenKind.OPERATOR:
            return self._compared(attribute, column)
        negated = self._took("not")
        if negated or self._is("in"):
            self._expect("in")
            tests = tuple(as_test(attribute, value) for value in self._values(column))
            return Not(Fits(attribute, tests, column)) if negated else Fits(attribute, tests, column)
        if attribute.kind not in YES_OR_NO:
            order = ("<", "<=", ">", ">=") if attribute.kind in {Kind.NUMBER, Kind.BYTES} else ()
            self._refuse("=", "!=", *order, '"in"', '"not in"')
        self._count(column)
        return Fits(attribute, (Equals(True),), column)

    def _compared(self, attribute: Attribute, column: int) -> Tree:
        operator, value = self._take(), self._value()
        self._count(column)
        if operator.text in set(Order):
            return Fits(attribute, (as_order(attribute, operator, value),), column)
        fits = Fits(attribute, (as_test(attribute, value),), column)
        return fits if operator.text == "=" else Not(fits)

    def _values(self, column: int) -> list[Token]:
        self._count(column)
        if not self._took("("):
            return [self._value(_VALUE, "(")]
        values = [self._value()]
        while self._took(","):
            self._count(column)
            values.append(self._value())
        self._expect(")", ",")
        return values

    def _value(self, *expected: str) -> Token:
        token = self._next
        if token.kind is TokenKind.WORD and token.text.lower() in KEYWORDS:
            refuse(token.column, f"found {token.shown}", f"{(expected or (_VALUE,))[0]}; in quotes the word is one")
        if token.kind not in {TokenKind.WORD, TokenKind.STRING}:
            self._refuse(*(expected or (_VALUE,)))
        return self._take()


def _too_large(column: int, why: str) -> Invalid:
    return Invalid(
        "expression.too_large",
        f"Column {column} of the expression: {why}. Split it into groups.",
        {"column": column},
    )


def _label(name: Token, rest: str) -> Attribute:
    """Only names that labels can have: others would be an operator or a path to the database."""
    if not _LABEL.fullmatch(rest):
        refuse(name.column, f"no label can be called {rest[:64]}", "letters, digits and any of _ . : / - in its name")
    return label(rest)


def _unknown(name: Token, declared: Mapping[str, Kind]) -> Invalid:
    known = [*ATTRIBUTES, *(f"{CUSTOM}.{each}" for each in sorted(declared)), f"{LABELS}.<name>"]
    close = difflib.get_close_matches(name.text[:64], known, n=3)
    meant = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known[:40])}."
    return Invalid(
        "expression.unknown_attribute",
        f"Column {name.column} of the expression: hosts have no attribute {name.shown}; {meant}",
        {"column": name.column, "expected": known},
    )
