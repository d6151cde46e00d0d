"""One agent: the only place where its parts meet. Hundreds may live in one process, each with its own folder."""

import contextlib

import structlog

from agent import commands, facts, identity
from agent.bodies import Bodies
from agent.folder import Folder
from agent.journal import Journal
from agent.kit import Household, Kit
from agent.outbox import Outbox
from agent.presence import Presence
from agent.removal import remove
from agent.renewal import Renewal
from agent.reports import Reports
from agent.runner import Runner
from agent.settings import Settings
from agent.spawning import KnownTask, SpawnerGone
from agent.spool import Spool
from agent.tasks import OUTPUT_NAME, Task
from contracts import subjects
from contracts.agents import GRANT_CONTEXT
from runtime.bus import Bus, Connection, Options, Subscription
from runtime.signing import CannotOpen, Verifier

PENDING_BYTES = 64 * 1024
"""Small on purpose: while there is no connection, data waits in the spool and not in a buffer that may be lost."""

log = structlog.get_logger()


class Agent:
    """`start` raises NotEnrolled, FolderInUse or WrongJournal if it cannot work in its folder."""

    def __init__(self, settings: Settings, house: Household) -> None:
        self._settings = settings
        self._house = house
        self._held = contextlib.ExitStack()
        self._parts: _Parts | None = None

    @property
    def host(self) -> str:
        return self.parts.kit.host

    @property
    def parts(self) -> "_Parts":
        if self._parts is None:
            raise RuntimeError("the agent is not started")
        return self._parts

    async def start(self) -> None:
        """Find what was left running, connect, and take commands. Returns before the connection stands."""
        folder = Folder(self._settings.root)
        own = identity.read(folder)
        folder.make()
        self._held.enter_context(folder.held())
        try:
            folder.lay_library()
        except OSError as error:  # a full disk, say: the copy of an earlier start may be there, and results must go out
            log.error("library.not_written", root=str(folder.root), error=str(error))
        try:
            self._parts = parts = _Parts(self._settings, self._house, folder, own)
            await parts.take_up()
        except BaseException:
            self._held.close()
            raise

    async def stop(self) -> None:
        """Hang up. Scripts run on, and the next agent in this folder finds them."""
        if self._parts is not None:
            await self._parts.close()
            self._parts = None
        self._held.close()


class _Parts:
    def __init__(self, settings: Settings, house: Household, folder: Folder, own: identity.Identity) -> None:
        options = Options(
            name=own.host,
            servers=own.relays,
            credentials=folder.credentials,
            ca=folder.ca,
            inbox=subjects.inbox(own.idc, own.host),
            pending_bytes=PENDING_BYTES,
        )
        self.connection = Connection(options)
        self.tasks: dict[str, Task] = {}
        self._hearing: Subscription | None = None
        self.kit = Kit(
            identity=own,
            folder=folder,
            limits=settings.limits,
            boot_id=facts.boot_id(),
            connection=self.connection,
            journal=Journal(folder.journal, house.worker),
            house=house,
        )
        bus = Bus(self.connection, own.host, own.host)
        spool = Spool(self.kit, self.tasks)
        self.reports = Reports(self.kit, spool)
        self.outbox = Outbox(self.kit, self.reports, self.tasks)
        self.runner = Runner(self.kit, self.reports, self.outbox, self.tasks)
        self.bodies = Bodies(bus, own.idc, own.host)
        verifier = Verifier(own.command_keys, GRANT_CONTEXT)
        self.commands = commands.Commands(self.kit, verifier, self.bodies, self.runner, self.outbox, spool, self.tasks)
        self.renewal = Renewal(self.kit, bus)
        self.presence = Presence(self.kit, facts.gather(settings.facts_root), self.outbox, self.tasks)

    async def take_up(self) -> None:
        own, folder = self.kit.identity, self.kit.folder
        rows = await self.kit.journal.open(own.host)
        box_key = own.box_key()
        for row in rows.values():
            task = self.tasks[row.task] = Task(row, folder.task(row.task))
            with contextlib.suppress(CannotOpen):
                task.secrets = commands.secrets(commands.opened(box_key.open(row.sealed))) if row.sealed else ()
        await self.outbox.prune()
        running = await self._running()
        await self.kit.house.worker.run(self._sweep)
        for task in list(self.tasks.values()):
            self.runner.resume(task, running.get(task.id))
        self._hearing = await self.connection.subscribe(subjects.command(own.idc, own.host), self.commands.received)
        await self.connection.subscribe(subjects.body(own.idc), self.bodies.received)
        self.presence.start()
        self.renewal.start()
        self.connection.start()
        log.info("agent.started", host=own.host, idc=own.idc, root=str(self.kit.folder.root), unstored=len(self.tasks))

    async def close(self) -> None:
        if self._hearing is not None:
            await self.connection.unsubscribe(self._hearing)
        for part in (self.presence, self.renewal, self.commands, self.runner, self.outbox):
            await part.close()
        await self.connection.close()
        await self.kit.journal.close()

    async def _running(self) -> dict[str, KnownTask]:
        try:
            known = await self.kit.house.spawning.running()
        except SpawnerGone:
            return {}
        return {task.task: task for task in known if task.host == self.kit.host}

    def _sweep(self) -> None:
        """Folders that nothing knows of: made just before a crash, or left by one after its task was stored. Sizes of
        the others count for the disk budget from the start."""
        for entry in self.kit.folder.tasks.iterdir():
            if entry.name in self.tasks:
                with contextlib.suppress(OSError):
                    self.tasks[entry.name].size = (entry / OUTPUT_NAME).stat().st_size
            else:
                remove(entry)
