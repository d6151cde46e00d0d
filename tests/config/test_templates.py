"""Templates on the real service: kept in versions, rendered for hosts, compared, looked through."""

import asyncio

import msgspec
import pytest
import pytest_asyncio

from contracts import templates, variables
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.runs import MASK
from contracts.templates import (
    DiffTemplate,
    LintTemplate,
    ListTemplates,
    ListTemplateVersions,
    RenderForHosts,
    RenderTemplate,
    SaveTemplate,
    ShowTemplate,
)
from contracts.variables import PreviewVariables, SetVariables
from tests.config.conftest import ADMIN, OPERATOR, VIEWER
from tests.config.profiling import profiled, whole_collections
from tests.conftest import service_bus

EXAMPLE = (
    "region              = {{ region.id }}\n"
    "listen-ip           = {{ inventory_hostname }}\n"
    "file_ulimit           = {{ global.file_ulimit }}\n"
)


@pytest_asyncio.fixture
async def save(ask, clean):
    async def saved(name, text, **more):
        return await ask(templates.save_template, SaveTemplate(name=name, text=text, **more))

    return saved


@pytest_asyncio.fixture
async def three_hosts(ask, fleet, clean):
    """Two in js and one in bj, which has another region and a limit of its own."""
    for host, ip, idc in (("h-1", "172.27.117.201", "js"), ("h-2", "172.27.117.202", "js"), ("h-3", "10.20.0.9", "bj")):
        fleet.host(host, ip, idc)
    for scope, text in (
        ("group:global", "file_ulimit: 65535\npassword: !secret hunter2\n"),
        ("group:idc:js", "region: {id: 7001, name: js}\n"),
        ("group:idc:bj", "region: {id: 7002}\nfile_ulimit: 1024\n"),
    ):
        await ask(variables.set_variables, SetVariables(scope=scope, text=text))


async def test_the_example_of_the_requirements_on_three_hosts(ask, save, three_hosts):
    await save("server.conf", EXAMPLE)
    said = await ask(
        templates.render_template, RenderTemplate(name="server.conf", hosts=("h-3", "h-1", "h-2")), by=VIEWER
    )
    assert said.revision == 1
    assert {each.host: each.text for each in said.hosts} == {
        host: f"region              = {region}\nlisten-ip           = {ip}\nfile_ulimit           = 65535\n"
        for host, region, ip in (
            ("h-1", 7001, "172.27.117.201"),
            ("h-2", 7001, "172.27.117.202"),
            ("h-3", 7002, "10.20.0.9"),
        )
    }


async def test_what_drover_says_of_a_host(ask, fleet, save, three_hosts):
    fleet.host("h-4", "10.0.0.4", "js", business="shop", cpus=8, os="{{ 7*7 }}")
    fleet.group("web", number=7, add=["h-4"])
    text = "{{ host.id }} {{ host.ip }} {{ host.class }} {{ host.business }} {{ host.set }}{{ host.cpus }} {{ host.os }} {{ group_names|join(',') }}"
    said = await ask(templates.render_template, RenderTemplate(name="unsaved", text=text, hosts=("h-4",)))
    assert said.hosts[0].text == "h-4 10.0.0.4 physical shop 8 {{ 7*7 }} global,idc:js,web"
    assert said.revision == 0


async def test_a_host_without_an_ip_has_no_inventory_hostname(ask, fleet, clean):
    fleet.host("h-5")
    with pytest.raises(Invalid) as refused:
        await ask(templates.render_template, RenderTemplate(name="x", text="{{ inventory_hostname }}", hosts=("h-5",)))
    assert refused.value.reason == "template.undefined"


async def test_a_tasks_variables_win(ask, save, three_hosts):
    await save("a", "{{ region.id }}")
    asked = RenderTemplate(name="a", hosts=("h-1",), task="region: {id: 9}")
    assert (await ask(templates.render_template, asked)).hosts[0].text == "9"


async def test_a_preview_tells_the_values_too_if_they_are_asked_for(ask, save, three_hosts):
    await save("a", "{{ region.id }}{{ region.name|default('') }}{{ password }}{{ host.idc }}{{ global.file_ulimit }}")
    said = await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-1", "h-3"), values=True))
    assert [each.values for each in said.hosts] == [
        {
            "region.id": 7001,
            "region.name": "js",
            "password": MASK,
            "host.idc": "js",
            "global.file_ulimit": 65535,
        },
        {"region.id": 7002, "password": MASK, "host.idc": "bj", "global.file_ulimit": 65535},
    ]
    said = await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-1",)))
    assert said.hosts[0].values == {}


