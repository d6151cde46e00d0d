"""How a machine becomes a host: it makes its keys, proves that it holds them, and shows a join token.

Keys stay in memory until the answer is there, so an enrolment that was cut off leaves nothing and begins anew.
"""

import base64
import ipaddress
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from agent import identity
from agent.facts import gather
from agent.folder import Folder
from agent.identity import Identity
from agent.journal import create
from contracts.hosts import AskChallenge, Challenge, Enrol, Enrolled, ask_challenge, enrol, enrolment_proof
from contracts.tokens import token
from runtime.nats_jwt import Key, Kind
from runtime.signing import BoxKey, encode

R = TypeVar("R")

API = "/api/v1"
TIMEOUT_S = 30.0
MOST_BYTES = 1024 * 1024


class EnrolmentFailed(Exception):
    """The message says why; `again` tells whether trying later may help."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, kw_only=True)
class Invitation:
    gateway: str
    """Address of the gateway: https, or http on this machine."""
    token: str
    gateway_ca: Path | None = None
    """Certificate to trust for the gateway; left out: those of the system."""


def enrol_here(folder: Folder, invitation: Invitation, facts_root: Path | None = None) -> Identity:
    """Blocking: call it from a thread. Raises EnrolmentFailed; the folder is then as it was."""
    post = _poster(invitation)
    folder.make()
    key, box = Key.make(Kind.USER), BoxKey()
    nonce = post(ask_challenge.http, AskChallenge(user_key=key.public), Challenge).nonce
    proof = enrolment_proof(nonce, key.public, box.public_key, invitation.token)
    request = Enrol(
        token=invitation.token,
        nonce=nonce,
        user_key=key.public,
        box_key=box.public_key,
        signature=encode(key.sign(proof)),
        facts=gather(facts_root),
    )
    answer: Enrolled = post(enrol.http, request, Enrolled)
    try:
        token(answer.host), token(answer.idc)
    except ValueError as error:
        raise EnrolmentFailed(f"The gateway's answer makes no sense: {error}", again=False) from None
    own = Identity(
        host=answer.host,
        idc=answer.idc,
        box_seed=base64.b64encode(box.seed).decode(),
        command_keys=answer.command_keys,
        relays=answer.relays,
    )
    identity.forget_journal(folder)
    create(folder.journal, own.host)
    identity.write(folder, own, jwt=answer.jwt, seed=key.seed, ca=answer.ca)
    return own


def _poster(invitation: Invitation) -> Callable[[Any, Any, type[R]], R]:
    address = invitation.gateway.rstrip("/")
    context = _transport(address, invitation.gateway_ca)

    def post(route: Any, message: Any, reply: type[R]) -> R:
        request = urllib.request.Request(  # noqa: S310  the scheme was checked by _transport
            address + API + route.path,
            data=msgspec.json.encode(message),
            method=route.method,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            # A proxy of the environment must not see the join token.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _https(context))
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                return msgspec.json.decode(answer.read(MOST_BYTES), type=reply)
        except urllib.error.HTTPError as error:
            raise EnrolmentFailed(_said(error), again=error.code >= 500 or error.code == 429) from None
        except (OSError, ssl.SSLError, msgspec.DecodeError) as error:
            raise EnrolmentFailed(f"The gateway {address} cannot be used: {error}", again=True) from None

    return post


def _https(context: ssl.SSLContext | None) -> urllib.request.HTTPSHandler:
    return urllib.request.HTTPSHandler(context=context)


def _transport(address: str, ca: Path | None) -> ssl.SSLContext | None:
    """Raises EnrolmentFailed where the join token could be read on the way."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=str(ca) if ca else None)
        except OSError as error:
            raise EnrolmentFailed(f"The gateway's CA {ca} cannot be read: {error}", again=False) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return None
    raise EnrolmentFailed(f"{address}: use https, or http on this very machine.", again=False)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _said(error: urllib.error.HTTPError) -> str:
    """The problem document of the gateway in one line; it is shown, never acted on."""
    try:
        problem = msgspec.json.decode(error.read(MOST_BYTES), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        problem = {}
    text = " ".join(str(problem[name]) for name in ("reason", "detail", "message") if problem.get(name))
    return f"The gateway refused the enrolment ({error.code}): {' '.join(text.split())[:500] or error.reason}"
