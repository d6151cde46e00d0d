"""Facts are inserted once and never changed: what is there already stays as it is."""

from collections.abc import Sequence

import bson
from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import BulkWriteError

from runtime.mongo import Document

Collection = AsyncIOMotorCollection[Document]

_DUPLICATE = 11_000
_NOT_BSON = (InvalidDocument, OverflowError, UnicodeError, ValueError)


async def insert_once(collection: Collection, found: Sequence[Document]) -> list[Document]:
    """Insert; what is there already stays as it is. Returns the documents that MongoDB can never hold."""
    if not found:
        return []
    try:
        await collection.insert_many(found, ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        others = [each for each in details.get("writeErrors", ()) if each.get("code") != _DUPLICATE]
        if others or details.get("writeConcernErrors"):
            raise
    except _NOT_BSON:
        bad = [document for document in found if not _storable(document)]
        if not bad:
            raise
        await insert_once(collection, [document for document in found if document not in bad])
        return bad
    return []


def _storable(document: Document) -> bool:
    try:
        bson.encode(document)
    except _NOT_BSON:
        return False
    return True
