"""JOBS_* in the environment."""

from dataclasses import dataclass

from contracts.agents import CLOCK_SKEW_S
from runtime.settings import BadSettings, ServiceSettings
from runtime.signing import decode

KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    signing_seed: str
    """Base64 of the 32-byte Ed25519 seed that signs what agents obey. Give it as JOBS_SIGNING_SEED_FILE."""

    secrets_key: str
    """Base64 of the 32 bytes that encrypt masked parameters at rest. Give it as JOBS_SECRETS_KEY_FILE."""

    lease_s: float = 10
    """An instance that has not renewed its lease for so long loses its runs to the others."""

    results_max_bytes: int = 8 * 1024**3
    """Disk of the RESULTS stream. When it is full, agents keep their results until there is room."""

    silence_s: float = 120
    """How long after its time-out a host may stay silent before its part counts as lost."""

    start_margin_s: float = 30
    """How much longer than the offline deadline a host that may have heard the command has to answer."""

    clock_skew_s: float = 2 * CLOCK_SKEW_S
    """No verdict before a grant has run out by this much: agents allow half of it, and their clocks may lag as much."""

    def key(self, name: str) -> bytes:
        """The bytes of `signing_seed` or `secrets_key`. Raises BadSettings."""
        try:
            key = decode(getattr(self, name))
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise BadSettings(f"JOBS_{name.upper()} must be base64 of {KEY_BYTES} bytes")
        return key
