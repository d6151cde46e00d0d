"""How a script's parameters are written on the command line."""

import click
import pytest

from cli.scripts import declaration, declared
from cli.words import Version
from contracts.scripts import DeclaredParameter, ParameterType


@pytest.mark.parametrize(
    ("word", "made"),
    [
        ("wait", DeclaredParameter(name="wait")),
        ("wait:integer=30", DeclaredParameter(name="wait", type=ParameterType.INTEGER, default="30")),
        ("force:boolean!", DeclaredParameter(name="force", type=ParameterType.BOOLEAN, required=True)),
        ("level:low|high=low", DeclaredParameter(name="level", type=ParameterType.CHOICE, choices=("low", "high"), default="low")),
        ("token:secret!", DeclaredParameter(name="token", masked=True, required=True)),
        ("text=a=b", DeclaredParameter(name="text", default="a=b")),
        ("empty=", DeclaredParameter(name="empty", default="")),
    ],
)  # fmt: skip
def test_a_declaration_says_name_type_need_and_default(word, made):
    assert declaration(word) == made
    assert declaration(declared(made)) == made


@pytest.mark.parametrize("word", ["a b", "1st", "wait:number", "wait:choice", ":integer"])
def test_a_declaration_that_is_none_is_refused(word):
    with pytest.raises(click.UsageError):
        declaration(word)


def test_a_version_is_named_after_an_at():
    version = Version()
    assert version.convert("install", None, None) == ("install", 0)
    assert version.convert("install@3", None, None) == ("install", 3)
    for word in ("install@", "install@x", "install@0", "install@-1", "install@1@2", "@1", "", "x@１"):
        with pytest.raises(click.UsageError):
            version.convert(word, None, None)
