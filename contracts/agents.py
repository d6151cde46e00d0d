"""What passes between the jobs service and the agents: grants, commands, acknowledgements, reports, presence."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contracts.hosts import HostFacts
from contracts.states import Outcome

PROTOCOL = 1
"""Version of the messages below. An agent refuses a grant of a version it does not know."""

GRANT_HEADER = "Drover-Grant"
SIGNATURE_HEADER = "Drover-Signature"
"""`<key id>.<base64 Ed25519 signature over GRANT_CONTEXT and the bytes of the grant header>`"""
GRANT_CONTEXT = b"drover/cmd/v1\0"
BODY_HEADER = "Drover-Body"
"""On `cmd.<idc>.body`: `<sha256 of the whole plain body> <number of this piece, from 0> <number of pieces>`. The plain
body is cut into pieces of PIECE_BYTES, and each piece is in a SecretBox of its own under the one-time key."""

MAX_START_WINDOW_S = 900
CLOCK_SKEW_S = 120
INLINE_BODY_BYTES = 8 * 1024
PIECE_BYTES = 512 * 1024
"""The most that one message carries. max_payload of the server is 1 MiB, headers included."""
HEAD_BYTES = 64 * 1024
"""This much of each host's output travels in its report and lives there; more goes to output chunks."""
MAX_SCRIPT_BYTES = 512 * 1024
MAX_SEALED_BYTES = 16 * 1024
MAX_RESULT_BYTES = 64 * 1024

Size = Annotated[int, Meta(ge=0, le=2**53)]
Small = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
"""Numbers of an agent are bounded: the database holds 64 bits, JSON any."""


REFUSED_VARIABLES = (
    r"LD_.*|DYLD_.*|DROVER_.*|PATH|BASH_ENV|BASH_FUNC_.*|ENV|SHELLOPTS|BASHOPTS|PS4|IFS|MALLOC_TRACE"
    r"|GCONV_PATH|LOCPATH|NLSPATH|GLIBC_TUNABLES|RESOLV_HOST_CONF|HOSTALIASES"
    r"|PYTHON(PATH|HOME|STARTUP|INSPECT|WARNINGS|EXECUTABLE|USERBASE)|PERL5(LIB|OPT|DB)|RUBY(LIB|OPT)"
    r"|NODE_(OPTIONS|PATH)"
)
"""Pattern of environment variables that no run may set: they change what is loaded or read before the script's first
line, possibly before its account is taken on, or they are ours."""


VARIABLE, MASK_ONLY = "@", "!"
"""First characters of names in `Grant.sealed` that are no parameters; no parameter's name begins so."""


class Verb(StrEnum):
    RUN = "run"
    CANCEL = "cancel"
    STORED = "stored"


class Grant(Struct, frozen=True, kw_only=True):
    """What the jobs service signs for one host. Times are seconds since 1970."""

    v: int = PROTOCOL
    kid: str
    verb: Verb
    task: str = ""
    """Empty for `stored`, which may speak of many tasks."""
    host: str
    instance: str
    """The jobs instance that gets the acknowledgement."""
    issued: float
    not_after: float
    """At most MAX_START_WINDOW_S after `issued`. A later resend is signed anew."""
    sha256: str
    """Of the plain body."""
    body_key: str = ""
    """Base64 key of the SecretBox around the body on `cmd.<idc>.body`; empty if the body is this message's payload."""
    sealed: str = ""
    """Base64 SealedBox to the host's X25519 key: JSON object of masked parameters, name → value; of variables, VARIABLE
    and flattened key → text; and of texts to be masked that are neither, MASK_ONLY and a number → text."""
    receipt: str = ""
    """sha256 of the text that says, when the host hears it, that the task's report is stored. See `Receipts`."""


class Language(StrEnum):
    SHELL = "shell"
    PYTHON = "python"


class RunScript(Struct, frozen=True, kw_only=True):
    """Body of `run`: the same bytes for every host of a wave."""

    language: Language
    script: str
    args: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    env: dict[str, str] = {}
    account: str | None = None
    """None: the account that the agent runs as."""
    timeout_s: Annotated[int, Meta(ge=1, le=259_200)]
    kill_grace_s: Annotated[int, Meta(ge=0, le=600)] = 10


