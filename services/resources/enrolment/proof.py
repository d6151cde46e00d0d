"""Is whoever enrols the owner of the key it presents? Pure."""

from contracts.errors import Forbidden, Invalid
from contracts.hosts import Enrol, enrolment_proof
from runtime import nats_jwt
from runtime.nats_jwt import Kind
from runtime.signing import decode, is_box_key


def check_user_key(user_key: str) -> None:
    """Raises Invalid."""
    if not nats_jwt.is_key(user_key, Kind.USER):
        raise Invalid("enrol.bad_key", "user_key is not the public nkey of a user (U…).")


def check(request: Enrol) -> None:
    """Raises Invalid for keys of the wrong kind, Forbidden for a signature that proves nothing."""
    check_user_key(request.user_key)
    if not is_box_key(request.box_key):
        raise Invalid("enrol.bad_key", "box_key is not a base64 X25519 public key of 32 bytes.")
    signed = enrolment_proof(request.nonce, request.user_key, request.box_key, request.token)
    try:
        signature = decode(request.signature)
    except ValueError:
        signature = b""
    if not nats_jwt.verify(request.user_key, Kind.USER, signed, signature):
        raise Forbidden("enrol.bad_proof", "The signature is not of user_key over this nonce, these keys and token.")
