"""What groups and expressions mean at one moment, to somebody who chooses hosts by them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.errors import Invalid
from contracts.permissions import Scope
from services.resources.expressions.tree import Tree, groups
from services.resources.groups import model
from services.resources.groups.catalogue import Catalogue
from services.resources.hosts.criteria import Condition
from services.resources.hosts.visibility import sees_group, visible


@dataclass(frozen=True)
class Language:
    catalogue: Catalogue
    scopes: Sequence[Scope]
    """Of whoever asks: a group that lies in none of them does not exist for them."""
    heard_after: datetime
    """A host that was heard since then is online."""

    def in_groups(self, names: Iterable[str]) -> Condition:
        """Of hosts in at least one of them. Raises Invalid."""
        names = list(names)
        model.refuse_unknown([name for name in names if not self._exists(name)])
        return self.catalogue.being_in(names, heard_after=self.heard_after)

    def where(self, text: str) -> Condition:
        """Of hosts that fit the expression. Raises Invalid."""
        return self.catalogue.fitting(self.read(text), heard_after=self.heard_after)

    def read(self, text: str) -> Tree:
        """Raises Invalid."""
        tree = self.catalogue.read(text)
        for name, column in groups(tree).items():
            if not self._exists(name):
                raise Invalid(
                    "expression.unknown_group",
                    f"Column {column} of the expression: there is no group {name[:100]}.",
                    {"column": column},
                )
        return tree

    def visible(self) -> Condition:
        """Of hosts that whoever asks may see. Raises Invalid."""
        return visible(self.scopes, lambda names: self.catalogue.being_in(names, heard_after=self.heard_after))

    def _exists(self, name: str) -> bool:
        return name in self.catalogue and sees_group(self.scopes, name)
