"""What shall run: script, arguments, parameters and environment, gathered from the command line and around it."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.terminal import can_ask
from contracts.agents import Language
from contracts.runs import Parameter, Variable
from contracts.scripts import DeclaredParameter, ParameterType

FROM_STDIN = "-"


def script_of(words: Sequence[str], file: str | None, *, python: bool) -> tuple[str, Language, tuple[str, ...]]:
    """The script's text, its language and the arguments left over: with `-f` every word is an argument."""
    if file is not None:
        language = Language.PYTHON if python or file.endswith(".py") else Language.SHELL
        return _not_empty(_content(file, "the script")), language, tuple(words)
    if not words:
        raise click.UsageError("what shall run? Give a script, -f FILE, or - for stdin")
    text = _content(FROM_STDIN, "the script") if words[0] == FROM_STDIN else words[0]
    return _not_empty(text), Language.PYTHON if python else Language.SHELL, tuple(words[1:])


def _not_empty(text: str) -> str:
    if not text:
        raise click.UsageError("the script is empty")
    return text


def _content(file: str, what: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == FROM_STDIN else Path(file).read_bytes()
        return content.decode()
    except OSError as error:
        raise click.UsageError(f"cannot read {what} from {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{what} in {file} is not UTF-8 text") from None


def pairs(words: Iterable[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {word!r}: write NAME=VALUE")
        _check_name(option, name)
        if name in found:
            raise click.UsageError(f"{option} {name} is given twice")
        found[name] = value
    return found


def variables(words: Iterable[str]) -> dict[str, Any]:
    """KEY=VALUE with dots in KEY becomes a tree, as in a document of variables. Values are texts."""
    tree: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        *way, last = key.split(".")
        if not equals or not all((*way, last)):
            raise click.UsageError(f"--var {word!r}: write KEY=VALUE, such as region.id=5")
        inside = tree
        for part in way:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise click.UsageError(f"--var {key}: lies below another value")
        if last in inside:
            raise click.UsageError(f"--var {key} is given twice")
        inside[last] = value
    return tree


def _check_name(option: str, name: str) -> None:
    try:
        msgspec.convert(name, Variable)
    except msgspec.ValidationError:
        raise click.UsageError(f"{option} {name!r}: names are letters, digits and _, and begin with no digit") from None


def parameters(
    plain: Iterable[str], secret: Iterable[str], environ: Mapping[str, str] = os.environ
) -> tuple[Parameter, ...]:
    """Plain parameters as they are; masked ones never from an argument, which every user of the machine can see."""
    shown = [Parameter(name=name, value=value) for name, value in pairs(plain, "--param").items()]
    return (*shown, *(_masked(word, environ) for word in secret))


def _masked(word: str, environ: Mapping[str, str]) -> Parameter:
    name, equals, source = word.partition("=")
    _check_name("--secret", name)
    if source.startswith("@"):
        return Parameter(name=name, value=_content(source[1:], f"the secret {name}").removesuffix("\n"), masked=True)
    if equals:
        raise click.UsageError(f"--secret {name}: give the name only, or {name}=@FILE; arguments are not secret")
    if name in environ:
        return Parameter(name=name, value=environ[name], masked=True)
    if not can_ask():
        raise click.UsageError(f"--secret {name}: set it in the environment, or give {name}=@FILE")
    return Parameter(name=name, value=click.prompt(f"{name} (not shown)", hide_input=True, err=True), masked=True)


_SECRET = "secret"  # noqa: S105  a word of the language of declarations


def declaration(word: str) -> DeclaredParameter:
    """NAME[:TYPE][!][=DEFAULT], where TYPE is also `secret`, or choices separated by bars."""
    head, equals, default = word.partition("=")
    required = head.endswith("!")
    name, _, kind = head.removesuffix("!").partition(":")
    _check_name("--param", name)
    types = set(ParameterType) - {ParameterType.CHOICE}
    choices = tuple(kind.split("|")) if "|" in kind else ()
    if kind not in {"", _SECRET, *types} and not choices:
        raise click.UsageError(f"--param {word!r}: the type is {', '.join(sorted(types))}, secret, or a|b|c")
    return DeclaredParameter(
        name=name,
        type=ParameterType.CHOICE if choices else ParameterType(kind) if kind in types else ParameterType.STRING,
        choices=choices,
        default=default if equals else None,
        required=required,
        masked=kind == _SECRET,
    )


def declared(parameter: DeclaredParameter) -> str:
    """The same, the other way round."""
    kind = _SECRET if parameter.masked else "|".join(parameter.choices) or parameter.type
    default = "" if parameter.default is None else f"={parameter.default}"
    return f"{parameter.name}:{kind}{'!' if parameter.required else ''}{default}"
