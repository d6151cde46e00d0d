"""Chunks of output in MongoDB: inserted once, read in the order of their offsets."""

from collections.abc import AsyncIterator, Sequence

from runtime.mongo import Collection, Database, Document
from services.jobs.once import Inserted, insert_once
from services.jobs.output.pieces import Piece

CHUNKS_AT_ONCE = 2
"""A chunk has up to 512 KiB."""


class OutputStore:
    def __init__(self, database: Database) -> None:
        self._output: Collection = database["output"]

    async def prepare(self) -> None:
        await self._output.create_index([("task", 1), ("host", 1), ("end", 1)])

    async def insert(self, found: Sequence[Document]) -> Inserted:
        """See insert_once."""
        return await insert_once(self._output, found)

    async def pieces(self, task: str, host: str, offset: int) -> AsyncIterator[Piece]:
        """The chunks that reach beyond `offset`, in order."""
        query = {"task": task, "host": host, "end": {"$gt": offset}}
        found = self._output.find(query, {"offset": 1, "text": 1}).sort("end", 1).batch_size(CHUNKS_AT_ONCE)
        async for each in found:
            yield Piece(each["offset"], each["text"])

    async def reach(self, task: str, host: str) -> tuple[int, int]:
        """How many chunks there are, and where the last one ends."""
        query = {"task": task, "host": host}
        last = self._output.find(query, {"_id": 0, "end": 1}).sort("end", -1).limit(1)
        async for each in last:
            return await self._output.count_documents(query), each["end"]
        return 0, 0
