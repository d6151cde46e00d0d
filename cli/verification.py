"""Recomputes an audit trail: every digest, every number, every signature. Pure; speaks with nobody.

The lines of an export are given one after the other, in their order, so a trail of any length needs little memory:
where each chain ends, and what checkpoints say of chains.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from contracts.audit import (
    SIGNING_CONTEXT,
    AuditRow,
    Checkpoint,
    ExportEnd,
    ExportLine,
    checkpoint_bytes,
    checkpoint_digest,
    row_digest,
)
from runtime.signing import BadSignature, UnknownKey, Verifier


class Wrong(StrEnum):
    ROW_CHANGED = "row_changed"
    ROWS_MISSING = "rows_missing"
    CHAIN_REWRITTEN = "chain_rewritten"
    CHAIN_CUT = "chain_cut"
    CHAIN_MISSING = "chain_missing"
    CHECKPOINT_CHANGED = "checkpoint_changed"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_FORGED = "checkpoint_forged"
    EXPORT_CUT = "export_cut"
    ROWS_UNSIGNED = "rows_unsigned"


LONGEST_UNSIGNED = timedelta(minutes=15)
"""The gateway signs each minute; older rows that nobody signed were left alone by it, or their checkpoints are gone."""


class Finding(Struct, frozen=True, kw_only=True):
    what: Wrong
    where: str
    """`<service> <chain> <number>`, or `checkpoint <number>`."""
    message: str


class Result(Struct, frozen=True, kw_only=True):
    sound: bool
    findings: list[Finding]
    rows: int
    checkpoints: int
    unsigned: int
    """Rows at the ends of chains that no checkpoint covers yet."""


class Known(Struct, frozen=True):
    """The newest checkpoint that an earlier verification saw."""

    n: int
    digest: str


class _Place(Struct, frozen=True):
    n: int = 0
    digest: str | None = ""
    """None if it cannot be known: rows before are missing."""


Chain = tuple[str, str]
"""Service and chain."""


class Verification:
    def __init__(self, keys: Mapping[str, str]) -> None:
        """`keys` are the public keys that are trusted to have signed: key id → base64. Raises ValueError for others."""
        self._verifier = Verifier(keys, SIGNING_CONTEXT)
        self.findings: list[Finding] = []
        self.newest: Checkpoint | None = None
        self._digests: dict[int, str] = {}
        """Checkpoint → its digest."""
        self._signed: dict[Chain, dict[int, tuple[str, int]]] = {}
        """Chain → number → the digest that was signed, and the checkpoint that did."""
        self._ends: dict[Chain, _Place] = {}
        self._rows = 0
        self._newest_row: datetime | None = None
        self._oldest_unsigned: AuditRow | None = None
        self._end: ExportEnd | None = None

    def take(self, line: ExportLine) -> None:
        if line.checkpoint is not None:
            self._take_checkpoint(line.checkpoint)
        elif line.row is not None:
            self._take_row(line.row)
        elif line.end is not None:
            self._end = line.end

    def result(
        self, known: Known | None = None, second: Iterable[Checkpoint] = (), now: datetime | None = None
    ) -> Result:
        """Once all lines were taken. `second` are the checkpoints that were kept in a second place; without `now`, of
        an export, it is as old as its newest row."""
        self._check_ends()
        self._check_unsigned(now or self._newest_row)
        if known is not None:
            self._check_kept(known.n, known.digest, "an earlier verification saw it")
        for checkpoint in second:
            self._check_kept(checkpoint.n, checkpoint_digest(checkpoint), "the second place has it")
        counted = ExportEnd(checkpoints=len(self._digests), rows=self._rows)
        if self._end != counted:
            self._found(Wrong.EXPORT_CUT, "export", f"the export should hold {self._end}, it holds {counted}")
        return Result(
            sound=not self.findings,
            findings=self.findings,
            rows=self._rows,
            checkpoints=len(self._digests),
            unsigned=sum(self._unsigned(chain, end) for chain, end in self._ends.items()),
        )

    def _take_checkpoint(self, given: Checkpoint) -> None:
        last, where = self.newest, f"checkpoint {given.n}"
        expected = last.n + 1 if last else 1
        if given.n > expected:
            self._found(
                Wrong.CHECKPOINT_MISSING, where, f"checkpoints {expected} to {given.n - 1} are missing before it"
            )
        elif given.n < expected or given.previous != (checkpoint_digest(last) if last else ""):
            self._found(
                Wrong.CHECKPOINT_CHANGED, where, "it does not follow the one before; one of the two was changed"
            )
        self.newest = given
        self._digests[given.n] = checkpoint_digest(given)
        try:
            self._verifier.verify(checkpoint_bytes(given), given.signature)
        except UnknownKey:
            self._found(Wrong.CHECKPOINT_FORGED, where, "it is signed with another key than the trusted one")
        except BadSignature:
            self._found(Wrong.CHECKPOINT_FORGED, where, "its signature does not fit it")
        else:
            for head in given.heads:
                self._signed.setdefault((head.service, head.chain), {})[head.n] = (head.digest, given.n)

    def _take_row(self, row: AuditRow) -> None:
        self._rows += 1
        chain, where = (row.service, row.chain), f"{row.service} {row.chain} {row.n}"
        before = self._ends.get(chain, _Place())
        if row.n > before.n + 1:
            self._found(Wrong.ROWS_MISSING, where, f"rows {before.n + 1} to {row.n - 1} are missing before it")
        elif row.n <= before.n or (before.digest is not None and row_digest(before.digest, row) != row.digest):
            self._found(Wrong.ROW_CHANGED, where, "its digest does not fit; it or the row before was changed")
        signed, by = self._signed.get(chain, {}).get(row.n, (row.digest, 0))
        if signed != row.digest:
            self._found(Wrong.CHAIN_REWRITTEN, where, f"checkpoint {by} signed another digest of this row")
        self._ends[chain] = _Place(row.n, row.digest)
        self._newest_row = max(row.at, self._newest_row or row.at)
        if row.n > max(self._signed.get(chain, {}), default=0) and (
            self._oldest_unsigned is None or row.at < self._oldest_unsigned.at
        ):
            self._oldest_unsigned = row

    def _check_ends(self) -> None:
        for chain, signed in self._signed.items():
            last = max(signed)
            _, by = signed[last]
            end = self._ends.get(chain)
            where = " ".join(chain)
            if end is None:
                self._found(Wrong.CHAIN_MISSING, where, f"the whole chain is missing; checkpoint {by} saw {last} rows")
            elif end.n < last:
                message = f"its end is missing: {end.n} rows are left, checkpoint {by} saw {last}"
                self._found(Wrong.CHAIN_CUT, where, message)

    def _check_unsigned(self, now: datetime | None) -> None:
        row = self._oldest_unsigned
        if row is not None and now is not None and now - row.at > LONGEST_UNSIGNED:
            message = f"no checkpoint covers it since {row.at:%Y-%m-%d %H:%M} UTC; none was made, or they were removed"
            self._found(Wrong.ROWS_UNSIGNED, f"{row.service} {row.chain} {row.n}", message)

    def _check_kept(self, n: int, digest: str, why: str) -> None:
        if n not in self._digests:
            self._found(Wrong.CHECKPOINT_MISSING, f"checkpoint {n}", f"it is missing; {why}")
        elif self._digests[n] != digest:
            self._found(Wrong.CHECKPOINT_CHANGED, f"checkpoint {n}", f"it was another one; {why}")

    def _unsigned(self, chain: Chain, end: _Place) -> int:
        return max(0, end.n - max(self._signed.get(chain, {}), default=0))

    def _found(self, what: Wrong, where: str, message: str) -> None:
        self.findings.append(Finding(what=what, where=where, message=message))
