"""Receipts for reports: a text that only the jobs service can make, and that a host knows by its hash beforehand.

The signed grant of a task promises the receipt by its sha256. When the report is stored, the receipt itself is the
proof, and needs no signature of its own.
"""

import hashlib

from runtime.signing import sha256

_CONTEXT = b"drover/receipts/v1"


class Receipts:
    """The same for every instance that has the seed."""

    def __init__(self, seed: bytes) -> None:
        self._key = hashlib.blake2b(_CONTEXT, key=seed).digest()

    def of(self, task: str, host: str) -> str:
        return hashlib.blake2b(f"{task}:{host}".encode(), key=self._key, digest_size=32).hexdigest()

    def promise(self, task: str, host: str) -> str:
        return sha256(self.of(task, host).encode())
