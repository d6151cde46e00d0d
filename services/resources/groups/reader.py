"""Makes the language in which hosts are chosen, and refuses words that mean nothing in it."""

import time
from collections.abc import Iterable, Sequence

from contracts.errors import Invalid
from contracts.permissions import Scope
from services.resources.expressions.tree import labels
from services.resources.groups.language import Language
from services.resources.groups.members import MemberStore
from services.resources.groups.store import GroupStore
from services.resources.hosts.criteria import Condition
from services.resources.hosts.document import at
from services.resources.hosts.visibility import is_bounded


class GroupReader:
    def __init__(self, store: GroupStore, members: MemberStore, *, window_s: float) -> None:
        """A host is online if it was heard within the last `window_s` seconds."""
        self._store, self._members, self._window_s = store, members, window_s

    async def language(self, scopes: Sequence[Scope], expressions: Iterable[str] = ()) -> Language:
        """As it is now for whoever has the scopes. Raises Invalid if an expression names what does not exist; an empty
        one is none."""
        language = Language(await self._store.catalogue(), scopes, at(time.time() - self._window_s))
        for expression in filter(None, expressions):
            await self._refuse_unknown_labels(labels(language.read(expression)))
        return language

    async def visible(self, scopes: Sequence[Scope]) -> Condition:
        """Of hosts that whoever has the scopes may see; empty if that is every host."""
        return (await self.language(scopes)).visible() if is_bounded(scopes) else {}

    async def _refuse_unknown_labels(self, columns: dict[str, int]) -> None:
        unknown = await self._members.unknown_labels(list(columns))
        if unknown:
            column = columns[unknown[0]]
            raise Invalid(
                "expression.unknown_label",
                f"Column {column} of the expression: no host has a label {unknown[0][:100]}.",
                {"column": column},
            )