async def test_some_hosts_may_have_errors(ask, save, three_hosts):
    await save("a", "\n{{ region.name }}")
    said = await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-1", "h-2", "h-3")))
    assert [each.text for each in said.hosts] == ["\njs", "\njs", None]
    error = said.hosts[2].error
    assert (error.reason, error.name, error.line) == ("template.undefined", "region.name", 2)


async def test_if_no_host_can_be_rendered_the_call_is_refused(ask, save, three_hosts):
    await save("a", "x\n{{ region.name }}")
    with pytest.raises(Invalid) as refused:
        await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-3",)))
    assert refused.value.reason == "template.undefined"
    assert refused.value.message == "For h-3, line 2: region.name is undefined."
    [failed] = refused.value.details["failed"]
    assert (failed["hosts"], failed["count"], failed["name"], failed["line"]) == (["h-3"], 1, "region.name", 2)


async def test_the_refusal_for_all_hosts_says_each_problem_once(ask, fleet, clean):
    hosts = tuple(fleet.host(f"h-{number}", f"10.0.0.{number}") for number in range(1, 8))
    text = "{% if host.id == 'h-7' %}{{ a }}{% endif %}\n{{ b }}"
    with pytest.raises(Invalid) as refused:
        await ask(templates.render_template, RenderTemplate(name="x", text=text, hosts=hosts))
    assert refused.value.message == (
        "For h-1, h-2, h-3, h-4, h-5 and 1 more, line 2: b is undefined. For h-7, line 1: a is undefined."
    )
    assert [each["count"] for each in refused.value.details["failed"]] == [6, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\n{% if %}", "malformed"),
        ("{% include 'x' %}", "malformed"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "too_expensive"),
        ("x" * (256 * 1024 + 1), "too_large"),
    ],
)
async def test_what_is_no_template_is_not_saved(ask, save, text, reason):
    with pytest.raises(Invalid) as refused:
        await save("a", text)
    assert refused.value.reason == f"template.{reason}"
    with pytest.raises(NotFound):
        await ask(templates.show_template, ShowTemplate(name="a"))


async def test_secrets_are_masked_in_previews_and_real_for_the_jobs_service(ask, nats, save, three_hosts):
    await save("a", "{{ password }} {{ global.password }}")
    said = await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-1",)))
    assert said.hosts[0].text == f"{MASK} {MASK}"
    for by in (ADMIN, OPERATOR):
        with pytest.raises(Forbidden):
            await ask(templates.render_for_hosts, RenderForHosts(name="a", hosts=("h-1",)), by=by)
    async with service_bus(nats, "jobs") as jobs:
        files = await jobs.call(templates.render_for_hosts, RenderForHosts(name="a", hosts=("h-1", "h-9", "h-2")))
    assert [(each.host, each.text) for each in files.hosts] == [("h-1", "hunter2 hunter2"), ("h-2", "hunter2 hunter2")]


async def test_a_thousand_hosts_are_rendered_page_by_page(nats, fleet, save):
    await save("a", "{{ inventory_hostname }}\n" + "x" * 2000)
    for n in range(1000):
        fleet.host(f"h-{n:04}", f"10.0.{n >> 8}.{n & 255}")
    left, found = tuple(fleet.hosts), {}
    async with service_bus(nats, "jobs") as jobs:
        while left:
            page = await jobs.call(templates.render_for_hosts, RenderForHosts(name="a", hosts=left), timeout=20)
            found |= {each.host: each.text.partition("\n")[0] for each in page.hosts}
            left = page.rest
    assert found == {host: known.ips[0] for host, known in fleet.hosts.items()}


async def test_saves_are_versions_that_never_change(ask, save):
    first = await save("a", "one {{ x }}", why="begin", description="A file", tags=("web", "conf", "web"))
    assert (first.revision, first.tags, first.changed_by) == (1, ("conf", "web"), "ada")
    second = await save("a", "two {{ y.z|default(1) }}")
    assert (second.revision, second.tags, second.description) == (2, ("conf", "web"), "A file")
    assert [msgspec.to_builtins(each) for each in second.reads] == [{"key": "y.z", "lines": (1,), "optional": True}]
    assert await ask(templates.show_template, ShowTemplate(name="a")) == second
    assert await ask(templates.show_template, ShowTemplate(name="a", revision=1)) == first
    assert (await save("a", "two {{ y.z|default(1) }}", why="nothing new")).revision == 2
    found = await ask(templates.list_template_versions, ListTemplateVersions(name="a", limit=1))
    assert ([each.revision for each in found.versions], found.next) == ([2], 2)
    found = await ask(templates.list_template_versions, ListTemplateVersions(name="a", after=2))
    assert ([each.why for each in found.versions], found.next) == (["begin"], 0)


