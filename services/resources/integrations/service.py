"""Letting programs in. Each public method is one use case."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from contracts import subjects
from contracts.errors import Conflict, NotFound
from contracts.people import (
    ChangeIntegration,
    CreateIntegration,
    Integration,
    IntegrationBounds,
    IntegrationRef,
    Integrations,
    Nothing,
    Principal,
)
from contracts.permissions import EVERYTHING, Scope
from runtime import nats_jwt
from runtime.audit import note
from runtime.names import Names
from runtime.nats_jwt import Key, Kind
from runtime.scopes import added
from services.resources.integrations import model
from services.resources.integrations.store import IntegrationRecord, IntegrationStore
from services.resources.revocations.announcer import Announcer

log = structlog.get_logger()

TURNS = 5


@dataclass(frozen=True)
class IntegrationIssuer:
    """What the credentials of integrations are made of, and what they are told."""

    signing_key: Key
    account: str
    """Public key of the account."""
    servers: tuple[str, ...]
    ca: str

    def credentials(self, integration: Integration, key: Key) -> str:
        """Content of a credentials file."""
        user = nats_jwt.integration_user(
            integration.name,
            integration.calls,
            integration.events,
            key=key.public,
            account=self.account,
            expires=int(integration.expires_at.timestamp()),
        )
        jwt = nats_jwt.user_jwt(user, self.signing_key, integration.created_at.timestamp())
        return nats_jwt.credentials(jwt, key.seed)


class IntegrationService:
    def __init__(
        self, integrations: IntegrationStore, issuer: IntegrationIssuer, announcer: Announcer, names: Names
    ) -> None:
        self._integrations, self._issuer, self._announcer = integrations, issuer, announcer
        self._names = names

    async def create(self, request: CreateIntegration, principal: Principal) -> Integration:
        model.check(request.calls, request.events)
        model.check_scope(request.scope, request.events)
        await self._names.check(added(EVERYTHING, request.scope), principal)
        now = datetime.now(UTC)
        integration = Integration(
            name=request.name,
            calls=tuple(dict.fromkeys(request.calls)),
            events=tuple(dict.fromkeys(request.events)),
            created_at=now,
            expires_at=now + timedelta(seconds=request.expires_in_s),
            scope=request.scope,
            changed_by=principal.name,
            changed_at=now,
        )
        key = Key.make(Kind.USER)
        if not await self._integrations.add(IntegrationRecord(integration, key.public, principal.name)):
            raise Conflict("integration.exists", f"There is an integration {request.name}. Revoke it first.")
        log.info("integration.created", integration=integration.name, calls=integration.calls, by=principal.name)
        credentials = self._issuer.credentials(integration, key)
        return msgspec.structs.replace(self._told(integration), credentials=credentials)

    async def change(self, request: ChangeIntegration, principal: Principal) -> Integration:
        for _ in range(TURNS):
            before = await self._integrations.get(request.name)
            if before is None:
                raise NotFound("integration.unknown", "There is no such integration.")
            if before.revoked:
                raise Conflict("integration.revoked", f"{request.name} is revoked. Make it anew.")
            await self._integrations.revisions.check(request.revision, before.revision, before.name)
            model.check_scope(request.scope, before.events)
            await self._names.check(added(before.scope, request.scope), principal)
            after = _bound(before, request.scope, principal.name)
            if after is before or await self._integrations.bound(before, after):
                note(before=before, after=after)
                log.info("integration.changed", integration=after.name, by=principal.name)
                return msgspec.structs.replace(self._told(after), ca="")
        raise Conflict("integration.changed_meanwhile", f"{request.name} is changed by others all the time. Try again.")

    async def bounds(self, request: IntegrationRef, _: Principal) -> IntegrationBounds:
        return IntegrationBounds(scopes=await self._integrations.scopes_of(request.name))

    async def list(self, _: Nothing, __: Principal) -> Integrations:
        # The CA is the same for all and long; it is told where it is needed, at the creation.
        found = await self._integrations.all()
        return Integrations(integrations=[msgspec.structs.replace(self._told(each), ca="") for each in found])

    async def revoke(self, request: IntegrationRef, principal: Principal) -> Integration:
        integration = await self._integrations.revoke(request.name, principal.name)
        if integration is None:
            raise NotFound("integration.unknown", "There is no such integration.")
        cut = await self._announcer.announce()
        log.info("integration.revoked", integration=integration.name, by=principal.name, cut=cut)
        return self._told(integration)

    def _told(self, integration: Integration) -> Integration:
        return msgspec.structs.replace(
            integration,
            servers=self._issuer.servers,
            ca=self._issuer.ca,
            inbox_prefix=subjects.inbox(integration.name),
        )


def _bound(integration: Integration, scope: Scope, by: str) -> Integration:
    """The integration with this scope; the same object if it has it."""
    if integration.scope == scope:
        return integration
    return msgspec.structs.replace(
        integration, scope=scope, revision=integration.revision + 1, changed_by=by, changed_at=datetime.now(UTC)
    )
