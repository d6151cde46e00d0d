"""The least that storing documents costs: pymongo itself, `insert_many` with majority and journal.

Spoken to by bench.ingest as bench.children says.
"""

from typing import Any

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from bench.children import say, serve, told
from bench.documents import outcome

INSERTED_AT_ONCE = 500


async def work() -> None:
    """Prepare upon one line, insert upon the next."""
    orders = told()
    async for order in orders:
        client: MongoClient[dict[str, Any]] = MongoClient(order["url"])
        collection = client["bench"].get_collection("bare", write_concern=WriteConcern("majority", j=True))
        collection.drop()
        collection.insert_one({"_id": "connected"})
        documents = [outcome(number) for number in range(order["count"])]
        say(ready=True)
        await anext(orders)
        for start in range(0, len(documents), INSERTED_AT_ONCE):
            collection.insert_many(documents[start : start + INSERTED_AT_ONCE], ordered=False)
        say(inserted=len(documents))
        client.close()


if __name__ == "__main__":
    serve(work)
