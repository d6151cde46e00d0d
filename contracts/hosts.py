"""Hosts: what is known of them, how they join, how targets are chosen. Spoken by the resources service."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.kinds import ANYONE, Call, Event, delete, get, post
from contracts.people import Nothing
from contracts.permissions import Scope
from contracts.tokens import END, TOKEN_PATTERN

Token = Annotated[str, Meta(pattern=TOKEN_PATTERN)]
Tag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/-]{1,64}" + END)]
Label = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=200)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=64)]
Labels = Annotated[dict[Tag, Label], Meta(max_length=64)]
AttributeName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}" + END)]
AttributeValue = Label | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | bool
Attributes = Annotated[dict[AttributeName, AttributeValue], Meta(max_length=64)]


class HostState(StrEnum):
    DEPLOYING = "deploying"
    STANDBY = "standby"
    IN_SERVICE = "in_service"
    MAINTENANCE = "maintenance"
    FAULTY = "faulty"
    RETIRED = "retired"


class HostClass(StrEnum):
    PHYSICAL = "physical"
    MANAGEMENT = "management"
    """The machines that run Drover itself. Chosen only by id, IP or `local`, never by attributes or `all`."""


class Disk(Struct, frozen=True, kw_only=True):
    name: Text
    size_bytes: Annotated[int, Meta(ge=0, le=2**60)]
    model: Text = ""
    rotates: bool = False


class NetworkInterface(Struct, frozen=True, kw_only=True):
    name: Text
    address: Text = ""
    """Of the hardware."""
    mtu: Annotated[int, Meta(ge=0, le=2**32)] = 0
    up: bool = False


class HostFacts(Struct, frozen=True, kw_only=True):
    """What an agent says of its host. Data, never trusted as a name, path or template."""

    hostname: Annotated[str, Meta(max_length=255)] = ""
    ips: Annotated[tuple[Annotated[str, Meta(max_length=45)], ...], Meta(max_length=64)] = ()
    os: Text = ""
    kernel: Text = ""
    architecture: Text = ""
    cpus: Annotated[int, Meta(ge=0, le=2**20)] = 0
    memory_bytes: Annotated[int, Meta(ge=0, le=2**60)] = 0
    boot_id: Text = ""
    agent_version: Text = ""
    python: Text = ""
    account: Text = ""
    """The account that the agent itself runs as."""
    virtualisation: Text = ""
    """What the host runs in, such as kvm or docker; empty of bare metal."""
    product: Text = ""
    """Maker and model of the machine."""
    disks: Annotated[tuple[Disk, ...], Meta(max_length=64)] = ()
    interfaces: Annotated[tuple[NetworkInterface, ...], Meta(max_length=64)] = ()


class Presence(Struct, frozen=True, kw_only=True):
    online: bool = False
    last_seen: datetime | None = None
    open_tasks: int = 0


class Host(Struct, frozen=True, kw_only=True):
    id: str
    hostname: str
    ips: tuple[str, ...]
    idc: str
    host_class: HostClass
    state: HostState
    business: str
    product_line: str
    tags: tuple[str, ...]
    labels: dict[str, str]
    facts: HostFacts
    presence: Presence
    created_at: datetime
    revision: int
    revoked: bool = False
    room: str = ""
    rack: str = ""
    host_set: str = ""
    """The set it belongs to: hosts that are rolled out, or fail, together."""
    attributes: dict[str, str | int | bool] = {}
    """What people decided to know of hosts beyond these fields, each of a declared type."""
    serial: str = ""
    asset_id: str = ""
    agent: bool = True
    """False of a record that was imported and whose host has not enrolled yet: nobody is there to obey."""
    changed_by: str = ""
    """Who changed last what people enter."""
    changed_at: datetime | None = None


class HostFilter(Struct, frozen=True, kw_only=True):
    """A host fits if it fits every criterion that is given; a criterion with several values wants any one of them."""

    ids: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    idcs: tuple[str, ...] = ()
    businesses: tuple[str, ...] = ()
    product_lines: tuple[str, ...] = ()
    states: tuple[HostState, ...] = ()
    tags: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    racks: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    where: str = ""
    """An expression over what is known of hosts, such as `tag = web and not online`."""


class Targets(HostFilter, frozen=True, kw_only=True):
    """Which hosts a run is for. Exactly what is asked: nothing asked is an error, never everything."""

    all: bool = False
    """Every physical host that is not retired."""
    local: bool = False
    """The management server itself."""
    exclude: HostFilter | None = None
    allow_unknown: bool = False
    """Ids, IPs and host names that match no host are an error unless this is set."""


class TargetHost(Struct, frozen=True, kw_only=True):
    id: str
    idc: str
    ip: str
    hostname: str
    box_key: str
    """The host's X25519 public key, base64, for values that only it may read; empty of a host without an agent."""
    online: bool
    business: str = ""


