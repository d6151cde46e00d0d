"""Letting programs in. Each public method is one use case."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from contracts import subjects
from contracts.errors import Conflict, NotFound
from contracts.people import CreateIntegration, Integration, IntegrationRef, Integrations, Nothing, Principal
from runtime import nats_jwt
from runtime.nats_jwt import Key, Kind
from services.resources.integrations import model
from services.resources.integrations.store import IntegrationRecord, IntegrationStore
from services.resources.revocations.announcer import Announcer

log = structlog.get_logger()


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
    def __init__(self, integrations: IntegrationStore, issuer: IntegrationIssuer, announcer: Announcer) -> None:
        self._integrations, self._issuer, self._announcer = integrations, issuer, announcer

    async def create(self, request: CreateIntegration, principal: Principal) -> Integration:
        model.check(request.calls, request.events)
        now = datetime.now(UTC)
        integration = Integration(
            name=request.name,
            calls=tuple(dict.fromkeys(request.calls)),
            events=tuple(dict.fromkeys(request.events)),
            created_at=now,
            expires_at=now + timedelta(seconds=request.expires_in_s),
        )
        key = Key.make(Kind.USER)
        if not await self._integrations.add(IntegrationRecord(integration, key.public, principal.name)):
            raise Conflict("integration.exists", f"There is an integration {request.name}. Revoke it first.")
        log.info("integration.created", integration=integration.name, calls=integration.calls, by=principal.name)
        credentials = self._issuer.credentials(integration, key)
        return msgspec.structs.replace(self._told(integration), credentials=credentials)

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
