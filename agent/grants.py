"""Whether a command is to be obeyed. Pure: headers and a time go in, a grant or a refusal comes out.

Only what a trusted key has signed may choose the subject of an answer. So a command without a good signature gets no
answer at all; it is counted and logged. One that is properly signed and still refused is answered with the reason.
"""

from collections.abc import Mapping

import msgspec

from contracts.agents import CLOCK_SKEW_S, GRANT_HEADER, MAX_START_WINDOW_S, PROTOCOL, SIGNATURE_HEADER, Grant, Verb
from contracts.tokens import BadToken, token
from runtime.signing import BadSignature, UnknownKey, Verifier, sha256

LARGEST_GRANT_BYTES = 64 * 1024


class Unsigned(Exception):
    """Nobody we obey has signed this; it gets no answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(Exception):
    """Signed by a key we trust, and still not to be done.

    `final`: the same command can never succeed here, so the task ends with a report. Without it the command is to be
    sent again, with another time or another content.
    """

    def __init__(self, reason: str, message: str, *, grant: Grant | None = None, final: bool = False) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.grant = grant
        self.final = final


def read(headers: Mapping[str, str], verifier: Verifier) -> Grant:
    """The grant of a command, if a trusted key has signed it and names in it can be used. Raises Unsigned."""
    text, signature = headers.get(GRANT_HEADER), headers.get(SIGNATURE_HEADER)
    if not text or not signature or len(text) > LARGEST_GRANT_BYTES:
        raise Unsigned("grant.missing")
    try:
        signed = text.encode()
        kid = verifier.verify(signed, signature)
        grant = msgspec.json.decode(signed, type=Grant)
        token(grant.instance), token(grant.host)
        if grant.task or grant.verb is not Verb.STORED:
            token(grant.task)
    except UnknownKey:
        raise Unsigned("grant.unknown_key") from None
    except BadSignature:
        raise Unsigned("grant.bad_signature") from None
    except (msgspec.DecodeError, RecursionError, UnicodeError, BadToken):
        raise Unsigned("grant.malformed") from None
    if grant.kid != kid:
        raise Unsigned("grant.bad_signature")
    return grant


def check(grant: Grant, host: str, now: float) -> None:
    """Whether the grant is for this host, this version and this time. Raises Refused."""
    if grant.host != host:
        raise Refused("grant.wrong_host", "This command is for another host.", grant=grant)
    if grant.v != PROTOCOL:
        known = f"This agent speaks version {PROTOCOL} of the protocol, the command version {grant.v}."
        raise Refused("grant.unsupported_version", known, grant=grant, final=True)
    if grant.issued > now + CLOCK_SKEW_S:
        ahead = f"The command was issued {grant.issued - now:.0f} s in this host's future."
        raise Refused("grant.clock_skew", ahead, grant=grant)
    if now > grant.not_after + CLOCK_SKEW_S:
        raise Refused("grant.expired", f"The command expired {now - grant.not_after:.0f} s ago.", grant=grant)
    if not 0 <= grant.not_after - grant.issued <= MAX_START_WINDOW_S:
        window = f"A command may be valid for at most {MAX_START_WINDOW_S} s."
        raise Refused("grant.malformed", window, grant=grant)


def check_body(grant: Grant, body: bytes) -> None:
    """Raises Refused."""
    if sha256(body) != grant.sha256:
        raise Refused("grant.hash_mismatch", "The content is not the one that was signed.", grant=grant)