class ResolveTargets(Struct, frozen=True, kw_only=True):
    """Pages come in the order of the ids; `hash` and `unknown` speak of the whole set on every page."""

    targets: Targets
    after: str = ""
    limit: Limit = 1000
    scopes: tuple[Scope, ...] | None = None
    """Of whoever a service asks for: only hosts inside count. Services alone are believed; others have their own."""


class TargetSet(Struct, frozen=True, kw_only=True):
    """A frozen answer: `hash` is sha256 over the sorted ids joined by newlines."""

    hosts: list[TargetHost]
    hash: str
    unknown: tuple[str, ...] = ()
    next: str = ""
    """Pass as `after` for the next page. A set that changed meanwhile shows by its hash."""
    total: int = 0
    """Hosts in the whole set."""


class ListHosts(HostFilter, frozen=True, kw_only=True):
    search: Annotated[str, Meta(max_length=200)] = ""
    """Matches the beginning of an id, a host name or an IP."""
    online: bool | None = None
    after: str = ""
    limit: Limit = 100


class Hosts(Struct, frozen=True, kw_only=True):
    hosts: list[Host]
    next: str = ""


class HostRef(Struct, frozen=True, kw_only=True):
    host: Token


class ChangeHost(Struct, frozen=True, kw_only=True):
    """Fields left out stay as they are. With `revision` the change is refused if somebody else was faster."""

    host: Token
    revision: int | None = None
    state: HostState | UnsetType = UNSET
    business: Text | UnsetType = UNSET
    product_line: Text | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    room: Text | UnsetType = UNSET
    rack: Text | UnsetType = UNSET
    host_set: Text | UnsetType = UNSET
    attributes: Attributes | UnsetType = UNSET
    serial: Text | UnsetType = UNSET
    asset_id: Text | UnsetType = UNSET


class RevokeHost(Struct, frozen=True, kw_only=True):
    """The host's credentials end now, its live connection is cut, and it must enrol as a new host."""

    host: Token
    why: Annotated[str, Meta(min_length=1, max_length=500)]


class CreateJoinToken(Struct, frozen=True, kw_only=True):
    idc: Token
    expires_in_s: Annotated[int, Meta(ge=60, le=30 * 86400)] = 3600
    uses: Annotated[int, Meta(ge=1, le=100_000)] = 1
    host_class: HostClass = HostClass.PHYSICAL
    state: HostState = HostState.IN_SERVICE
    business: Text = ""
    product_line: Text = ""
    tags: Tags = ()
    labels: Labels = {}


class JoinToken(Struct, frozen=True, kw_only=True):
    id: str
    idc: str
    expires_at: datetime
    uses_left: int
    created_by: str
    secret: str = ""
    """Shown once, in the answer to the creation; only its hash is kept."""


class JoinTokens(Struct, frozen=True, kw_only=True):
    tokens: list[JoinToken]


class JoinTokenRef(Struct, frozen=True, kw_only=True):
    id: str


PublicKey = Annotated[str, Meta(min_length=40, max_length=64)]