class Cancel(Struct, frozen=True, kw_only=True):
    """Body of `cancel`: end the task of the grant, or never start it."""

    why: str = ""


class StoredItem(Struct, frozen=True, array_like=True):
    task: str
    n: int
    """REPORT_N for the report, else the number of an output chunk."""


REPORT_N = 0
"""The report's number among a task's messages; output chunks count from 1."""


class Stored(Struct, frozen=True, kw_only=True):
    """Body of `stored`: these are in MongoDB with majority and journal; the agent may free them."""

    items: tuple[StoredItem, ...]


class Receipts(Struct, frozen=True, kw_only=True):
    """Comes without a grant: the reports of these tasks are stored, as `Stored` says it. A receipt is believed because
    a signed grant of its task has named its sha256, and until the report is stored only the jobs service knows it."""

    receipts: dict[str, str]
    """Task → receipt."""


class TaskState(StrEnum):
    """Where a task stands in an agent's journal."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    """Reported, not yet stored."""
    STORED = "stored"
    CANCELLED = "cancelled"
    """Cancelled before it began; a later `run` is answered with this."""


class Ack(Struct, frozen=True, kw_only=True):
    """Answer to `run` and `cancel`, published on `ack.<idc>.<host>.<instance>`.

    A task that is accepted and ends within a second is not acknowledged: its report says that it was."""

    task: str
    verb: Verb
    state: TaskState | None = None
    """None: refused, see `reason`."""
    reason: str = ""
    message: str = ""


class Heartbeat(Struct, frozen=True, kw_only=True):
    v: int = PROTOCOL
    boot_id: str
    version: str
    open: tuple[str, ...] = ()
    """Tasks accepted or running."""


class OpenTask(Struct, frozen=True, kw_only=True):
    task: str
    state: TaskState


class Hello(Struct, frozen=True, kw_only=True):
    """Sent on every connection: makes the services resend at once what this host still lacks."""

    v: int = PROTOCOL
    boot_id: str
    version: str
    facts: HostFacts
    tasks: tuple[OpenTask, ...] = ()
    """Accepted, running, and done but not stored."""


class Report(Struct, frozen=True, kw_only=True, tag="report"):
    """What an agent says of a finished, refused or lost task. Published with the id `<task>.<host>.0.<turn>`:
    sent again for want of an answer it keeps its id, sent anew after a doubt it gets another turn."""

    v: int = PROTOCOL
    task: str
    outcome: Outcome
    exit_code: Small | None = None
    signal: Small | None = None
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    ended_at: datetime
    cpu_s: float | None = None
    """User and system time of the script and what it waited for."""
    boot_id: str = ""
    output_bytes: Size = 0
    """UTF-8 bytes of the whole text that was kept."""
    output_dropped: Size = 0
    """Bytes that the cap cut off."""
    output_hash: str = ""
    """sha256 of the output, normalised as `agent.text.normalised` says; equal hashes fold into one line."""
    head: str = ""
    """The first HEAD_BYTES of the output."""
    chunks: Size = 0
    """How many output chunks were sent before this."""
    tag: str = ""
    result: str = ""
    """The script's own JSON value, as text that is known to parse; empty if it wrote none."""


class OutputChunk(Struct, frozen=True, kw_only=True, tag="chunk"):
    """A piece of output, published with the id `<task>.<host>.<n>.<turn>`; live copies on `out.…` have n = 0."""

    v: int = PROTOCOL
    task: str
    n: Size
    offset: Size
    """Bytes of UTF-8 text before this piece."""
    text: str


class AskBody(Struct, frozen=True, kw_only=True):
    """An agent missed a large body; answered only for a task that is meant for it."""

    task: str
    sha256: str
    piece: int


class BodyPiece(Struct, frozen=True, kw_only=True):
    piece: int
    pieces: int
    data: str
    """Base64 of the plain bytes. The channel is TLS and the agent checks the sha256 of the whole."""


FromAgent = Report | OutputChunk
"""What RESULTS carries; the message's `type` tells which."""


class AgentCall:
    """Verbs below `rpc.agent.<idc>.<host>.`"""

    RENEW = "resources.credentials.renew"
    BODY = "jobs.body"
