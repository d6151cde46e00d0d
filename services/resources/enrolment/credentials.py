"""The credentials of agents. Pure: keys and times are passed in."""

from dataclasses import dataclass

from runtime import nats_jwt
from runtime.nats_jwt import Key


@dataclass(frozen=True)
class Issue:
    """What will be handed out, noted in the host's document before it is."""

    issued_at: int
    until: int


@dataclass(frozen=True)
class Credentials:
    signing_key: Key
    account: str
    """Public key of the account."""
    lifetime_s: int

    def next(self, *, now: float, after: int = 0) -> Issue:
        """Times of new credentials: dated now, but later than the second `after`, up to which the key is revoked."""
        issued_at = max(int(now), after + 1)
        return Issue(issued_at, issued_at + self.lifetime_s)

    def jwt(self, host: str, idc: str, user_key: str, issue: Issue) -> str:
        user = nats_jwt.agent_user(host, idc, key=user_key, account=self.account, expires=issue.until)
        return nats_jwt.user_jwt(user, self.signing_key, issue.issued_at)
