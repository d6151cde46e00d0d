"""Settings come from the environment, once, at start; a wrong or unknown name stops the process with one line."""

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

S = TypeVar("S")


class BadSettings(SystemExit):
    """The process cannot start as it is set up; the message is the line that says why."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What every service needs; each has more of its own."""

    nats_url: tuple[str, ...]
    """Servers to try, separated by commas, as tls://host:port."""

    nats_credentials: Path
    """The service's own credentials file."""

    nats_ca: Path
    """Certificate of the private CA that signed the servers' certificates."""

    mongo_url: str
    """A replica set; a standalone mongod is refused, since it may lose acknowledged writes."""

    mongo_database: str = ""
    """Left out: the name of the service; of config, `configuration`."""

    http_host: str = "127.0.0.1"
    """Where health, metrics and, at the gateway, the API listen."""

    http_port: int = 0
    """0: a free port, told in the log."""

    log_format: str = ""
    """json or console; left out: console in a terminal, else json."""

    concurrency: int = 100
    """Requests handled at once. Above this, callers wait; a caller that waits too long is told Unavailable."""


def load(kind: type[S], prefix: str, environ: Mapping[str, str] = os.environ) -> S:
    """Read `kind` from `<prefix><FIELD>` variables; `<prefix><FIELD>_FILE` names a file that holds the value."""
    given = {
        key.removeprefix(prefix).lower(): value for key, value in environ.items() if key.startswith(prefix) and value
    }
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in [name for name in given if name.endswith("_file") and name not in known]:
        path = given.pop(name)
        given[name.removesuffix("_file")] = _content(prefix + name.upper(), path)
    if unknown := given.keys() - known.keys():
        raise BadSettings(f"unknown settings: {_names(prefix, unknown)}; known are {_names(prefix, known)}")
    required = {name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING}
    if missing := required - given.keys():
        raise BadSettings(f"missing settings: {_names(prefix, missing)}")
    values = {name: _split(known[name].type, value) for name, value in given.items()}
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_convert)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{prefix}*: {error}") from None


def _names(prefix: str, names: Any) -> str:
    return ", ".join(prefix + name.upper() for name in sorted(names))


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise BadSettings(f"{name}: cannot read {path}: {error.strerror}") from None


def _split(kind: Any, value: str) -> object:
    return [each.strip() for each in value.split(",")] if "tuple" in str(kind) else value


def _convert(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)
