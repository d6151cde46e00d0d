"""What scripts leave behind goes, whatever they made of it."""

import os
from pathlib import Path

from agent.removal import remove
from tests.agent.agent_rig import Dispatcher, Home, reached
from tests.servers import until

DEEPER_THAN_A_RECURSION = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\n"


def test_everything_below_goes_and_what_links_point_to_stays(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "task"
    (folder / "work" / "a" / "b").mkdir(parents=True)
    kept.mkdir()
    (kept / "file").write_text("mine")
    for place in (folder, folder / "work", folder / "work" / "a" / "b"):
        (place / "file").write_text("x")
        (place / "link").symlink_to(kept)
        os.mkfifo(place / "pipe")

    remove(folder)

    assert not folder.exists()
    assert (kept / "file").read_text() == "mine"


def test_a_link_in_place_of_the_folder_and_no_folder_at_all_are_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "link").symlink_to(kept)

    remove(tmp_path / "link")
    remove(tmp_path / "nothing")

    assert kept.is_dir()


async def test_folders_nested_deeper_than_a_recursion_goes_are_freed(home: Home, jobs: Dispatcher) -> None:
    agent = await home.agent()
    own = await reached(jobs, agent)
    task = await jobs.run(own, DEEPER_THAN_A_RECURSION, language="python")
    await jobs.report(own, task)
    folder = agent.parts.kit.folder.task(task)
    await jobs.frees(own, task, lambda: not folder.exists() and task not in agent.parts.tasks)
    assert agent.parts.kit.counters["command_crashed"] == 0


async def test_an_agent_starts_beside_such_folders(home: Home, jobs: Dispatcher) -> None:
    agent = await home.agent()
    left = agent.parts.kit.folder.tasks / "left-0-0-0"
    left.mkdir()
    here = Path.cwd()
    try:
        os.chdir(left)
        exec(DEEPER_THAN_A_RECURSION)  # noqa: S102
    finally:
        os.chdir(here)
    await home.stop(agent)

    again = await home.agent()

    await until(lambda: again.parts.connection.connected, "it is back")
    assert not left.exists()
