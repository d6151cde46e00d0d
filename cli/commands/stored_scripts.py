"""Stored scripts: writing, reading, moving between states."""

from typing import Any

import click
from msgspec import UNSET

from cli import scripts as given_scripts
from cli.client import typed
from cli.display import Form, emit, facts, out, rows, talk, when
from cli.exits import Exit
from cli.folding import counted
from cli.session import Session, data_options, pass_session
from cli.words import Version, Word
from contracts import scripts
from contracts.agents import Language
from contracts.script_search import FoundScripts, SearchScripts, search_scripts
from contracts.scripts import (
    CloneScript,
    CreateScript,
    DiffScript,
    Finding,
    Level,
    Lint,
    LintText,
    ListScripts,
    ListScriptVersions,
    MoveVersion,
    SaveVersion,
    Script,
    ScriptKind,
    ScriptRef,
    Scripts,
    StoredText,
    VersionRef,
)


@click.group("script")
def script_group() -> None:
    """Stored scripts: versions that never change."""


@script_group.command("save")
@click.argument("name")
@click.option("-f", "--file", required=True, metavar="FILE", help="The text; - for stdin. FILE.py is Python.")
@click.option("--python", is_flag=True, help="The text is Python.")
@click.option("--new", is_flag=True, help="It is a new script; its first version.")
@click.option("--system", is_flag=True, help="With --new: vetted and for everybody.")
@click.option("--tag", "tags", multiple=True, help="With --new; repeatable.")
@click.option("--description", default="", help="With --new: what it is for.")
@click.option(
    "--param",
    multiple=True,
    metavar="DECLARATION",
    help="What it asks for: NAME[:TYPE][!][=DEFAULT]. TYPE is string, integer, boolean, secret, or choices a|b|c;"
    " ! says required. Repeatable; left out: as in the version before.",
)
@click.option("--note", default="", help="Why; kept with the version.")
@data_options
@pass_session
def save(session: Session, /, name: str, file: str, form: Form, **given: Any) -> None:
    """Save a text as the next version of a script: a draft, and checked.

    \b
    Examples:
      drover script save restart-app -f restart.sh --new --tag app --param 'wait:integer=30'
      drover script save restart-app -f restart.sh --note 'waits for the old process'
      drover script save report -f report.py --new --param 'level:low|high!' --param token:secret
    """
    text, language, _ = given_scripts.script_of((), file, python=given["python"])
    declared = tuple(given_scripts.declaration(word) for word in given["param"])
    if given["new"]:
        kind = ScriptKind.SYSTEM if given["system"] else ScriptKind.USER
        request = CreateScript(
            name=name,
            kind=kind,
            text=text,
            language=language,
            parameters=declared,
            description=given["description"],
            tags=given["tags"],
            note=given["note"],
        )
        content, saved = session.client.both(scripts.create_script, request)
    else:
        following = SaveVersion(
            name=name, text=text, language=language, parameters=declared or UNSET, note=given["note"]
        )
        content, saved = session.client.both(scripts.save_version, following)
        if given["note"] != saved.version.note:
            talk(f"version {saved.version.number} has this text already, so there is no new one; the note was not kept")
    _emit_version(form, content, saved, text=False)
    _tell(saved.version.lint)


