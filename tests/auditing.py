"""What tests do to an audit trail, and what they read of it."""

import contextlib

from contracts.audit import AuditKind

NEVER = {"$jsonSchema": {"required": ["a field that no row has"]}}


@contextlib.asynccontextmanager
async def refusing(database):
    """Meanwhile the database refuses every row of the trail, and nothing else."""
    await database.command("collMod", "audit", validator=NEVER)
    try:
        yield
    finally:
        await database.command("collMod", "audit", validator={})


async def rows(database, **which):
    """As documents, in the order of their chains."""
    return await database["audit"].find(which).sort([("chain", 1), ("n", 1)]).to_list(None)


async def ended(database, call):
    """Whether everything that was asked by this call has a row that says how it ended."""
    of_call = await rows(database, call=call)
    asked = {each["_id"] for each in of_call if each["kind"] == AuditKind.ASKED}
    return asked == {each["ref"] for each in of_call if each["kind"] == AuditKind.DONE}