async def test_whoever_looked_at_an_older_revision_is_told_who_was_faster(ask, save):
    await save("a", "one")
    await ask(templates.save_template, SaveTemplate(name="a", text="two", revision=1), by=OPERATOR)
    with pytest.raises(Conflict) as refused:
        await save("a", "three", revision=1)
    assert refused.value.reason == "template.changed_meanwhile"
    assert refused.value.details.items() >= {"revision": 2, "by": "olga"}.items()
    for name, revision in (("a", 0), ("b", 1)):
        with pytest.raises(Conflict):
            await save(name, "four", revision=revision)


async def test_of_many_at_once_one_wins(save):
    said = await asyncio.gather(*(save("a", f"{n}", revision=0) for n in range(4)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in said) == ["Conflict"] * 3 + ["Template"]


async def test_what_does_not_exist_is_unknown(ask, save, three_hosts):
    await save("a", "one")
    for call, request in (
        (templates.show_template, ShowTemplate(name="b")),
        (templates.show_template, ShowTemplate(name="a", revision=2)),
        (templates.list_template_versions, ListTemplateVersions(name="b")),
        (templates.render_template, RenderTemplate(name="b", hosts=("h-1",))),
        (templates.diff_template, DiffTemplate(name="a", against=7)),
        (templates.lint_template, LintTemplate(name="b")),
    ):
        with pytest.raises(NotFound) as refused:
            await ask(call, request)
        assert refused.value.reason == "template.unknown"
    with pytest.raises(NotFound) as refused:
        await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-1", "h-9")))
    assert refused.value.reason == "host.unknown"


async def test_versions_are_compared(ask, save):
    await save("a", "one\ntwo\n")
    await save("a", "one\nthree\n")
    said = await ask(templates.diff_template, DiffTemplate(name="a"))
    assert (said.equal, said.text) == (
        False,
        "--- a revision 1\n+++ a revision 2\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n",
    )
    assert (await ask(templates.diff_template, DiffTemplate(name="a", revision=1, against=1))).equal
    assert (await ask(templates.diff_template, DiffTemplate(name="a", against=0))).text.endswith("+one\n+three\n")


async def test_a_template_is_compared_with_what_is_on_a_host(ask, save, three_hosts):
    await save("a", EXAMPLE)
    content = "region              = 7000\nlisten-ip           = 172.27.117.201\nfile_ulimit           = 65535\n"
    said = await ask(templates.diff_template, DiffTemplate(name="a", content=content, host="h-1"))
    assert "-region              = 7000\n+region              = 7001\n" in said.text
    right = content.replace("7000", "7001")
    assert (await ask(templates.diff_template, DiffTemplate(name="a", content=right, host="h-1"))).equal
    with pytest.raises(Invalid) as refused:
        await ask(templates.diff_template, DiffTemplate(name="a", content=content))
    assert refused.value.reason == "template.no_host"


async def test_lint_tells_what_is_read_and_which_hosts_lack_it(ask, save, three_hosts):
    text = (
        "{{ region.id }}{{ region.name }}\n{{ host.id }}{{ global.nothing }}{{ role|default('x') }}\n{{ region.name }}"
    )
    await save("a", text)
    said = await ask(templates.lint_template, LintTemplate(name="a", hosts=("h-1", "h-2", "h-3")))
    assert [(each.key, each.lines, each.optional) for each in said.reads] == [
        ("region.id", (1,), False),
        ("region.name", (1, 3), False),
        ("host.id", (2,), False),
        ("global.nothing", (2,), False),
        ("role", (2,), True),
    ]
    assert [(each.key, each.count, each.hosts) for each in said.lacking] == [
        ("region.name", 1, ("h-3",)),
        ("global.nothing", 3, ("h-1", "h-2", "h-3")),
    ]
    assert (await ask(templates.lint_template, LintTemplate(name="a"))).lacking == []


async def test_templates_are_found_by_name_tag_and_what_they_read(ask, save):
    await save("nginx.conf", "{{ region.mongodb.port }}", tags=("web",))
    await save("mongod.conf", "{{ mongodb.port }}", tags=("db",))
    await save("motd", "hello")

    async def names(**asked):
        return [each.name for each in (await ask(templates.list_templates, ListTemplates(**asked))).templates]

    assert await names() == ["mongod.conf", "motd", "nginx.conf"]
    assert await names(search="MO") == ["mongod.conf", "motd", "nginx.conf"]
    assert await names(search="mongodb.p") == ["mongod.conf", "nginx.conf"]
    assert await names(search="region") == ["nginx.conf"]
    assert await names(search=".*") == []
    assert await names(tags=("web", "db")) == ["mongod.conf", "nginx.conf"]
    first = await ask(templates.list_templates, ListTemplates(limit=2))
    assert (first.next, await names(after=first.next)) == ("motd", ["nginx.conf"])


async def test_a_change_of_variables_tells_the_templates_that_read_them(ask, save, three_hosts):
    await save("a", "{{ region.id }}")
    await save("b", "{% for k, v in region|dictsort %}{{ k }}{% endfor %}")
    await save("c", "{{ region.name }}")
    await save("d", "{{ global.file_ulimit }}")
    await save("e", "nothing")
    said = await ask(
        variables.preview_variables, PreviewVariables(scope="group:idc:js", text="region: {id: 7003, name: js}")
    )
    assert [(each.name, each.keys) for each in said.templates] == [("a", ("region.id",)), ("b", ("region.id",))]
    said = await ask(
        variables.preview_variables,
        PreviewVariables(scope="group:global", text=f'file_ulimit: 1\npassword: !secret "{MASK}"', limit=1),
    )
    assert (said.templates_changed, said.templates[0].name) == (1, "d")


async def test_a_scope_of_groups_shows_no_other_hosts(ask, save, three_hosts):
    await save("a", "{{ region.id }}")
    grant = Grant(permissions=("templates:read", "variables:read"), scope=Scope(groups=("idc:js",)))
    sam = Principal(kind="person", name="sam", grants=(grant,))
    assert len((await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-1",)), by=sam)).hosts) == 1
    for call, request in (
        (templates.render_template, RenderTemplate(name="a", hosts=("h-3",))),
        (templates.lint_template, LintTemplate(name="a", hosts=("h-3",))),
        (templates.diff_template, DiffTemplate(name="a", content="x", host="h-3")),
    ):
        with pytest.raises(NotFound) as refused:
            await ask(call, request, by=sam)
        assert refused.value.message == "There is no host h-3."
    blind = Principal(kind="person", name="sam", grants=(Grant(permissions=("templates:read",)),))
    with pytest.raises(NotFound):
        await ask(templates.render_template, RenderTemplate(name="a", hosts=("h-1",)), by=blind)


async def test_viewers_save_nothing(ask, clean):
    with pytest.raises(Forbidden):
        await ask(templates.save_template, SaveTemplate(name="a", text="x"), by=VIEWER)


async def test_no_query_reads_a_whole_collection(ask, save, database, three_hosts):
    async with profiled(database) as seen:
        await save("a", "{{ region.id }}", tags=("web",))
        await save("a", "{{ region.id }}!")
        for request in (ListTemplates(after="A"), ListTemplates(search="r"), ListTemplates(tags=("web",))):
            await ask(templates.list_templates, request)
        await ask(templates.show_template, ShowTemplate(name="a", revision=1))
        await ask(templates.list_template_versions, ListTemplateVersions(name="a", after=2))
        await ask(variables.preview_variables, PreviewVariables(scope="host:h-1", text="region: {id: 1}"))
    assert whole_collections(seen, "templates", "template_versions") == []
    assert {each["ns"].partition(".")[2] for each in seen} >= {"templates", "template_versions"}


async def test_a_template_with_carriage_returns_is_refused_wherever_it_is_given(ask, save, three_hosts):
    text = "a = 1\nb = 2\r\nc = 3\r\n"
    given = (
        (templates.save_template, SaveTemplate(name="a", text=text)),
        (templates.render_template, RenderTemplate(name="a", text=text, hosts=("h-1",))),
        (templates.lint_template, LintTemplate(name="a", text=text, hosts=("h-1",))),
    )
    for call, request in given:
        with pytest.raises(Invalid) as refused:
            await ask(call, request)
        assert (refused.value.reason, refused.value.details["line"]) == ("template.malformed", 2)
        assert "Line 2: there is a carriage return" in refused.value.message
    await save("a", text.replace("\r", ""))
    told = await ask(templates.diff_template, DiffTemplate(name="a", content=text, host="h-1"))
    assert not told.equal and "-b = 2\r\n" in told.text, "what is on the host may have them, and that shows"
