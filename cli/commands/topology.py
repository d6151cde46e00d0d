"""Where hosts can be, whom they can serve, and their custom attributes."""

from typing import Any

import click
from msgspec import UNSET

from cli.client import typed
from cli.display import Form, emit, facts, out, rows, when
from cli.session import Session, data_options, pass_session
from cli.words import Word
from contracts.topology import (
    AttributeRef,
    AttributeType,
    ChangeAttribute,
    ChangePlace,
    CreatePlace,
    DeclareAttribute,
    DeclaredAttributes,
    ListAttributes,
    ListPlaces,
    Place,
    PlaceKind,
    PlaceRef,
    Places,
    change_attribute,
    change_place,
    create_place,
    declare_attribute,
    delete_attribute,
    delete_place,
    list_attributes,
    list_places,
    show_place,
)

KIND = click.argument("kind", type=Word(PlaceKind))


@click.group("topology")
def topology_group() -> None:
    """Businesses, product lines, IDCs, rooms, racks and sets."""


@topology_group.command("list")
@click.option("--kind", multiple=True, type=Word(PlaceKind), help="Only places of this kind; repeatable.")
@click.option("--below", default="", help="Only what lies in this place, such as js/r1.")
@data_options
@pass_session
def list_(session: Session, kind: tuple[PlaceKind, ...], below: str, form: Form) -> None:
    """List places, all of them.

    \b
    Examples:
      drover topology list --kind rack --below js
      drover topology list --kind business -o name
    """
    content = session.client.all_pages(list_places, ListPlaces(kinds=kind, below=below, limit=1000))
    found = typed(content, Places).places

    def table() -> None:
        rows(("KIND", "PATH", "DESCRIPTION"), [(place.kind, place.path, place.description) for place in found])

    emit(form, content, lambda: [each.path for each in found], table)


@topology_group.command("show")
@KIND
@click.argument("path")
@data_options
@pass_session
def show(session: Session, kind: PlaceKind, path: str, form: Form) -> None:
    """Show a place, and how many hosts name it.

    \b
    Examples:
      drover topology show rack js/r1/a7
    """
    content, place = session.client.both(show_place, PlaceRef(kind=kind, path=path))
    emit(form, content, lambda: [place.path], lambda: _table(place))


@topology_group.command("create")
@KIND
@click.argument("path")
@click.option("--description", default="", help="What it is.")
@data_options
@pass_session
def create(session: Session, kind: PlaceKind, path: str, description: str, form: Form) -> None:
    """Make a place, and what is missing above it.

    \b
    Examples:
      drover topology create business games
      drover topology create product_line games/mobile/chess
      drover topology create rack js/r1/a7
    """
    request = CreatePlace(kind=kind, path=path, description=description)
    content, place = session.client.both(create_place, request)
    emit(form, content, lambda: [place.path], lambda: _table(place))


@topology_group.command("describe")
@KIND
@click.argument("path")
@click.argument("description")
@click.option("--revision", type=int, help="Only if nobody changed it since this revision.")
@data_options
@pass_session
def describe(session: Session, kind: PlaceKind, path: str, description: str, revision: int | None, form: Form) -> None:
    """Describe a place.

    \b
    Examples:
      drover topology describe set blue 'the half that is rolled out first'
    """
    request = ChangePlace(kind=kind, path=path, description=description, revision=revision)
    content, place = session.client.both(change_place, request)
    emit(form, content, lambda: [place.path], lambda: _table(place))


@topology_group.command("delete")
@KIND
@click.argument("path")
@data_options
@pass_session
def delete(session: Session, kind: PlaceKind, path: str, form: Form) -> None:
    """Delete a place that no host and no other place is in.

    \b
    Examples:
      drover topology delete rack js/r1/a7
    """
    content, place = session.client.both(delete_place, PlaceRef(kind=kind, path=path))
    emit(form, content, lambda: [place.path], lambda: out(f"{place.kind} {place.path} deleted"))


def _table(place: Place) -> None:
    facts(
        [
            ("kind", place.kind),
            ("path", place.path),
            ("description", place.description),
            ("hosts", "" if place.hosts is None else str(place.hosts)),
            ("changed", f"{when(place.changed_at)} by {place.changed_by}"),
            ("revision", str(place.revision)),
        ]
    )


@click.group("attribute")
def attribute_group() -> None:
    """Custom attributes of hosts, each with a type."""


@attribute_group.command("list")
@data_options
@pass_session
def list_attributes_(session: Session, form: Form) -> None:
    """List the declared attributes, all of them.

    \b
    Examples:
      drover attribute list
    """
    content = session.client.all_pages(list_attributes, ListAttributes(limit=1000))
    found = typed(content, DeclaredAttributes).attributes

    def table() -> None:
        rows(
            ("NAME", "TYPE", "CHOICES", "DESCRIPTION"),
            [(each.name, each.type, ", ".join(each.choices), each.description) for each in found],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@attribute_group.command("declare")
@click.argument("name")
@click.argument("type_", metavar="TYPE", type=Word(AttributeType))
@click.option("--choice", multiple=True, help="A value of the type choice; repeatable.")
@click.option("--description", default="", help="What it is.")
@data_options
@pass_session
def declare(session: Session, /, form: Form, **given: Any) -> None:
    """Declare an attribute of the type string, integer, boolean or choice.

    \b
    Examples:
      drover attribute declare slots integer
      drover attribute declare tier choice --choice gold --choice iron
    """
    request = DeclareAttribute(
        name=given["name"], type=given["type_"], choices=given["choice"], description=given["description"]
    )
    content, made = session.client.both(declare_attribute, request)
    emit(form, content, lambda: [made.name], lambda: out(f"{made.name} declared as {made.type}"))


@attribute_group.command("change")
@click.argument("name")
@click.option("--choice", multiple=True, help="All values of the type choice; repeatable.")
@click.option("--description", help="What it is.")
@click.option("--revision", type=int, help="Only if nobody changed it since this revision.")
@data_options
@pass_session
def change(session: Session, /, form: Form, **given: Any) -> None:
    """Change the description or the choices. A choice that some host has stays.

    \b
    Examples:
      drover attribute change tier --choice gold --choice iron --choice tin
    """
    request = ChangeAttribute(
        name=given["name"],
        revision=given["revision"],
        choices=given["choice"] or UNSET,
        description=UNSET if given["description"] is None else given["description"],
    )
    content, made = session.client.both(change_attribute, request)
    emit(form, content, lambda: [made.name], lambda: out(f"{made.name} changed, revision {made.revision}"))


@attribute_group.command("delete")
@click.argument("name")
@data_options
@pass_session
def delete_attribute_(session: Session, name: str, form: Form) -> None:
    """Delete an attribute that no host has.

    \b
    Examples:
      drover attribute delete slots
    """
    content, gone = session.client.both(delete_attribute, AttributeRef(name=name))
    emit(form, content, lambda: [gone.name], lambda: out(f"{gone.name} deleted"))
