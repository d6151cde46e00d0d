"""Where hosts can be, whom they can serve, and their custom attributes. Spoken by the resources service.

A place is named by its kind and its path: the business `games`, its product line `games/mobile` and one of that,
`games/mobile/chess`; the IDC `js`, its room `js/r1`, a rack in it, `js/r1/a7`, or a rack that stands in no room,
`js/a7`; the set `blue`. A host says `business` and `product_line` (`mobile/chess`), `idc`, `room`, `rack` and
`host_set`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.hosts import AttributeName, Limit
from contracts.kinds import Call, delete, get, post

Path = Annotated[str, Meta(min_length=1, max_length=500)]
Description = Annotated[str, Meta(max_length=2000)]
Choice = Annotated[str, Meta(min_length=1, max_length=200)]
Choices = Annotated[tuple[Choice, ...], Meta(max_length=100)]


class PlaceKind(StrEnum):
    BUSINESS = "business"
    PRODUCT_LINE = "product_line"
    IDC = "idc"
    ROOM = "room"
    RACK = "rack"
    SET = "set"


class Place(Struct, frozen=True, kw_only=True):
    kind: PlaceKind
    path: str
    description: str
    revision: int
    changed_by: str
    changed_at: datetime
    hosts: int | None = None
    """How many hosts that the caller may see name it; told where one place is shown."""


class PlaceRef(Struct, frozen=True, kw_only=True):
    kind: PlaceKind
    path: Path


class CreatePlace(Struct, frozen=True, kw_only=True):
    """What is missing above it is made as well."""

    kind: PlaceKind
    path: Path
    description: Description = ""


class ChangePlace(Struct, frozen=True, kw_only=True):
    """A path never changes: make the new place, move the hosts, delete the old one."""

    kind: PlaceKind
    path: Path
    revision: int | None = None
    description: Description


class ListPlaces(Struct, frozen=True, kw_only=True):
    kinds: tuple[PlaceKind, ...] = ()
    below: Annotated[str, Meta(max_length=600)] = ""
    """Only what lies below this path, however deep."""
    after: str = ""
    limit: Limit = 100


class Places(Struct, frozen=True, kw_only=True):
    """Sorted by kind, then path."""

    places: list[Place]
    next: str = ""


class AttributeType(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"


class Attribute(Struct, frozen=True, kw_only=True):
    """Something that people decided to know of hosts."""

    name: str
    type: AttributeType
    choices: tuple[str, ...]
    description: str
    revision: int
    changed_by: str
    changed_at: datetime


class AttributeRef(Struct, frozen=True, kw_only=True):
    name: AttributeName


class DeclareAttribute(Struct, frozen=True, kw_only=True):
    name: AttributeName
    type: AttributeType
    choices: Choices = ()
    """Of the type choice: the values it can have."""
    description: Description = ""


class ChangeAttribute(Struct, frozen=True, kw_only=True):
    """A type never changes. A choice that some host has cannot go."""

    name: AttributeName
    revision: int | None = None
    choices: Choices | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class ListAttributes(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: Limit = 100


class DeclaredAttributes(Struct, frozen=True, kw_only=True):
    """Sorted by name."""

    attributes: list[Attribute]
    next: str = ""


list_places = Call(
    "resources.topology.list",
    ListPlaces,
    Places,
    needs="hosts:read",
    http=get("/places"),
    idempotent=True,
    summary="List businesses, product lines, IDCs, rooms, racks and sets",
)
show_place = Call(
    "resources.topology.show",
    PlaceRef,
    Place,
    needs="hosts:read",
    http=get("/places/{kind}/{path}"),
    idempotent=True,
    summary="Show a place and how many hosts name it",
)
create_place = Call(
    "resources.topology.create",
    CreatePlace,
    Place,
    needs="topology:change",
    http=post("/places", status=201),
    summary="Make a place, and what is missing above it",
)
change_place = Call(
    "resources.topology.change",
    ChangePlace,
    Place,
    needs="topology:change",
    http=post("/places/{kind}/{path}"),
    summary="Describe a place",
)
delete_place = Call(
    "resources.topology.delete",
    PlaceRef,
    Place,
    needs="topology:change",
    http=delete("/places/{kind}/{path}"),
    summary="Delete a place that no host and no other place is in",
)
list_attributes = Call(
    "resources.attributes.list",
    ListAttributes,
    DeclaredAttributes,
    needs="hosts:read",
    http=get("/attributes"),
    idempotent=True,
    summary="List the custom attributes of hosts",
)
declare_attribute = Call(
    "resources.attributes.declare",
    DeclareAttribute,
    Attribute,
    needs="topology:change",
    http=post("/attributes", status=201),
    summary="Declare a custom attribute of hosts",
)
change_attribute = Call(
    "resources.attributes.change",
    ChangeAttribute,
    Attribute,
    needs="topology:change",
    http=post("/attributes/{name}"),
    summary="Change the description or the choices of a custom attribute",
)
delete_attribute = Call(
    "resources.attributes.delete",
    AttributeRef,
    Attribute,
    needs="topology:change",
    http=delete("/attributes/{name}"),
    summary="Delete a custom attribute that no host has",
)