@script_group.command("list")
@click.option("--search", default="", help="Only names that begin with this.")
@click.option("--tag", "tags", multiple=True, help="Only scripts with this tag; of several, any one will do.")
@click.option("--kind", "kinds", multiple=True, type=Word(ScriptKind), help="Only these; repeatable.")
@click.option("--owner", default="", help="Only scripts of this person.")
@data_options
@pass_session
def list_(session: Session, /, form: Form, **given: Any) -> None:
    """List stored scripts.

    \b
    Examples:
      drover script list
      drover script list --kind system --tag init -o name
    """
    content = session.client.all_pages(scripts.list_scripts, ListScripts(**given, limit=200))
    found = typed(content, Scripts).scripts

    def table() -> None:
        rows(
            ("NAME", "KIND", "OWNER", "LANGUAGE", "ONLINE", "NEWEST", "TAGS", "DESCRIPTION"),
            [
                (s.name, s.kind, s.owner, s.language, _number(s.online), str(s.newest), ",".join(s.tags), s.description)
                for s in found
            ],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@script_group.command("show")
@click.argument("script", type=Version(), metavar="NAME[@VERSION]")
@click.option("--text", is_flag=True, help="The text only.")
@data_options
@pass_session
def show(session: Session, script: tuple[str, int], text: bool, form: Form) -> None:
    """Show a version: the one named, or the one online, or else the newest.

    \b
    Examples:
      drover script show restart-app
      drover script show restart-app@3 --text > restart.sh
    """
    name, version = script
    content, found = session.client.both(scripts.show_script_version, VersionRef(name=name, version=version))
    if text:
        out(found.text, newline=False)
        return
    _emit_version(form, content, found, text=True)


@script_group.command("versions")
@click.argument("name")
@data_options
@pass_session
def versions(session: Session, name: str, form: Form) -> None:
    """List the versions of a script, newest first.

    \b
    Examples:
      drover script versions restart-app
    """
    content = session.client.all_pages(scripts.list_script_versions, ListScriptVersions(name=name))
    found = typed(content, scripts.ScriptVersions).versions

    def table() -> None:
        rows(
            ("VERSION", "STATE", "BY", "WHEN", "SHA256", "NOTE"),
            [(str(v.number), v.state, v.by, when(v.at), v.sha256[:12], v.note) for v in found],
        )

    emit(form, content, lambda: [f"{name}@{each.number}" for each in found], table)


@script_group.command("diff")
@click.argument("before", type=Version(), metavar="NAME[@VERSION]")
@click.argument("version", type=click.IntRange(min=1), required=False)
@data_options
@pass_session
def diff(session: Session, before: tuple[str, int], version: int | None, form: Form) -> None:
    """What differs between two versions; without VERSION, between the first one and the newest.

    \b
    Examples:
      drover script diff restart-app
      drover script diff restart-app@2 5
    """
    name, first = before
    newest = version or session.client.call(scripts.show_script, ScriptRef(name=name)).newest
    content, told = session.client.both(scripts.diff_script, DiffScript(name=name, before=first, after=newest))
    emit(form, content, lambda: [told.text], lambda: out(told.text, newline=False))
    if told.cut:
        talk("and more")


@script_group.command("clone")
@click.argument("script", type=Version(), metavar="NAME[@VERSION]")
@click.argument("to")
@click.option("--system", is_flag=True, help="The new one is a system script.")
@data_options
@pass_session
def clone(session: Session, script: tuple[str, int], to: str, system: bool, form: Form) -> None:
    """Make a script of your own out of a version of another.

    \b
    Examples:
      drover script clone host-init my-init
    """
    name, version = script
    kind = ScriptKind.SYSTEM if system else ScriptKind.USER
    content, made = session.client.both(scripts.clone_script, CloneScript(name=name, version=version, to=to, kind=kind))
    _emit_version(form, content, made, text=False)


@script_group.command("online")
@click.argument("script", type=Version(), metavar="NAME@VERSION")
@data_options
@pass_session
def online(session: Session, script: tuple[str, int], form: Form) -> None:
    """Put a version online: it runs from now on if none is named. The one before is retired.

    \b
    Examples:
      drover script online restart-app@4
    """
    _move(session, scripts.put_online, script, form)


@script_group.command("retire")
@click.argument("script", type=Version(), metavar="NAME@VERSION")
@data_options
@pass_session
def retire(session: Session, script: tuple[str, int], form: Form) -> None:
    """Retire a version: nobody runs it any more.

    \b
    Examples:
      drover script retire restart-app@3
    """
    _move(session, scripts.retire_version, script, form)


def _move(session: Session, call: Any, script: tuple[str, int], form: Form) -> None:
    name, version = script
    if not version:
        raise click.UsageError(f"which version? Write {name}@VERSION")
    content, moved = session.client.both(call, MoveVersion(name=name, version=version))
    _emit_script(form, content, moved)


@script_group.command("search")
@click.argument("text")
@data_options
@pass_session
def search(session: Session, text: str, form: Form) -> None:
    """Find a text in names, tags, descriptions and contents.

    \b
    Examples:
      drover script search systemctl
      drover script search 'rm -rf' -o name
    """
    content = session.client.all_pages(search_scripts, SearchScripts(text=text, limit=200))
    found = typed(content, FoundScripts).scripts

    def table() -> None:
        for each in found:
            out(f"{each.script.name}: {counted(each.count, 'line')}")
            for line in each.lines:
                out(f"  @{line.version} {line.line}: {line.text}")

    emit(form, content, lambda: [each.script.name for each in found], table)


@script_group.command("lint")
@click.argument("file")
@click.option("--python", is_flag=True, help="The text is Python. So is FILE.py.")
@data_options
@pass_session
def lint(session: Session, file: str, python: bool, form: Form) -> None:
    """Check a file and store nothing. Exit status 1 if there are errors.

    \b
    Examples:
      drover script lint restart.sh
      drover script lint - < report.py --python
    """
    text, language, _ = given_scripts.script_of((), file, python=python)
    content, told = session.client.both(scripts.lint_script, LintText(text=text, language=Language(language)))
    emit(form, content, lambda: [_line(each) for each in told.findings], lambda: _findings(told))
    if any(each.level is Level.ERROR for each in told.findings):
        raise click.exceptions.Exit(Exit.FAILED_HOSTS)


def _findings(told: Lint) -> None:
    for each in told.findings:
        out(_line(each))
    talk(f"{told.by or 'no checker knows this language'}: {counted(len(told.findings) + told.more, 'finding')}")


def _line(finding: Finding) -> str:
    return f"{finding.line}:{finding.column} {finding.level} {finding.code} {finding.message}"


def _tell(told: Lint) -> None:
    for each in told.findings:
        talk(_line(each))


def _number(version: int) -> str:
    return str(version) if version else ""


def _emit_script(form: Form, content: Any, script: Script) -> None:
    emit(form, content, lambda: [script.name], lambda: facts(_of_script(script)))


def _of_script(script: Script) -> list[tuple[str, str]]:
    return [
        ("name", script.name),
        ("kind", script.kind),
        ("owner", script.owner),
        ("description", script.description),
        ("tags", ", ".join(script.tags)),
        ("online", _number(script.online)),
        ("newest", str(script.newest)),
        ("changed", f"{when(script.changed_at)} by {script.changed_by}"),
    ]


def _emit_version(form: Form, content: Any, stored: StoredText, *, text: bool) -> None:
    version = stored.version

    def table() -> None:
        facts(
            [
                *_of_script(stored.script),
                ("version", f"{version.number} ({version.state})"),
                ("language", version.language),
                ("sha256", version.sha256),
                ("parameters", "\n".join(given_scripts.declared(each) for each in version.parameters)),
                ("note", version.note),
                ("by", f"{version.by} {when(version.at)}"),
                ("checked by", version.lint.by),
                ("findings", "\n".join(_line(each) for each in version.lint.findings) if text else ""),
                ("text", stored.text.rstrip("\n") if text else ""),
            ]
        )

    emit(form, content, lambda: [f"{stored.script.name}@{version.number}"], table)
