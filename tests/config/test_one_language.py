"""Templates and scripts read the same names and find the same values behind them."""

import pytest
import pytest_asyncio

from contracts import templates, variables
from contracts.groups import GroupKind
from contracts.templates import RenderForHosts, SaveTemplate
from contracts.variables import ResolveVariables, SetVariables
from tests.agent.script_rig import PYTHON, run
from tests.conftest import service_bus

ABSENT = "absent"
TABLE = {
    # name: what js-1, which has documents at every scope, and bare-1, which has no IP, read
    "inventory_hostname": ("10.0.0.1", ABSENT),
    "host.id": ("js-1", "bare-1"),
    "host.hostname": ("js-1.example", "bare-1.example"),
    "host.ip": ("10.0.0.1", ABSENT),
    "host.idc": ("js", "bj"),
    "host.business": ("shop", ""),
    "host.class": ("physical", "physical"),
    "host.state": ("in_service", "in_service"),
    "host.cpus": ("8", "0"),
    "host.nothing": (ABSENT, ABSENT),
    "global.file_ulimit": ("65535", "65535"),
    "global.region.id": ("0", "0"),
    "global.password": ("s3cret", "s3cret"),
    "global.web": (ABSENT, ABSENT),
    "file_ulimit": ("1024", "65535"),
    "region.id": ("7", "0"),
    "region.name": ("blue", ABSENT),
    "password": ("own", "s3cret"),
    "web": ("yes please", ABSENT),
}
LISTS = {
    "host.ips": ('["10.0.0.1"]', "[]"),
    "group_names": ('["global","idc:js","set:blue","web"]', '["global","idc:bj"]'),
    "global.hosts": ('["a","b"]', '["a","b"]'),
    "hosts": ('["c"]', '["a","b"]'),
}
HOSTS = ("js-1", "bare-1")
SHELL = '. "$DROVER_LIB"\n' + "".join(
    f"printf '%s\\n' \"$(drover_var '{name}' {ABSENT})\"\n" for name in (*TABLE, *LISTS)
)
MODULE = "import drover\n" + "".join(f"print(drover.var({name!r}, {ABSENT!r}))\n" for name in (*TABLE, *LISTS))


@pytest_asyncio.fixture
async def laid_out(ask, fleet, clean):
    fleet.host("js-1", "10.0.0.1", "js", business="shop", cpus=8)
    fleet.host("bare-1", "", "bj", cpus=0)
    fleet.group("set:blue", GroupKind.SET, add=["js-1"])
    fleet.group("web", number=10, add=["js-1"])
    for scope, text in (
        ("group:global", "file_ulimit: 65535\nregion: {id: 0}\npassword: !secret s3cret\nhosts: [a, b]\n"),
        ("group:idc:js", "file_ulimit: 1024\nregion: {id: 7}\n"),
        ("group:set:blue", "region: {name: blue}\n"),
        ("group:web", "web: yes please\nhosts: [c]\n"),
        ("host:js-1", "password: !secret own\n"),
    ):
        await ask(variables.set_variables, SetVariables(scope=scope, text=text))


@pytest.fixture
def expected():
    return {host: [row[n] for row in (*TABLE.values(), *LISTS.values())] for n, host in enumerate(HOSTS)}


async def test_a_template_reads_the_names_of_the_table(nats, config, ask, laid_out, expected):
    lines = [f"{{{{ {name} | default('{ABSENT}') }}}}\n" for name in TABLE]
    lines += [f"{{{{ {name} | tojson | replace(', ', ',') }}}}\n" for name in LISTS]
    await ask(templates.save_template, SaveTemplate(name="names", text="".join(lines)))
    async with service_bus(nats, "jobs") as jobs:
        found = await jobs.call(templates.render_for_hosts, RenderForHosts(name="names", hosts=HOSTS))
    assert {each.host: (each.text or "").split("\n")[:-1] for each in found.hosts} == expected


@pytest.mark.parametrize(("interpreter", "script"), [("dash", SHELL), ("bash", SHELL), (PYTHON, MODULE)])
async def test_a_script_reads_the_names_of_the_table(nats, config, laid_out, expected, tmp_path, interpreter, script):
    async with service_bus(nats, "jobs") as jobs:
        found = await jobs.call(variables.resolve_variables, ResolveVariables(hosts=HOSTS))
    for each in found.hosts:
        ran = run(interpreter, script, tmp_path, {f"@{key}": text for key, text in each.flat.items()})
        assert (ran.code, ran.out.decode().split("\n")[:-1]) == (0, expected[each.host]), ran.err
        assert set(each.secrets) == ({"s3cret", "own"} if each.host == "js-1" else {"s3cret"}), "hidden ones too"


async def test_what_all_hosts_share_is_told_only_to_whom_asks(nats, config, laid_out):
    async with service_bus(nats, "jobs") as jobs:
        asked = ResolveVariables(hosts=HOSTS, with_global=False)
        found = await jobs.call(variables.resolve_variables, asked)
    assert not [key for each in found.hosts for key in each.flat if key.startswith("global.")]
    assert {each.host: each.secrets for each in found.hosts} == {"js-1": ("own",), "bare-1": ("s3cret",)}
