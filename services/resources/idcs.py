"""Which names an IDC cannot have. Pure."""

from contracts.permissions import SERVICES

_COMING = frozenset({"scheduler"})
"""Services of later releases; an IDC that took such a name now could not keep it."""


def reserved(idc: str) -> bool:
    """Whether the name belongs to a caller: `_INBOX.<idc>` would be the inbox of a service or an integration."""
    return idc in SERVICES or idc in _COMING or idc.startswith("i-")
