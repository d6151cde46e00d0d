"""Integrations in MongoDB: what they were given, never their seed."""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from pymongo import ASCENDING, IndexModel, ReturnDocument

from contracts.names import NameKind
from contracts.people import Integration
from contracts.permissions import EVERYTHING, Scope
from runtime.mongo import Database, Document, DuplicateKeyError, Session, together
from runtime.names import Kept
from runtime.revisions import Revisions, marks
from runtime.scopes import NAMED
from services.resources.revocations.store import Revocation, RevocationStore

LISTED = 200


@dataclass(frozen=True)
class IntegrationRecord:
    integration: Integration
    user_key: str
    by: str


class IntegrationStore:
    def __init__(self, database: Database, revocations: RevocationStore) -> None:
        self._database, self._revocations = database, revocations
        self._integrations = database["integrations"]
        self.revisions = Revisions(
            self._integrations, "integration.changed_meanwhile", "the integration {}", lambda found: found["scope"]
        )
        self.names = Kept.ids_of(
            self._integrations, lambda: {"revoked": False, "expires_at": {"$gte": datetime.now(UTC)}}
        )

    async def add(self, record: IntegrationRecord) -> bool:
        """False if the name is taken by one that is neither revoked nor expired."""
        free = {
            "_id": record.integration.name,
            "$or": [{"revoked": True}, {"expires_at": {"$lt": datetime.now(UTC)}}],
        }
        try:
            await self._integrations.replace_one(free, _to_document(record), upsert=True)
        except DuplicateKeyError:
            return False
        return True

    async def get(self, name: str) -> Integration | None:
        document = await self._integrations.find_one({"_id": name})
        return _to_integration(document) if document else None

    async def scopes_of(self, name: str) -> tuple[Scope, ...]:
        """None of one that is unknown or revoked; the credentials of an expired one are none by themselves."""
        integration = await self.get(name)
        return () if integration is None or integration.revoked else (integration.scope,)

    async def bound(self, before: Integration, after: Integration) -> bool:
        """Give it another scope; False if it has moved on from `before`."""
        made = {"scope": msgspec.to_builtins(after.scope), **_marks(after)}
        same = {"_id": before.name, "revision": before.revision, "revoked": False}
        update = self.revisions.update({"scope": msgspec.to_builtins(before.scope)}, made)
        return bool((await self._integrations.update_one(same, update)).modified_count)

    async def naming(self, kind: NameKind, name: str) -> list[str]:
        """Those with the name in their scope, unless they are revoked."""
        found = self._integrations.find({f"scope.{NAMED[kind]}": name, "revoked": False}, {"_id": 1})
        return sorted([each["_id"] async for each in found])

    async def prepare(self) -> None:
        """Indexes, and what integrations lack that were made before anything bounded them."""
        await self._integrations.create_indexes(
            [IndexModel([(f"scope.{field}", ASCENDING)]) for field in NAMED.values()]
        )
        first = {"revision": 1, "changed_by": "$created_by", "changed_at": "$created_at"}
        unbounded = {"scope": {"$literal": msgspec.to_builtins(EVERYTHING)}}
        await self._integrations.update_many({"revision": {"$exists": False}}, [{"$set": first | unbounded}])

    async def all(self) -> list[Integration]:
        """By name; at most as many as one message carries."""
        found = self._integrations.find().sort("_id", ASCENDING).limit(LISTED)
        return [_to_integration(document) for document in await found.to_list(None)]

    async def revoke(self, name: str, by: str) -> Integration | None:
        """None if there is none of that name. Revoking twice changes nothing."""

        async def work(session: Session) -> Document | None:
            now = datetime.now(UTC)
            ended = await self._integrations.find_one_and_update(
                {"_id": name, "revoked": False},
                {"$set": {"revoked": True, "revocation": {"by": by, "at": now}}},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if ended is not None:
                # Its key is never used again, so a date that is ahead of every clock does no harm.
                until = int(ended["expires_at"].timestamp())
                await self._revocations.add(
                    Revocation(ended["user_key"], issued_until=until, needed_until=ended["expires_at"]), session
                )
            return ended

        document = await together(self._database, work) or await self._integrations.find_one({"_id": name})
        return _to_integration(document) if document else None


def _to_document(record: IntegrationRecord) -> Document:
    kept = ("calls", "events", "created_at", "expires_at", "revoked", "scope")
    values = msgspec.to_builtins(record.integration, builtin_types=(datetime,))
    return {
        "_id": record.integration.name,
        **{name: values[name] for name in kept},
        "user_key": record.user_key,
        "created_by": record.by,
        **_marks(record.integration),
    }


def _marks(integration: Integration) -> Document:
    return marks(integration.revision, integration.changed_by, integration.changed_at or integration.created_at)


def _to_integration(document: Document) -> Integration:
    return msgspec.convert(document | {"name": document["_id"]}, Integration)
