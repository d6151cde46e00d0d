"""CONFIG_* in the environment."""

from dataclasses import dataclass
from pathlib import Path

from runtime.settings import BadSettings, ServiceSettings
from runtime.signing import Box, decode


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    secrets_key: str
    """Base64 of the 32 bytes that encrypt secret values at rest. Give it as CONFIG_SECRETS_KEY_FILE."""

    depot: Path | None = None
    """The depot's folder, on the disk of this instance: stored scripts and templates are laid out below it too."""

    @property
    def box(self) -> Box:
        """Opens and closes secret values. Raises BadSettings."""
        try:
            return Box(decode(self.secrets_key))
        except ValueError:
            raise BadSettings(f"CONFIG_SECRETS_KEY must be base64 of {Box.SIZE} bytes") from None
