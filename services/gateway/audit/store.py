"""Checkpoints in MongoDB: collection `audit_checkpoints`, keyed by their number. Never changed."""

from collections.abc import Sequence

import msgspec

from contracts.audit import Checkpoint
from runtime.mongo import Database, Document, DuplicateKeyError


class CheckpointStore:
    def __init__(self, database: Database) -> None:
        self._checkpoints = database["audit_checkpoints"]

    async def prepare(self) -> None:
        await self._checkpoints.create_index("heads.digest")

    async def add(self, checkpoint: Checkpoint) -> bool:
        """Whether it was added; not if another gateway made one of this number first."""
        try:
            await self._checkpoints.insert_one(_document(checkpoint))
        except DuplicateKeyError:
            return False
        return True

    async def newest(self) -> Checkpoint | None:
        async for document in self._checkpoints.find().sort("_id", -1).limit(1):
            return _checkpoint(document)
        return None

    async def signed(self, digests: Sequence[str]) -> set[str]:
        """Which of these stand in a checkpoint already."""
        which = {"heads.digest": {"$in": list(digests)}}
        cursor = self._checkpoints.find(which, {"heads.digest": 1})
        return {head["digest"] async for document in cursor for head in document["heads"]}

    async def following(self, after: int, limit: int) -> list[Checkpoint]:
        cursor = self._checkpoints.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
        return [_checkpoint(document) async for document in cursor]


def _document(checkpoint: Checkpoint) -> Document:
    heads = [msgspec.structs.asdict(head) for head in checkpoint.heads]
    return {
        "_id": checkpoint.n,
        "at": checkpoint.at,
        "previous": checkpoint.previous,
        "heads": heads,
        "signature": checkpoint.signature,
    }


def _checkpoint(document: Document) -> Checkpoint:
    return msgspec.convert({**document, "n": document["_id"]}, Checkpoint)
