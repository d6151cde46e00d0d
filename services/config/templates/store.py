"""Templates in MongoDB. Speaks Template outwards and documents inwards.

`templates` has the newest version of each and what a search finds it by, `template_versions` every version.
"""

from collections.abc import AsyncIterator, Iterable

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel

from contracts.templates import ListTemplates, Template, TemplateSummary, TemplateVersion
from runtime.mongo import Database, Document, DuplicateKeyError, Session, together
from runtime.revisions import PAST, Fields, Revisions
from services.config.templates.model import roots, terms
from services.config.variables.values import Path, read

_LAST_CHARACTER = "\U0010ffff"
_CONTENT = {"text": 0, "terms": 0, "roots": 0, "reads": 0, PAST: 0}


class TemplateStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest, self._versions = database["templates"], database["template_versions"]
        self.revisions = Revisions(self._newest, "template.changed_meanwhile", "the template {}", _entered)

    async def prepare(self) -> None:
        await self._newest.create_indexes(
            [IndexModel([(name, ASCENDING), ("_id", ASCENDING)]) for name in ("terms", "tags", "roots")]
        )
        await self._versions.create_indexes([IndexModel([("name", ASCENDING), ("revision", DESCENDING)], unique=True)])

    async def newest(self, name: str) -> Template | None:
        found = await self._newest.find_one({"_id": name}, {"terms": 0, "roots": 0})
        return _template(found) if found else None

    async def version(self, name: str, revision: int) -> Template | None:
        found = await self._versions.find_one({"name": name, "revision": revision}, {"_id": 0})
        return _template(found) if found else None

    async def every_version(self) -> AsyncIterator[Template]:
        async for document in self._versions.find({}, {"_id": 0}).sort([("name", ASCENDING), ("revision", DESCENDING)]):
            yield _template(document)

    async def versions(self, name: str, below: int, limit: int) -> list[TemplateVersion]:
        """Newest first."""
        query: Document = {"name": name} | ({"revision": {"$lt": below}} if below else {})
        fields = {"_id": 0, "revision": 1, "why": 1, "changed_by": 1, "changed_at": 1}
        found = self._versions.find(query, fields).sort("revision", DESCENDING).limit(limit)
        return [TemplateVersion(**each) for each in await found.to_list(None)]

    async def page(self, request: ListTemplates) -> list[TemplateSummary]:
        """Up to one more than asked for, which tells that there is a next page."""
        query: Document = {}
        if request.search:
            low = request.search.lower()
            # Of an array $elemMatch holds both ends of the range to the same term.
            query["terms"] = {"$elemMatch": {"$gte": low, "$lt": low + _LAST_CHARACTER}}
        if request.tags:
            query["tags"] = {"$in": list(request.tags)}
        if request.after:
            query["_id"] = {"$gt": request.after}
        found = self._newest.find(query, _CONTENT).sort("_id", ASCENDING).limit(request.limit + 1)
        return [msgspec.convert(_named(each), TemplateSummary) for each in await found.to_list(None)]

    async def reading(self, roots: Iterable[str]) -> dict[str, list[Path]]:
        """Template → what it reads, of those that read anything below one of these first parts."""
        found = self._newest.find({"roots": {"$in": list(roots)}}, {"reads.key": 1})
        return {each["_id"]: [read(one["key"]) for one in each["reads"]] for each in await found.to_list(None)}

    async def add(self, template: Template, before: Template | None) -> bool:
        """Both the version and that it is the newest; False if somebody else was faster."""
        content = _content(template)
        found_by = {"terms": terms(template), "roots": roots(template)}

        async def write(session: Session) -> None:
            await self._versions.insert_one(dict(content), session=session)
            newest = {name: value for name, value in content.items() if name != "name"} | found_by
            update = self.revisions.update(_content(before), newest) if before else {"$set": newest}
            await self._newest.update_one({"_id": template.name}, update, upsert=True, session=session)

        try:
            await together(self._database, write)
        except DuplicateKeyError:
            return False
        return True


def _entered(document: Document) -> Fields:
    return {name: document[name] for name in ("text", "description", "tags")}


def _content(template: Template) -> Document:
    content: Document = msgspec.to_builtins(template, builtin_types=(type(template.changed_at),))
    return content


def _template(found: Document) -> Template:
    return msgspec.convert(_named(found), Template)


def _named(found: Document) -> Document:
    return found if "name" in found else {**found, "name": found["_id"]}
