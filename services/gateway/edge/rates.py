"""How often one address may ask what needs no login. In this process only: a brake, not a lock."""

import time
from collections import OrderedDict
from collections.abc import Callable

from services.gateway.edge.problems import too_many

ADDRESSES = 10_000
"""Beyond this, those that asked longest ago are forgotten."""


class Rates:
    """Token buckets: `burst` requests at once, `per_second` after that."""

    def __init__(self, *, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address → tokens left, and when that was so."""

    def take(self, address: str) -> None:
        """Raise the refusal with 429 if `address` has used up its share."""
        now = self._clock()
        left, then = self._buckets.pop(address, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._per_second)
        allowed = left >= 1
        self._buckets[address] = (left - 1 if allowed else left, now)
        if len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        if not allowed:
            raise too_many((1 - left) / self._per_second)
