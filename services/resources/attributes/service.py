"""What people do with declared attributes. Each public method is one use case."""

import asyncio

import msgspec
import structlog
from msgspec import UNSET

from contracts.errors import Conflict, NotFound
from contracts.people import Principal
from contracts.topology import (
    Attribute,
    AttributeRef,
    ChangeAttribute,
    DeclareAttribute,
    DeclaredAttributes,
    ListAttributes,
)
from runtime import revisions
from runtime.mongo import now
from services.resources.attributes import model
from services.resources.attributes.store import AttributeStore
from services.resources.groups.store import GroupStore

log = structlog.get_logger()


class AttributeService:
    def __init__(self, attributes: AttributeStore, groups: GroupStore) -> None:
        self._attributes, self._groups = attributes, groups

    async def list(self, request: ListAttributes, _: Principal) -> DeclaredAttributes:
        found = await self._attributes.page(request)
        page = found[: request.limit]
        return DeclaredAttributes(attributes=page, next=page[-1].name if len(found) > request.limit else "")

    async def declare(self, request: DeclareAttribute, principal: Principal) -> Attribute:
        model.check_declaration(request)
        made = await self._attributes.add(request, principal.name)
        if made is None:
            raise Conflict("attribute.exists", f"There is an attribute {request.name} already.")
        log.info("attribute.declared", attribute=made.name, by=principal.name)
        return made

    async def change(self, request: ChangeAttribute, principal: Principal) -> Attribute:
        while True:
            before = await self._get(request.name)
            await self._attributes.revisions.check(request.revision, before.revision, before.name)
            after = await self._changed(before, request, principal)
            if await self._attributes.save(before, after):
                log.info("attribute.changed", attribute=after.name, by=principal.name)
                return after

    async def _changed(self, before: Attribute, request: ChangeAttribute, principal: Principal) -> Attribute:
        choices = before.choices if request.choices is UNSET else request.choices
        model.check_declaration(DeclareAttribute(name=before.name, type=before.type, choices=choices))
        gone = set(before.choices) - set(choices)
        if gone and (host := await self._attributes.has(before.name, gone)):
            raise Conflict("attribute.in_use", f"{host} has one of {', '.join(sorted(gone))}. Change that first.")
        return msgspec.structs.replace(
            before,
            choices=choices,
            description=before.description if request.description is UNSET else request.description,
            **revisions.marks(before.revision + 1, principal.name, now()),
        )

    async def delete(self, request: AttributeRef, principal: Principal) -> Attribute:
        attribute = await self._get(request.name)
        if host := await self._attributes.has(request.name):
            raise Conflict(
                "attribute.in_use", f"{host} has the attribute {request.name}. Take it from all hosts first."
            )
        catalogue = await self._groups.catalogue()
        if group := await asyncio.to_thread(catalogue.asking_for, request.name):
            raise Conflict("attribute.in_use", f"The group {group} asks for {request.name}. Change the group first.")
        await self._attributes.delete(request.name)
        log.info("attribute.deleted", attribute=request.name, by=principal.name)
        return attribute

    async def _get(self, name: str) -> Attribute:
        attribute = await self._attributes.get(name)
        if attribute is None:
            raise NotFound("attribute.unknown", f"There is no attribute {name}.")
        return attribute
