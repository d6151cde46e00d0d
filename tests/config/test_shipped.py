"""Scripts that come with Drover are stored and online from the start, and newer ones replace them unless people wrote
their own."""

from pathlib import Path

import pytest

from contracts import scripts
from contracts.people import Principal
from contracts.scripts import ListScripts, MoveVersion, ResolveScript, SaveVersion, ScriptKind, VersionRef
from services.config.scripts.checking import Checker, shellcheck
from services.config.scripts.processes import Processes
from services.config.scripts.shipped import Shipped
from services.config.scripts.store import ScriptStore
from tests.config.conftest import VIEWER
from tests.conftest import service_bus

COLLECTORS = Path(__file__).parents[2] / "collectors"


@pytest.fixture
async def shipped(ask, database):
    """As an instance does that starts now, from nothing."""
    store = ScriptStore(database)
    made = Shipped(store, Checker(Processes(), shellcheck()))

    async def forget():
        await database["scripts"].delete_many({"owner": "drover"})
        await database["script_versions"].delete_many({"script": {"$regex": "^collect-"}})

    await forget()
    await made.ship()
    yield made
    await forget()
    await made.ship()


async def shown(ask, version=0):
    return await ask(scripts.show_script_version, VersionRef(name="collect-databases", version=version))


async def test_they_are_there_online_and_clean(ask, shipped):
    asked = ListScripts(owner="drover", tags=("collector",), kinds=(ScriptKind.SYSTEM,))
    found = (await ask(scripts.list_scripts, asked, by=VIEWER)).scripts
    assert [(each.name, each.online) for each in found] == [("collect-databases", 1), ("collect-virsh", 1)]
    for each in found:
        stored = await ask(scripts.show_script_version, VersionRef(name=each.name, version=0))
        name = each.name.removeprefix("collect-")
        assert (stored.text, stored.version.lint.findings) == ((COLLECTORS / f"{name}.py").read_text(), ())


async def test_the_resources_service_may_run_them(nats, ask, shipped):
    own = Principal(kind="service", name="resources")
    async with service_bus(nats, "jobs") as bus:
        found = await bus.call(scripts.resolve_script, ResolveScript(name="collect-virsh", version=0, principal=own))
    assert (found.version, found.tags) == (1, ("collector",))


async def test_another_text_of_the_next_release_goes_online_and_is_stored_once(ask, shipped, database):
    older = {"$set": {"sha256": "0" * 64}}
    await database["script_versions"].update_one({"script": "collect-databases", "number": 1}, older)
    for _ in range(2):
        await shipped.ship()
    stored = await shown(ask)
    assert (stored.version.number, stored.version.state, stored.script.online, stored.script.newest) == (
        2,
        "online",
        2,
        2,
    )
    assert stored.script.revision == 2, "stored and online in one step, so that no crash comes between"
    before = await database["script_versions"].find_one({"script": "collect-databases", "number": 1})
    assert before["state"] == "retired"


async def test_what_people_made_of_them_stays(ask, shipped, database):
    await ask(scripts.save_version, SaveVersion(name="collect-databases", text="print('ours')\n"))
    await ask(scripts.put_online, MoveVersion(name="collect-databases", version=2))
    await shipped.ship()
    stored = await shown(ask)
    assert (stored.text, stored.script.newest) == ("print('ours')\n", 2)
    await ask(scripts.retire_version, MoveVersion(name="collect-virsh", version=1))
    await database["script_versions"].update_one({"script": "collect-virsh"}, {"$set": {"sha256": "0" * 64}})
    await shipped.ship()
    virsh = await ask(scripts.show_script_version, VersionRef(name="collect-virsh", version=2))
    assert (virsh.version.state, virsh.script.online) == ("draft", 0), "nobody wants it to run"