class AskChallenge(Struct, frozen=True, kw_only=True):
    user_key: PublicKey
    """The agent's public nkey (`U…`), which it will sign the nonce with."""


class Challenge(Struct, frozen=True, kw_only=True):
    nonce: str


class Enrol(Struct, frozen=True, kw_only=True):
    """`signature` is base64 Ed25519 by the user key over `enrolment_proof(...)` of this module."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]
    nonce: Annotated[str, Meta(min_length=1, max_length=200)]
    user_key: PublicKey
    box_key: PublicKey
    signature: Annotated[str, Meta(min_length=1, max_length=200)]
    facts: HostFacts = HostFacts()


def enrolment_proof(nonce: str, user_key: str, box_key: str, token: str) -> bytes:
    """The bytes an agent signs to show that it holds the key it presents, bound to this token and box key."""
    return b"drover/enrol/v1\0" + "\n".join((nonce, user_key, box_key, token)).encode()


class Enrolled(Struct, frozen=True, kw_only=True):
    host: str
    idc: str
    jwt: str
    ca: str
    command_keys: dict[str, str]
    """Key id → base64 Ed25519 public key. The agent obeys commands signed by one of these."""
    relays: tuple[str, ...]


class RenewCredentials(Struct, frozen=True, kw_only=True):
    """Asked by an agent on its own subject; the broker says which host it is."""


class Renewed(Struct, frozen=True, kw_only=True):
    jwt: str


class HostChanged(Struct, frozen=True, kw_only=True):
    host: str
    what: Literal["enrolled", "changed", "revoked", "online", "offline"]
    revision: int


list_hosts = Call(
    "resources.hosts.list",
    ListHosts,
    Hosts,
    needs="hosts:read",
    http=get("/hosts"),
    idempotent=True,
    summary="List hosts",
)
show_host = Call(
    "resources.hosts.show",
    HostRef,
    Host,
    needs="hosts:read",
    http=get("/hosts/{host}"),
    idempotent=True,
    summary="Show a host",
)
change_host = Call(
    "resources.hosts.change",
    ChangeHost,
    Host,
    needs="hosts:change",
    http=post("/hosts/{host}"),
    summary="Change a host's state, place, business, tags, labels or attributes",
)
revoke_host = Call(
    "resources.hosts.revoke",
    RevokeHost,
    Host,
    needs="hosts:enrol",
    http=post("/hosts/{host}/revoke"),
    idempotent=True,
    summary="Revoke a host's credentials and cut its connection",
)
resolve_targets = Call(
    "resources.targets.resolve",
    ResolveTargets,
    TargetSet,
    needs="hosts:read",
    http=post("/targets/resolve"),
    idempotent=True,
    reads=True,
    summary="Which hosts would this choose",
)
create_join_token = Call(
    "resources.join_tokens.create",
    CreateJoinToken,
    JoinToken,
    needs="hosts:enrol",
    http=post("/join-tokens", status=201),
    summary="Make a join token for an IDC",
)
list_join_tokens = Call(
    "resources.join_tokens.list",
    Nothing,
    JoinTokens,
    needs="hosts:enrol",
    http=get("/join-tokens"),
    idempotent=True,
    summary="List join tokens that still work",
)
withdraw_join_token = Call(
    "resources.join_tokens.withdraw",
    JoinTokenRef,
    JoinToken,
    needs="hosts:enrol",
    http=delete("/join-tokens/{id}"),
    idempotent=True,
    summary="Withdraw a join token",
)
ask_challenge = Call(
    "resources.enrolment.challenge",
    AskChallenge,
    Challenge,
    needs=ANYONE,
    http=post("/enrolment/challenge"),
    reads=True,
    summary="Begin to enrol: get a nonce to sign",
)
enrol = Call(
    "resources.enrolment.enrol",
    Enrol,
    Enrolled,
    needs=ANYONE,
    http=post("/enrolment", status=201),
    summary="Enrol a host with a join token and a proof of its key",
)

host_changed = Event("resources", "host", HostChanged, key="host")
