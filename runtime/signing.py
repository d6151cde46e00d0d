"""Keys at work: Ed25519 for what agents must believe, X25519 for what only one host may read, a box for rest.

All three come from libsodium through PyNaCl.
"""

import base64
import hashlib
from collections.abc import Mapping

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.signing import SigningKey, VerifyKey


class BadSignature(ValueError):
    """The signature is not of a known key over these bytes."""


class UnknownKey(BadSignature):
    """The key id is not among the trusted ones."""


class CannotOpen(ValueError):
    """The box is not for this key, or was changed."""


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """Raises ValueError if `text` is not base64."""
    return base64.b64decode(text, validate=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Signer:
    """Signs with one key, under a context that keeps signatures of one purpose from serving another."""

    def __init__(self, seed: bytes, context: bytes) -> None:
        self._key = SigningKey(seed)
        self._context = context
        self.public_key = encode(bytes(self._key.verify_key))
        self.key_id = key_id(self.public_key)

    def sign(self, data: bytes) -> str:
        """`<key id>.<base64 signature>`, as a header carries it."""
        return f"{self.key_id}.{encode(self._key.sign(self._context + data).signature)}"


class Verifier:
    """Believes signatures of the given public keys (key id → base64)."""

    def __init__(self, keys: Mapping[str, str], context: bytes) -> None:
        self._keys = {kid: VerifyKey(decode(key)) for kid, key in keys.items()}
        self._context = context

    def verify(self, data: bytes, signature: str) -> str:
        """The id of the key that signed; raises UnknownKey or BadSignature."""
        kid, _, encoded = signature.partition(".")
        key = self._keys.get(kid)
        if key is None:
            raise UnknownKey(kid[:64])
        try:
            key.verify(self._context + data, decode(encoded))
        except (CryptoError, ValueError) as error:
            raise BadSignature(kid) from error
        return kid


def key_id(public_key: str) -> str:
    """Short name of a public key: the beginning of its sha256."""
    return sha256(decode(public_key))[:12]


class BoxKey:
    """A host's X25519 key pair: others seal to its public half, only it opens."""

    def __init__(self, seed: bytes | None = None) -> None:
        self._key = PrivateKey(seed) if seed else PrivateKey.generate()
        self.seed = bytes(self._key)
        self.public_key = encode(bytes(self._key.public_key))

    def open(self, sealed: str) -> bytes:
        """Raises CannotOpen."""
        try:
            return SealedBox(self._key).decrypt(decode(sealed))
        except (CryptoError, ValueError) as error:
            raise CannotOpen from error


def is_box_key(public_key: str) -> bool:
    try:
        return len(decode(public_key)) == PublicKey.SIZE
    except ValueError:
        return False


def seal(data: bytes, public_key: str) -> str:
    """Base64 SealedBox that only the owner of `public_key` opens."""
    return encode(SealedBox(PublicKey(decode(public_key))).encrypt(data))


class Box:
    """Symmetric: secrets at rest under the service's key, large bodies under a key of their own."""

    SIZE = SecretBox.KEY_SIZE

    def __init__(self, key: bytes) -> None:
        self._box = SecretBox(key)

    def close(self, data: bytes) -> bytes:
        return bytes(self._box.encrypt(data))

    def open(self, data: bytes) -> bytes:
        """Raises CannotOpen."""
        try:
            return self._box.decrypt(data)
        except (CryptoError, ValueError) as error:
            raise CannotOpen from error
