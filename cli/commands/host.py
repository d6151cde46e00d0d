"""Looking at hosts."""

from collections.abc import Iterable
from typing import Any

import click

from cli.client import Client, typed, word
from cli.display import Form, emit, facts, rows, when
from cli.exits import Refused
from cli.session import Session, data_options, pass_session
from cli.targets import kind_of
from cli.words import Word
from contracts.hosts import Host, HostRef, Hosts, HostState, ListHosts, list_hosts, show_host


@click.group("host")
def host_group() -> None:
    """Find hosts and look at them."""


@host_group.command("list")
@click.option("--idc", multiple=True, help="Only hosts of this IDC; repeatable.")
@click.option("--tag", multiple=True, help="Only hosts with this tag; of several, any one will do.")
@click.option("--state", multiple=True, type=Word(HostState), help="Only hosts in this state; repeatable.")
@click.option("--business", multiple=True, help="Only hosts of this business; repeatable.")
@click.option("--line", multiple=True, help="Only hosts of this product line; repeatable.")
@click.option("--group", "groups", multiple=True, help="Only members of this group; of several, any one will do.")
@click.option("--where", default="", metavar="EXPRESSION", help="Only hosts that fit the expression.")
@click.option("--search", default="", help="Only hosts whose id, host name or IP begins with this.")
@click.option("--online/--offline", default=None, help="Only hosts whose agent is there, or is away.")
@data_options
@pass_session
def list_(session: Session, /, form: Form, **given: Any) -> None:
    """List hosts, all of them. Criteria narrow.

    \b
    Examples:
      drover host list --idc js --online
      drover host list --tag web --state in_service -o name | drover x 'uptime' -t @-
      drover host list --where 'ip in 10.1.0.0/16 and not online'
      drover host list --search 10.0. -o json
    """
    request = ListHosts(
        idcs=given["idc"],
        tags=given["tag"],
        states=given["state"],
        businesses=given["business"],
        product_lines=given["line"],
        groups=given["groups"],
        where=given["where"],
        search=given["search"],
        online=given["online"],
        limit=1000,
    )
    content = session.client.all_pages(list_hosts, request)
    found = typed(content, Hosts).hosts

    emit(form, content, lambda: [each.id for each in found], lambda: host_rows(found))


def host_rows(hosts: Iterable[Host]) -> None:
    rows(
        ("ID", "HOSTNAME", "IP", "IDC", "STATE", "AGENT", "BUSINESS", "LINE", "TAGS"),
        [
            (
                h.id,
                h.hostname,
                _first(h.ips),
                h.idc,
                h.state,
                agent(h),
                h.business,
                h.product_line,
                ",".join(h.tags),
            )
            for h in hosts
        ],
    )


def _first(ips: tuple[str, ...]) -> str:
    return ips[0] + (f" +{len(ips) - 1}" if len(ips) > 1 else "") if ips else ""


def agent(host: Host) -> str:
    if host.revoked:
        return "revoked"
    if not host.agent:
        return "none"
    return "online" if host.presence.online else "offline"


@host_group.command("show")
@click.argument("host")
@data_options
@pass_session
def show_(session: Session, host: str, form: Form) -> None:
    """Show a host, by id, IP or host name.

    \b
    Examples:
      drover host show web1
      drover host show 10.0.0.7
      drover host show h-4f1c09aa23de -o json
    """
    content, found = session.client.both(show_host, HostRef(host=identified(session.client, host)))
    emit(form, content, lambda: [found.id], lambda: _table(found))


def identified(client: Client, name: str) -> str:
    """The id of the one host that goes by this name."""
    kind = kind_of(name)
    if kind == "ids":
        return name
    asked = ListHosts(ips=(name,)) if kind == "ips" else ListHosts(hostnames=(name,))
    found = client.call(list_hosts, asked).hosts
    if len(found) == 1:
        return found[0].id
    if found:
        raise click.UsageError(
            f"several hosts are called {name}; give an id: {', '.join(each.id for each in found[:10])}"
        )
    raise Refused(f"no host is called {name}", "drover host list", "host.unknown")


def _table(host: Host) -> None:
    known = host.facts
    facts(
        [
            ("id", host.id),
            ("hostname", host.hostname),
            ("ips", "\n".join(host.ips)),
            ("idc", host.idc),
            ("class", host.host_class),
            ("state", host.state),
            ("agent", agent(host)),
            ("last seen", when(host.presence.last_seen)),
            ("open tasks", str(host.presence.open_tasks or "")),
            ("business", host.business),
            ("product line", host.product_line),
            ("room", host.room),
            ("rack", host.rack),
            ("set", host.host_set),
            ("serial", host.serial),
            ("asset", host.asset_id),
            ("tags", ", ".join(host.tags)),
            ("labels", "\n".join(f"{name}={value}" for name, value in host.labels.items())),
            ("attributes", "\n".join(f"{name}={word(value)}" for name, value in host.attributes.items())),
            ("system", " ".join(filter(None, (known.os, known.kernel, known.architecture)))),
            ("cpus", str(known.cpus or "")),
            ("memory", f"{known.memory_bytes / 2**30:.1f} GiB" if known.memory_bytes else ""),
            ("machine", known.product),
            ("runs in", known.virtualisation),
            ("disks", "\n".join(f"{d.name} {d.size_bytes / 2**30:.0f} GiB {d.model}".rstrip() for d in known.disks)),
            ("network", "\n".join(f"{i.name} {i.address} {'up' if i.up else 'down'}" for i in known.interfaces)),
            ("python", known.python),
            ("agent version", known.agent_version),
            ("agent account", known.account),
            ("known since", when(host.created_at)),
            ("changed by", " ".join(filter(None, (host.changed_by, when(host.changed_at))))),
            ("revision", str(host.revision)),
        ]
    )
