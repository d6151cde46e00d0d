"""Which server, and who one is there: the configuration file, and the environment that wins over it.

    current = "prod"

    [contexts.prod]
    url = "https://drover.example"
    token = "…"

The file holds tokens, so it is made with mode 0600 and replaced as a whole.
"""

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import click

from cli.exits import LoginNeeded

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Context:
    url: str
    token: str = ""
    token_id: str = ""
    """What `logout` withdraws."""
    ca: str = ""
    """Path of a PEM file to trust instead of the system's authorities."""
    audit_key: str = ""
    """The public key that this server's audit trail was signed with when it was first verified."""
    audit_seen: str = ""
    """The newest checkpoint that was verified, as `<number>:<digest>`."""


@dataclass
class Contexts:
    current: str = ""
    contexts: dict[str, Context] = field(default_factory=dict)


def path(environ: Mapping[str, str] = os.environ) -> Path:
    folder = environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "drover" / "config.toml"


def load(file: Path) -> Contexts:
    import tomllib

    try:
        with file.open("rb") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                click.echo(f"drover: others can read the tokens in {file}: chmod 600 {file}", err=True)
            content = tomllib.load(opened)
        found = {name: Context(**each) for name, each in content.get("contexts", {}).items()}
        if not all(isinstance(value, str) for each in found.values() for value in asdict(each).values()):
            raise TypeError
        return Contexts(str(content.get("current", "")), found)
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError):
        raise click.UsageError(f"{file} is not a configuration of drover; correct it, or move it away") from None


def save(file: Path, contexts: Contexts) -> None:
    text = [f"current = {_quoted(contexts.current)}"]
    for name, context in sorted(contexts.contexts.items()):
        text += ["", f"[contexts.{name}]"]
        text += [f"{key} = {_quoted(value)}" for key, value in asdict(context).items() if value]
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
            opened.write("\n".join(text) + "\n")
        beside.replace(file)
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {error.strerror}") from None


def _quoted(value: str) -> str:
    """A JSON string is a TOML basic string, save for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is not a name for a context: use letters, digits, _ and -")
    return name


def checked_url(url: str) -> str:
    """Without a trailing slash. Plain HTTP would show tokens to the network, so only loopback may have it."""
    parts = urlsplit(url.strip())
    try:
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or parts.username:
        raise click.UsageError(f"{url!r} is not an address: write https://HOST[:PORT]")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise click.UsageError(f"{url} would send your token in the clear: use https, or a tunnel to localhost")
    return url.strip().rstrip("/")


def chosen(contexts: Contexts, name: str, environ: Mapping[str, str] = os.environ) -> Context:
    """The context to speak with. A token is never sent to another address than the one it was made for."""
    name = name or contexts.current
    known = contexts.contexts.get(name)
    url, token, ca = (environ.get(key, "") for key in ("DROVER_URL", "DROVER_TOKEN", "DROVER_CA"))
    if url:
        url = checked_url(url)
        own = known if known and known.url == url else Context(url=url)
    elif known:
        own = known
    elif name:
        told = ", ".join(sorted(contexts.contexts)) or "none yet"
        raise click.UsageError(f"there is no context {name!r}; known: {told}")
    else:
        raise LoginNeeded(
            "no server is known yet", "drover login https://HOST[:PORT]\nor set DROVER_URL and DROVER_TOKEN"
        )
    return replace(own, url=checked_url(own.url), token=token or own.token, ca=ca or own.ca)


def remember(file: Path, of: Context, *, audit_key: str, audit_seen: str) -> None:
    """Keep what was verified with every context of the same server. Without one it is kept nowhere."""
    known = load(file)
    same = {name: each for name, each in known.contexts.items() if each.url == of.url}
    if same:
        pinned = {name: replace(each, audit_key=audit_key, audit_seen=audit_seen) for name, each in same.items()}
        save(file, Contexts(known.current, {**known.contexts, **pinned}))
