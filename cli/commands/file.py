"""The depot: what is kept there to be sent to hosts."""

from pathlib import Path
from typing import Any

import click
import msgspec

from cli import sending
from cli.client import typed
from cli.display import Form, emit, facts, rows, talk, when
from cli.progress import Meter
from cli.session import Session, data_options, pass_session
from cli.words import Word
from contracts.depot import (
    DeleteFile,
    Entries,
    ListEntries,
    RegisterFile,
    delete_file,
    list_entries,
    register_file,
)
from contracts.files import (
    ChangeFile,
    File,
    FileKind,
    FileRef,
    Files,
    FileVersions,
    ListFiles,
    ListFileVersions,
    change_file,
    list_file_versions,
    list_files,
    show_file,
)

kind_option = click.option(
    "--kind", type=Word(FileKind), help="What it is; default: a folder for a folder, else a file."
)
note_option = click.option("--note", default="", help="Why there is this version.")
version_option = click.option("--version", type=click.IntRange(min=1), default=None, help="Default: the newest.")


@click.group("file")
def file_group() -> None:
    """Files of the depot: kept once, in versions that never change."""


@file_group.command("put")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.argument("name", required=False)
@kind_option
@note_option
@data_options
@pass_session
def put(session: Session, path: Path, name: str | None, kind: FileKind | None, note: str, form: Form) -> None:
    """Upload a file or a folder; it becomes the newest version of NAME (default: its own name).

    Broken off, the same command goes on where it stopped; what the depot has already is not sent.

    \b
    Examples:
      drover file put build/app-1.4.tar.gz app.tar.gz --kind archive --note 'release 1.4'
      drover file put conf.d nginx-conf
    """
    kind = kind or (FileKind.FOLDER if path.is_dir() else FileKind.FILE)
    if path.is_dir() != (kind is FileKind.FOLDER):
        raise click.UsageError(f"{path} is {'a' if path.is_dir() else 'no'} folder, so it cannot be put as a {kind}")
    name = name or path.resolve().name
    try:
        with sending.content_of(path, kind) as content, Meter(name) as meter:
            upload = sending.begun(session.client, content, name, kind, note)
            if upload.offset:
                talk(f"{upload.offset} of {upload.size} bytes are there already")
            made = sending.send(session.client, content, upload, lambda done: meter.show(done, upload.size))
    except OSError as error:
        raise click.UsageError(f"cannot read {error.filename or path}: {error.strerror}") from None
    _print(form, msgspec.to_builtins(made), made)


@file_group.command("register")
@click.argument("path")
@click.argument("name", required=False)
@kind_option
@note_option
@data_options
@pass_session
def register(session: Session, path: str, name: str | None, kind: FileKind | None, note: str, form: Form) -> None:
    """Take a file or folder of the management host, below one of its listed roots.

    \b
    Examples:
      drover file register /srv/images/base.qcow2
      drover file register /srv/conf nginx-conf --kind folder
    """
    request = RegisterFile(name=name or Path(path).name, kind=kind or FileKind.FILE, path=path, note=note)
    content, made = session.client.both(register_file, request)
    _print(form, content, made)


