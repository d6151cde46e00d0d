"""Facts are inserted once and never changed: what is there already stays as it is."""

from collections.abc import Sequence, Set
from typing import NamedTuple

import bson
from bson.errors import InvalidDocument
from pymongo.errors import BulkWriteError

from runtime.mongo import Collection, Document

_DUPLICATE = 11_000
_NOT_BSON = (InvalidDocument, OverflowError, UnicodeError, ValueError)


class Inserted(NamedTuple):
    bad: Sequence[Document] = ()
    """What MongoDB can never hold."""
    again: Set[str] = frozenset()
    """Ids of what was there already."""


async def insert_once(collection: Collection, found: Sequence[Document]) -> Inserted:
    """Insert; what is there already stays as it is."""
    if not found:
        return Inserted()
    try:
        await collection.insert_many(found, ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        errors = details.get("writeErrors", ())
        if details.get("writeConcernErrors") or any(each.get("code") != _DUPLICATE for each in errors):
            raise
        return Inserted(again={found[each["index"]]["_id"] for each in errors})
    except _NOT_BSON:
        bad = [document for document in found if not _storable(document)]
        if not bad:
            raise
        rest = await insert_once(collection, [document for document in found if document not in bad])
        return rest._replace(bad=bad)
    return Inserted()


def _storable(document: Document) -> bool:
    try:
        bson.encode(document)
    except _NOT_BSON:
        return False
    return True
