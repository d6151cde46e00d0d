"""A hundred thousand hosts and a thousand groups, half of them dynamic and some nested, as the resources service keeps
them. Always the same ones: the numbers come from one seed.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from contracts.groups import Group, GroupKind
from contracts.hosts import Host, HostClass, HostFacts, HostState, Presence
from contracts.topology import PlaceKind
from services.resources.groups.catalogue import Stored
from services.resources.groups.store import NEWEST, to_document
from services.resources.hosts.document import GROUPS, Enrolment, HostRecord
from services.resources.hosts.document import to_document as host_document
from services.resources.hosts.model import facts_hash
from services.resources.topology.model import Spot
from services.resources.topology.store import PlaceStore

SEED = 20261125
IDCS = ("js", "bj")
BUSINESSES, LINES, RACKS, SETS, TAGS = 20, 5, 500, 20, 30
HOSTS_IN_A_GROUP = 300
INSERTED_AT_ONCE = 2000
NOW = datetime(2026, 11, 25, tzinfo=UTC)
EXPRESSIONS = (
    "business = b{b} and tag = t{t}",
    "idc = js and rack in (r{r}, r{r1}, r{r2})",
    "ip in 10.{n}.0.0/16 and cpus >= 16",
    "labels.env = prod and product_line = b{b}-l{n5} and not tag = t{t}",
    "memory >= 128GiB and hostname = web-{n5}*",
    "set = s{s} and (tag = t{t} or rack = r{r})",
    'business = b{b} and not group("static-{g}")',
)


async def settle(resources: Any, count: int, groups: int) -> list[str]:
    """Into the database of the resources service; the names of the nested groups."""
    dice = random.Random(SEED)  # noqa: S311  the same herd every time
    stored = list(_groups(dice, groups))
    await PlaceStore(resources).ensure([Spot(PlaceKind.SET, f"s{number}") for number in range(SETS)], "bench")
    await resources["groups"].insert_many([to_document(each) for each in stored])
    await resources["group_marks"].replace_one({"_id": NEWEST}, {"mark": "herd"}, upsert=True)
    keys = [each.key for each in stored if not each.group.expression]
    share = HOSTS_IN_A_GROUP * len(keys) / count
    for start in range(0, count, INSERTED_AT_ONCE):
        documents = [_host(dice, number) for number in range(start, min(start + INSERTED_AT_ONCE, count))]
        for document in documents:
            document[GROUPS] = sorted(set(dice.choices(keys, k=int(share + dice.random()))))
        await resources["hosts"].insert_many(documents, ordered=False)
    return [each.group.name for each in stored if each.group.groups]


def _groups(dice: random.Random, count: int) -> Iterator[Stored]:
    """Half static, half dynamic; each fifth static one has groups of both kinds nested in it, up to four deep."""
    static, dynamic = count // 2, count - count // 2
    for number in range(static):
        nested: tuple[str, ...] = ()
        if number % 5 == 4:
            plain = [f"static-{dice.randrange(number)}" for _ in range(3)]
            nested = tuple(sorted({*plain, *(f"dynamic-{dice.randrange(dynamic)}" for _ in range(2))}))
        yield _stored(f"static-{number}", groups=nested, uses=nested)
    for number in range(dynamic):
        numbers = {"b": dice.randrange(BUSINESSES), "t": dice.randrange(TAGS), "s": dice.randrange(SETS)}
        racks = {name: dice.randrange(RACKS) for name in ("r", "r1", "r2")}
        used = dice.randrange(0, 5 * (static // 5), 5)
        text = EXPRESSIONS[number % len(EXPRESSIONS)]
        expression = text.format(**numbers, **racks, n=dice.randrange(8), n5=dice.randrange(LINES), g=used)
        yield _stored(f"dynamic-{number}", expression=expression, uses=(f"static-{used}",) * ("static-" in expression))


def _stored(name: str, *, uses: tuple[str, ...], **given: Any) -> Stored:
    group = Group(name=name, kind=GroupKind.CUSTOM, number=100, revision=1, changed_by="bench", changed_at=NOW, **given)
    return Stored(group, f"g-{name}", uses)


def _host(dice: random.Random, number: int) -> dict[str, Any]:
    business = dice.randrange(BUSINESSES)
    role = dice.choice(("web", "db", "cache", "job"))
    hostname, ip = f"{role}-{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    facts = HostFacts(
        hostname=hostname,
        ips=(ip,),
        os="Debian GNU/Linux 12",
        kernel="6.1.0-28-amd64",
        architecture="x86_64",
        cpus=dice.choice((8, 16, 32, 64)),
        memory_bytes=dice.choice((32, 64, 128, 256)) * 2**30,
        agent_version="0.1.0",
    )
    host = Host(
        id=f"h-{number:012x}",
        hostname=hostname,
        ips=(ip,),
        idc=dice.choice(IDCS),
        room=f"m{dice.randrange(8)}",
        rack=f"r{dice.randrange(RACKS)}",
        host_set=f"s{dice.randrange(SETS)}",
        host_class=HostClass.PHYSICAL,
        state=dice.choices((HostState.IN_SERVICE, HostState.STANDBY, HostState.RETIRED), (90, 7, 3))[0],
        business=f"b{business}",
        product_line=f"b{business}-l{dice.randrange(LINES)}",
        tags=tuple(sorted({f"t{dice.randrange(TAGS)}" for _ in range(3)})),
        labels={"env": dice.choice(("prod", "test")), "tier": str(dice.randrange(4))},
        facts=facts,
        presence=Presence(),
        created_at=NOW,
        revision=1,
    )
    enrolment = Enrolment(
        user_key=f"U{number:055}", box_key="", join_token="", issued_at=0, credentials_until=int(NOW.timestamp())
    )
    return host_document(HostRecord(host, enrolment), facts_hash(facts), {})
