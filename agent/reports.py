"""What is told of a task that has ended: made from its exit record and its output file, as often as needed."""

import contextlib
import json
import os
import time
from collections.abc import Iterable

import msgspec

from agent.following import Follower, Senders
from agent.journal import Span
from agent.kit import Kit
from agent.output import Output, Piece
from agent.spawning import ExitRecord, read_exit_record
from agent.spool import Spool
from agent.tasks import OUTPUT_NAME, Task, moment, outcome_of
from agent.text import Masker
from contracts import subjects
from contracts.agents import OutputChunk, Report
from contracts.runs import MASK
from contracts.states import Outcome
from runtime.bus import Disconnected, streams

LOST_REBOOT = ("task.lost_reboot", "The host restarted while the script ran, so nobody knows how it ended.")
LOST_SPAWNER = ("task.lost_spawner", "What watched the script is gone, so nobody knows how it ended.")
OUTPUT_GONE = "The script's output is gone: its file was removed before it was read."


class Reports:
    def __init__(self, kit: Kit, spool: Spool) -> None:
        self._kit = kit
        self._spool = spool
        self._senders = Senders(self._live, self.send_chunk, self._cut)

    def output(self, task: Task) -> Output:
        limit = self._kit.limits.output_limit
        keep = limit if task.row.keep is None else min(task.row.keep, limit)
        return Output(task.folder / OUTPUT_NAME, task.secrets, keep)

    def follow(self, task: Task, now: float) -> Follower:
        """`now` is on the loop's clock."""
        kit = self._kit
        return Follower(task, self.output(task), self._senders, kit.house.worker, kit.limits.output_limit, now)

    async def make(self, task: Task, follower: Follower | None = None) -> bytes:
        """The report, ready to send. A task that nobody knows the end of is lost."""
        if task.row.report is not None:
            return task.row.report
        record = task.record or await self._recorded(task)
        if record is None:
            await self._claim(task)
        follower = follower or self.follow(task, 0.0)
        async with task.lock:
            await follower.finish()
        report = msgspec.json.encode(self._report(task, follower, record))
        if record is None:
            await self._kit.journal.keep_report(task.id, report)
            task.row.report = report
        return report

    async def _recorded(self, task: Task) -> ExitRecord | None:
        def read() -> ExitRecord | None:
            try:
                return read_exit_record(task.folder)
            except (ValueError, KeyError, TypeError):  # cut off by a power cut, so there is none
                return None

        return await self._kit.house.worker.run(read)

    async def _claim(self, task: Task) -> None:
        """A lost task stays lost: the spawner starts nothing in a folder that has an output file, so an order that
        may still be on its way to it comes too late."""

        def claim() -> None:
            task.folder.mkdir(exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(task.folder / OUTPUT_NAME, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))

        await self._kit.house.worker.run(claim)

    def _report(self, task: Task, follower: Follower, record: ExitRecord | None) -> Report:
        output, found = follower.output, follower.left
        about_output = {
            "output_bytes": output.total,
            "output_dropped": task.row.dropped,
            "output_hash": output.digest(),
            "head": output.head,
            "chunks": task.row.chunks,
            "boot_id": task.row.boot_id,
        }
        if record is None:
            reason, message = LOST_SPAWNER if task.row.boot_id == self._kit.boot_id else LOST_REBOOT
            return Report(
                task=task.id,
                outcome=Outcome.LOST,
                reason=reason,
                message=message,
                ended_at=moment(time.time()),
                **about_output,  # type: ignore[arg-type]
            )
        gone = OUTPUT_GONE if record.pid and follower.gone else ""
        return Report(
            task=task.id,
            outcome=outcome_of(record),
            exit_code=record.exit_code,
            signal=record.signal,
            reason=record.reason,
            message=" ".join(part for part in (record.message, gone, found.problem) if part)[:1000],
            started_at=moment(record.started) if record.pid else None,
            ended_at=moment(record.ended),
            cpu_s=record.cpu_s,
            tag=_masked_tag(found.tag, task.secrets),
            result=_masked(found.result, task.secrets),
            **about_output,  # type: ignore[arg-type]
        )

    async def send_chunk(self, task: Task, n: int, span: Span, text: str) -> None:
        """Note a new chunk and try to send it; what does not get through is sent with the report."""
        await self._kit.journal.chunk(task.id, n, span)
        task.chunk_made(n, span)
        try:
            await self.publish_chunk(task, n, span, text)
        except (Disconnected, TimeoutError, streams.StreamRefused):
            self._kit.counters["chunk_waits"] += 1
        await self._spool.keep_limit()

    async def publish_chunk(self, task: Task, n: int, span: Span, text: str) -> None:
        """Raises what streams.publish raises."""
        await self.publish(task, n, msgspec.json.encode(OutputChunk(task=task.id, n=n, offset=span.offset, text=text)))

    async def publish(self, task: Task, n: int, message: bytes) -> None:
        kit = self._kit
        subject = subjects.result(kit.idc, kit.host, task.id)
        message_id = f"{task.id}.{kit.host}.{n}.{task.turn}"
        await streams.publish(kit.connection, subject, message, message_id=message_id)
        task.sent.add(n)

    async def _live(self, task: Task, piece: Piece) -> None:
        kit = self._kit
        message = OutputChunk(task=task.id, n=0, offset=piece.offset, text=piece.text)
        try:
            subject = subjects.live_output(kit.idc, kit.host, task.id)
            await kit.connection.publish(subject, msgspec.json.encode(message))
        except Disconnected:
            kit.counters["live_dropped"] += 1

    async def _cut(self, task: Task) -> None:
        await self._kit.journal.cut(task.id, task.row.keep, task.row.dropped)


def _masked_tag(tag: str, secrets: Iterable[str]) -> str:
    """A tag is read without the white space around it, so a secret may stand in it without its own."""
    return Masker({word for each in secrets for word in (each, each.strip())}).feed(tag, last=True)


def _masked(result: str, secrets: Iterable[str]) -> str:
    """The script's own JSON without secrets, which may stand in it escaped. A secret that JSON itself is made of, such
    as a digit, takes the whole value with it."""
    spelled = {word for each in secrets for word in (each, json.dumps(each)[1:-1])}
    masked = Masker(spelled).feed(result, last=True)
    if masked == result:
        return result
    try:
        json.loads(masked)
    except ValueError:
        return json.dumps(MASK, ensure_ascii=False)
    return masked
