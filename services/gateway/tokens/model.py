"""An API token as the gateway knows it, and what it may do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from contracts.people import ApiToken
from contracts.permissions import EVERYTHING, Grant, Scope

PREFIX = "drv_"
"""Lets people and scanners see what a string is that turned up where it should not."""
USED_EVERY = timedelta(minutes=1)
"""How exactly the last use is remembered; a write for every request would be too many."""


@dataclass(frozen=True, kw_only=True)
class KnownToken:
    id: str
    hash: str
    owner: str
    version: int
    """Of the owner, when the token was made."""
    label: str
    created_at: datetime
    expires_at: datetime
    permissions: tuple[str, ...] | None = None
    scope: Scope = EVERYTHING
    last_used_at: datetime | None = None
    withdrawn: bool = False

    def works(self, now: datetime) -> bool:
        return not self.withdrawn and now < self.expires_at

    def use_is_news(self, now: datetime) -> bool:
        return self.last_used_at is None or now - self.last_used_at >= USED_EVERY

    @property
    def limited(self) -> bool:
        return self.permissions is not None or self.scope != EVERYTHING

    def shown(self, secret: str = "") -> ApiToken:
        return ApiToken(
            id=self.id,
            label=self.label,
            owner=self.owner,
            created_at=self.created_at,
            expires_at=self.expires_at,
            permissions=self.permissions,
            scope=self.scope,
            last_used_at=self.last_used_at,
            secret=secret,
        )


def narrowed(owner: Iterable[Grant], permissions: tuple[str, ...] | None, scope: Scope) -> tuple[Grant, ...]:
    """What is in the owner's grants and within the token's limits as well; `permissions` None limits nothing.

    Where both set a bound, what both name is left. That may be less than both allow, for a host that is in a group of
    each list and in none of both; it is never more. Where they have nothing in common, the grant is gone.
    """
    found = []
    for grant in owner:
        kept = tuple(each for each in grant.permissions if permissions is None or each in permissions)
        both = _both(grant.scope, scope)
        if kept and both is not None:
            found.append(Grant(permissions=kept, scope=both))
    return tuple(found)


def _both(one: Scope, other: Scope) -> Scope | None:
    bounds: dict[str, tuple[str, ...] | None] = {}
    for name in Scope.__struct_fields__:
        ours, theirs = getattr(one, name), getattr(other, name)
        if ours is None or theirs is None:
            bounds[name] = theirs if ours is None else ours
        else:
            bounds[name] = tuple(each for each in ours if each in theirs)
            if not bounds[name]:
                return None
    return msgspec.convert(bounds, Scope)
