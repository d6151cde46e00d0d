"""What MongoDB did while a test used the service: its own profiler tells."""

import contextlib


@contextlib.asynccontextmanager
async def profiled(database):
    """Entries of the profiler, without those about itself."""
    seen = []
    await database.command("profile", 2)
    try:
        yield seen
    finally:
        await database.command("profile", 0)
        seen += await database["system.profile"].find({"ns": {"$not": {"$regex": "system"}}}).to_list(None)
        await database["system.profile"].drop()


def whole_collections(seen, *names):
    """Commands that read a collection from its beginning to its end."""
    return [
        each["command"]
        for each in seen
        if "COLLSCAN" in each.get("planSummary", "") and each["ns"].partition(".")[2] in names
    ]
