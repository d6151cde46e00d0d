"""The past of a stream, read in batches by sequence.

No consumer: nothing to keep alive, to acknowledge, or to lose with a connection; where the reader stands is the
reader's to know. A batch is one question and as many answers as there are messages (NATS ADR-31, direct get); a
thousand take 27 ms on one machine, one by one they take ten times as long.
"""

import asyncio
import json
import secrets
from dataclasses import dataclass

from contracts.errors import Unavailable
from runtime.bus.connection import Connection, Disconnected, Message, Subscription
from runtime.bus.streams import API, StreamMessage, api

BATCH = 256
BATCH_BYTES = 4 * 1024 * 1024
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Bounds:
    """What a stream still has. An empty one that had messages has first = last + 1."""

    first: int
    last: int


@dataclass(frozen=True)
class Batch:
    messages: list[StreamMessage]
    more: bool
    """There was more than fits in one batch."""


class History:
    """Questions are asked one after the other."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._inbox = f"{connection.options.inbox}.history.{secrets.token_hex(8)}"
        self._asking = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._question = 0
        self._answers: asyncio.Queue[Message] = asyncio.Queue()

    async def start(self) -> None:
        self._subscription = await self._connection.subscribe(f"{self._inbox}.*", self._answered)

    async def close(self) -> None:
        if self._subscription is not None:
            await self._connection.unsubscribe(self._subscription)

    async def bounds(self) -> Bounds:
        """Raises Unavailable, of which StreamRefused says that there is no such stream."""
        state = (await api(self._connection, f"STREAM.INFO.{self._stream}"))["state"]
        return Bounds(int(state["first_seq"]), int(state["last_seq"]))

    async def after(self, sequence: int, subject: str) -> Batch:
        """Messages on `subject` (wildcards allowed) behind `sequence`, in order. Raises Unavailable."""
        question = {"seq": sequence + 1, "next_by_subj": subject, "batch": BATCH, "max_bytes": BATCH_BYTES}
        async with self._asking:
            self._question += 1
            self._answers = asyncio.Queue()
            reply = f"{self._inbox}.{self._question}"
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._connection.publish(
                        f"{API}.DIRECT.GET.{self._stream}", json.dumps(question).encode(), reply=reply
                    )
                    return await self._collect()
            except (Disconnected, TimeoutError) as error:
                raise Unavailable("bus.no_answer", "JetStream does not answer.") from error

    async def _collect(self) -> Batch:
        found: list[StreamMessage] = []
        while True:
            message = await self._answers.get()
            status = message.headers.get("Status")
            if status is None:
                sequence = int(message.headers["Nats-Sequence"])
                found.append(StreamMessage(message.headers["Nats-Subject"], message.data, sequence, ""))
            elif status == "204":  # the end of the batch
                return Batch(found, int(message.headers.get("Nats-Num-Pending", "0")) > 0)
            elif status == "404":  # nothing on this subject
                return Batch([], False)
            else:
                raise Unavailable("bus.no_answer", f"JetStream refuses: {message.headers.get('Description', status)}.")

    async def _answered(self, message: Message) -> None:
        if message.subject.endswith(f".{self._question}"):  # else late, to a question that was given up
            self._answers.put_nowait(message)
