"""An API token as the gateway knows it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from contracts.people import ApiToken

PREFIX = "drv_"
"""Lets people and scanners see what a string is that turned up where it should not."""


@dataclass(frozen=True, kw_only=True)
class KnownToken:
    id: str
    hash: str
    owner: str
    label: str
    created_at: datetime
    expires_at: datetime
    withdrawn: bool = False

    def works(self, now: datetime) -> bool:
        return not self.withdrawn and now < self.expires_at

    def shown(self, secret: str = "") -> ApiToken:
        return ApiToken(
            id=self.id,
            label=self.label,
            owner=self.owner,
            created_at=self.created_at,
            expires_at=self.expires_at,
            secret=secret,
        )
