"""Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, so that any NATS tool can list our services (NATS ADR-32)."""

import json
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from runtime.bus.connection import Connection, Message


class Discovery:
    def __init__(self, connection: Connection, service: str, instance: str) -> None:
        self._connection = connection
        self._identity = {"name": service, "id": instance, "version": _version(), "metadata": {}}
        self._subjects: list[str] = []
        self._started = datetime.now(UTC)
        self._requests = self._errors = 0
        self._last_error = ""
        self._seconds = 0.0
        self._serving = False

    def add(self, subject: str) -> None:
        self._subjects.append(subject)

    def count(self, *, error: str, seconds: float) -> None:
        self._requests += 1
        self._seconds += seconds
        if error:
            self._errors += 1
            self._last_error = error

    async def start(self) -> None:
        if self._serving:
            return
        self._serving = True
        name, instance = self._identity["name"], self._identity["id"]
        for verb in ("PING", "INFO", "STATS"):
            for subject in (f"$SRV.{verb}", f"$SRV.{verb}.{name}", f"$SRV.{verb}.{name}.{instance}"):
                await self._connection.subscribe(subject, self._answer)

    async def _answer(self, message: Message) -> None:
        # Whoever asks is not named in the subject, so an inbox is the one place where an answer can do no harm.
        if message.reply.startswith("_INBOX."):
            verb = message.subject.split(".")[1]
            await self._connection.publish(message.reply, json.dumps(self._describe(verb)).encode())

    def _describe(self, verb: str) -> dict[str, Any]:
        described: dict[str, Any] = {"type": f"io.nats.micro.v1.{verb.lower()}_response", **self._identity}
        if verb == "INFO":
            described["description"] = f"Drover's {self._identity['name']} service"
            described["endpoints"] = [{"name": _endpoint_name(each), "subject": each} for each in self._subjects]
        if verb == "STATS":
            described["started"] = self._started.isoformat()
            described["endpoints"] = [
                {
                    "name": "all",
                    "subject": ">",
                    "num_requests": self._requests,
                    "num_errors": self._errors,
                    "last_error": self._last_error,
                    "processing_time": int(self._seconds * 1e9),
                    "average_processing_time": int(self._seconds * 1e9 / max(1, self._requests)),
                }
            ]
        return described


def _endpoint_name(subject: str) -> str:
    return "-".join(part for part in subject.split(".")[2:] if part != "*")


@cache
def _version() -> str:
    try:
        return version("drover")
    except PackageNotFoundError:
        return "0.0.0"
