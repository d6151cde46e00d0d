"""Names of the groups that exist by themselves, and the order of kinds. Pure."""

from contracts.groups import Group, GroupKind, Membership

GLOBAL = "global"
IDC, SET = "idc:", "set:"
RESERVED = frozenset({GLOBAL, "preview", "of-hosts"})
"""Names that no one can give: a group's own, and words of addresses below /groups."""

_KINDS = list(GroupKind)


def of_idc(idc: str) -> Group:
    return Group(name=IDC + idc, kind=GroupKind.IDC, description=f"Every host of the IDC {idc}.")


def of_set(name: str) -> Group:
    return Group(name=SET + name, kind=GroupKind.SET, description=f"Every host of the set {name}.")


EVERY_HOST = Group(name=GLOBAL, kind=GroupKind.GLOBAL, description="Every host.")


def precedence(membership: Membership) -> tuple[int, int, str]:
    """Sorts from the lowest precedence to the highest."""
    return _KINDS.index(membership.kind), membership.number, membership.name
