"""The time as it is kept."""

from datetime import UTC, datetime


def now() -> datetime:
    """MongoDB keeps milliseconds, so nothing finer is said before it is kept."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