@file_group.command("list")
@click.argument("search", required=False, default="")
@click.option("--kind", type=Word(FileKind), multiple=True, help="Only of this kind; repeatable.")
@click.option("--tag", multiple=True, help="Only with this tag; repeatable: with all of them.")
@data_options
@pass_session
def list_(session: Session, search: str, kind: tuple[FileKind, ...], tag: tuple[str, ...], form: Form) -> None:
    """List files whose name begins with SEARCH.

    \b
    Examples:
      drover file list
      drover file list nginx --tag web
    """
    content = session.client.all_pages(list_files, ListFiles(search=search, kinds=kind, tags=tag, limit=500))
    found = typed(content, Files).files

    def table() -> None:
        rows(
            ("NAME", "KIND", "VERSION", "SIZE", "CHANGED", "BY", "TAGS"),
            [
                (
                    each.name,
                    each.kind,
                    str(each.newest.number),
                    str(each.newest.size),
                    when(each.newest.at),
                    each.newest.by,
                    ",".join(each.tags),
                )
                for each in found
            ],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@file_group.command("show")
@click.argument("name")
@data_options
@pass_session
def show(session: Session, name: str, form: Form) -> None:
    """Show a file with its versions.

    \b
    Examples:
      drover file show app.tar.gz
    """
    content, found = session.client.both(show_file, FileRef(name=name))
    _print(form, content, found)
    if form is Form.TABLE:
        versions = typed(
            session.client.all_pages(list_file_versions, ListFileVersions(name=name)), FileVersions
        ).versions
        click.echo()
        rows(
            ("VERSION", "SIZE", "SHA256", "AT", "BY", "NOTE"),
            [(str(v.number), str(v.size), v.sha256[:16], when(v.at), v.by, v.note) for v in versions],
        )


@file_group.command("entries")
@click.argument("name")
@version_option
@data_options
@pass_session
def entries(session: Session, name: str, version: int | None, form: Form) -> None:
    """List what is in a folder or an archive.

    \b
    Examples:
      drover file entries nginx-conf
    """
    request = ListEntries(name=name, version=version or 0, limit=1000)
    content = session.client.all_pages(list_entries, request)
    found = typed(content, Entries).entries

    def table() -> None:
        cells = [(oct(e.mode)[2:].rjust(3, "0"), e.type, str(e.size), e.path, e.target) for e in found]
        rows(("MODE", "TYPE", "SIZE", "PATH", "TO"), cells)

    emit(form, content, lambda: [each.path for each in found], table)


@file_group.command("get")
@click.argument("name")
@click.argument("to", required=False, type=click.Path(path_type=Path))
@version_option
@data_options
@pass_session
def get(session: Session, name: str, to: Path | None, version: int | None, form: Form) -> None:
    """Download a file, or a folder with its files, links and modes, to TO (default: its own name).

    \b
    Examples:
      drover file get app.tar.gz /tmp/
      drover file get nginx-conf ./conf --version 3
    """
    client = session.client
    content, file = client.both(show_file, FileRef(name=name))
    to = Path(name) if to is None else to / name if to.is_dir() else to
    if file.kind is FileKind.FOLDER:
        sending.fetch_folder(client, name, version or 0, to)
    else:
        sending.fetch(client, name, version or 0, "", to)
    emit(form, content, lambda: [str(to)], lambda: talk(f"{name} is in {to}"))


@file_group.command("change")
@click.argument("name")
@click.option("--tag", multiple=True, help="The tags it shall have; repeatable.")
@click.option("--no-tags", is_flag=True, help="Take all tags away.")
@click.option("--description", default=None, help="What it is for.")
@data_options
@pass_session
def change(
    session: Session, name: str, tag: tuple[str, ...], no_tags: bool, description: str | None, form: Form
) -> None:
    """Change a file's tags or description.

    \b
    Examples:
      drover file change app.tar.gz --tag web --tag release
    """
    told: dict[str, Any] = {"tags": tag} if tag or no_tags else {}
    told |= {"description": description} if description is not None else {}
    if not told:
        raise click.UsageError("what shall change? Give --tag, --no-tags or --description")
    content, made = session.client.both(change_file, ChangeFile(name=name, **told))
    _print(form, content, made)


@file_group.command("delete")
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a file with all its versions; bytes that no other file has go too.

    \b
    Examples:
      drover file delete old-app.tar.gz
    """
    session.client.call(delete_file, DeleteFile(name=name))
    talk(f"{name} is deleted")


def _print(form: Form, content: Any, file: File) -> None:
    newest = file.newest
    emit(
        form,
        content,
        lambda: [file.name],
        lambda: facts(
            [
                ("name", file.name),
                ("kind", file.kind),
                ("version", str(newest.number)),
                ("size", str(newest.size)),
                ("entries", str(newest.entries or "")),
                ("sha256", newest.sha256),
                ("md5", newest.md5),
                ("path", newest.path),
                ("from", newest.origin),
                ("note", newest.note),
                ("by", newest.by),
                ("at", when(newest.at)),
                ("tags", ", ".join(file.tags)),
                ("description", file.description),
            ]
        ),
    )
