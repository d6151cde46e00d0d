"""Declared attributes in MongoDB."""

from collections.abc import Collection

import msgspec
from pymongo import ASCENDING

from contracts.topology import Attribute, DeclareAttribute, ListAttributes
from runtime.mongo import Database, Document, DuplicateKeyError, Session, now
from runtime.revisions import Revisions, marks


class AttributeStore:
    def __init__(self, database: Database) -> None:
        self._attributes, self._hosts = database["attributes"], database["hosts"]
        self.revisions = Revisions(self._attributes, "attribute.changed_meanwhile", "the attribute {}")

    async def get(self, name: str) -> Attribute | None:
        document = await self._attributes.find_one({"_id": name})
        return _to_attribute(document) if document else None

    async def declared(self, session: Session | None = None) -> dict[str, Attribute]:
        """Name → attribute."""
        found = self._attributes.find({}, session=session).hint("_id_")
        return {document["_id"]: _to_attribute(document) for document in await found.to_list(None)}

    async def page(self, request: ListAttributes) -> list[Attribute]:
        """Up to one more than asked for, which tells that there is a next page."""
        found = self._attributes.find({"_id": {"$gt": request.after}}).sort("_id", ASCENDING).limit(request.limit + 1)
        return [_to_attribute(document) for document in await found.to_list(None)]

    async def add(self, request: DeclareAttribute, by: str) -> Attribute | None:
        """None if there is one of that name."""
        document = {
            "_id": request.name,
            "type": request.type.value,
            "choices": list(request.choices),
            "description": request.description,
            **marks(1, by, now()),
        }
        try:
            await self._attributes.insert_one(document)
        except DuplicateKeyError:
            return None
        return _to_attribute(document)

    async def save(self, before: Attribute, after: Attribute) -> bool:
        """False if it has moved on from the revision it had before."""
        done = await self._attributes.update_one(
            {"_id": before.name, "revision": before.revision},
            self.revisions.update(_changeable(before), _changeable(after)),
        )
        return done.modified_count == 1

    async def delete(self, name: str) -> None:
        await self._attributes.delete_one({"_id": name})

    async def has(self, name: str, values: Collection[str] | None = None) -> str | None:
        """A host that has the attribute, with one of the values if there are any."""
        having: Document = {"$exists": True} if values is None else {"$in": list(values)}
        document = await self._hosts.find_one({f"attributes.{name}": having}, {"_id": 1})
        return document["_id"] if document else None


def _changeable(attribute: Attribute) -> Document:
    return {
        "choices": list(attribute.choices),
        "description": attribute.description,
        **marks(attribute.revision, attribute.changed_by, attribute.changed_at),
    }


def _to_attribute(document: Document) -> Attribute:
    return msgspec.convert(document | {"name": document["_id"]}, Attribute)
