"""Hashing of passwords with argon2id at the library's defaults: 64 MiB and some 0.2 s of a core each.

Hence threads, and few at a time: more would only share the cores and take memory.
"""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2


class Passwords:
    def __init__(self, hasher: PasswordHasher, nobodys: str) -> None:
        self._hasher = hasher
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._nobodys = nobodys

    @classmethod
    async def with_hasher(cls, hasher: PasswordHasher) -> "Passwords":
        return cls(hasher, await asyncio.to_thread(hasher.hash, "nobody's password"))

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, known: str | None, password: str) -> bool:
        """Whether the password belongs to the hash. Without one it takes as long, and the answer is no."""
        async with self._slots:
            fits = await asyncio.to_thread(self._fits, known or self._nobodys, password)
        return fits and known is not None

    def outdated(self, known: str) -> bool:
        """Whether the hash was made with weaker settings than today's."""
        return self._hasher.check_needs_rehash(known)

    def _fits(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False
