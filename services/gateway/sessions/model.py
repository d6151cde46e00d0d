"""When a session is over, and when the next attempt to log in may come. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts import sessions as contract
from services.gateway.people.model import KnownPerson

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
SEEN_EVERY = timedelta(minutes=1)
"""How exactly the last request is remembered; a write for every request would be too many."""

FAILURES = 10
FAILURES_WITHIN = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Session:
    key: str
    """sha256 of the cookie."""
    id: str
    """What people call it by; it opens nothing."""
    person: str
    version: int
    """Of the person, when the session began."""
    created_at: datetime
    seen_at: datetime
    address: str
    user_agent: str

    @property
    def expires_at(self) -> datetime:
        return self.created_at + LONGEST

    def is_of(self, person: KnownPerson | None, now: datetime) -> bool:
        """Whether this session still speaks for `person`."""
        if person is None or person.disabled or person.version != self.version:
            return False
        return now < self.expires_at and now - self.seen_at < IDLE

    def shown(self, current: str) -> contract.Session:
        """`current` is the id of the session that asks."""
        return contract.Session(
            id=self.id,
            person=self.person,
            created_at=self.created_at,
            seen_at=self.seen_at,
            address=self.address,
            user_agent=self.user_agent,
            current=self.id == current,
        )


def readable(user_agent: str) -> str:
    """What a browser says of itself, as a database can keep it."""
    return user_agent.encode(errors="replace").decode().replace("\0", "")[:300]


def wait_for_login(failures: Sequence[datetime], now: datetime) -> float:
    """Seconds until another attempt may be made; 0 is now. `failures` are in order of time."""
    recent = [at for at in failures if now - at < FAILURES_WITHIN]
    if len(recent) < FAILURES:
        return 0.0
    return (recent[-FAILURES] + FAILURES_WITHIN - now).total_seconds()
