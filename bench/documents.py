"""What a host that ran `echo hi` reports, and the document that jobs makes of it."""

from datetime import UTC, datetime

from contracts.agents import Report
from contracts.states import Outcome
from runtime.mongo import Document
from services.jobs.results import documents
from services.jobs.results.documents import Origin

TASK = "0190a0a0a0a0a0a0a0a0-0-1-0"
BOOT_ID = "4b1d2c3e-5f60-4718-8293-a4b5c6d7e8f9"
OUTPUT_HASH = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"


def report(task: str) -> Report:
    now = datetime.now(UTC)
    return Report(
        task=task,
        outcome=Outcome.SUCCEEDED,
        exit_code=0,
        started_at=now,
        ended_at=now,
        cpu_s=0.00123,
        boot_id=BOOT_ID,
        output_bytes=3,
        output_hash=OUTPUT_HASH,
        head="hi\n",
    )


def outcome(number: int) -> Document:
    """One for each number."""
    return documents.outcome(Origin("js", f"h-{number:012x}", TASK), report(TASK), datetime.now(UTC))
