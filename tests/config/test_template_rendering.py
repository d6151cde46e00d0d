"""Rendering in child processes: right results, and what people and attackers write instead."""

import asyncio

import pytest
import pytest_asyncio

from contracts.errors import Invalid
from services.config.templates.rendering import Context, Renderer, refuse
from services.config.templates.sandbox import OUTPUT_BYTES

VARIABLES = {"region": {"id": 7001, "hosts": ["172.27.117.201", "172.27.117.202"]}, "evil": "{{ 7*7 }}", "items": 3}


@pytest_asyncio.fixture(scope="module")
async def renderer():
    async with Renderer() as made:
        yield made


async def rendered(renderer, text, **more):
    """The one host's text. Raises Invalid where it has an error instead, as the service does."""
    [result] = await renderer.render(text, [Context(VARIABLES)], **more)
    refuse(result.error)
    return result.text


async def test_the_example_of_the_requirements_for_three_hosts(renderer):
    text = (
        "region              = {{ region.id }}\n"
        "listen-ip           = {{ inventory_hostname }}\n"
        "file_ulimit           = {{ global.file_ulimit }}\n"
    )
    contexts = [
        Context({"region": {"id": region}}, {"inventory_hostname": ip})
        for region, ip in ((7001, "172.27.117.201"), (7001, "172.27.117.202"), (7002, "10.20.0.9"))
    ]
    results = await renderer.render(text, contexts, common={"file_ulimit": 65535})
    assert [each.text for each in results] == [
        "region              = 7001\nlisten-ip           = 172.27.117.201\nfile_ulimit           = 65535\n",
        "region              = 7001\nlisten-ip           = 172.27.117.202\nfile_ulimit           = 65535\n",
        "region              = 7002\nlisten-ip           = 10.20.0.9\nfile_ulimit           = 65535\n",
    ]


PLAIN = {
    "a loop without empty lines": (
        "{% for h in region.hosts %}\nserver {{ h }}\n{% endfor %}\n",
        "server 172.27.117.201\nserver 172.27.117.202\n",
    ),
    "the last line feed stays": ("a\n", "a\n"),
    "no line feed stays away": ("a", "a"),
    "nothing is escaped for HTML": ("{{ '<a & b>' }}", "<a & b>"),
    "a variable may be called like a method": ("{{ items }}", "3"),
    "methods where no key is in their way": ("{{ region.keys()|list|length }}", "2"),
    "a default": ("{{ nothing|default('x') }}", "x"),
    "a part for some hosts": ("{% if nothing is defined %}a{% else %}b{% endif %}", "b"),
    "T2 attributes of types": ("{{ ['']|map(attribute='__class__')|list }}", "[Undefined]"),
    "T8 a value is never rendered again": ("{{ evil }}", "{{ 7*7 }}"),
}


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)
async def test_rendered(renderer, case):
    text, expected = case
    assert await rendered(renderer, text) == expected


REFUSED = {
    "T1 the class of a text": ("{{ ''.__class__.__mro__ }}", "refused"),
    "T1 by the filter": ("{{ ''|attr('__class__') }}", "refused"),
    "T1 by a helper of Jinja": ("{{ cycler.__init__.__globals__.os }}", "refused"),
    "T1 by another": ("{{ lipsum.__globals__ }}", "undefined"),
    "T1 by a format": ("{{ '{0.__class__}'.format('') }}", "refused"),
    "T1 by a format of a mapping": ("{{ '{a.__class__}'.format_map({'a': ''}) }}", "refused"),
    "T1 by the template itself": ("{{ self._TemplateReference__context }}", "refused"),
    "T1 by a function": ("{{ range.__globals__ }}", "refused"),
    "T3 a change of a list": ("{{ region.hosts.append('evil') }}", "refused"),
    "T3 a change of a mapping": ("{{ region.update({'id': 1}) }}", "refused"),
    "T4 a file": ("a\n{% include '/etc/passwd' %}", "malformed"),
    "T4 an import": ("{% import 'x' as y %}", "malformed"),
    "T4 from an import": ("{% from 'x' import y %}", "malformed"),
    "T4 a parent": ("{% extends 'x' %}", "malformed"),
    "T5 loops in loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "too_expensive",
    ),
    "T5 a power": ("{{ 2**(2**30) }}", "too_expensive"),
    "T5 a filter that is slow": ("{{ ('a '*1000000)|wordwrap(1) }}", "too_expensive"),
    "T5 a range": ("{{ range(10**9)|list }}", "too_expensive"),
    "T6 a long text": ("{{ 'A'*10**10 }}", "too_expensive"),
    "T6 a wide number": ("{{ '%10000000000d'%1 }}", "too_expensive"),
    "T6 doubling": (
        "{% set n = namespace(x='a'*1000) %}{% for a in range(40) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "too_expensive",
    ),
    "T7 a macro that calls itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "too_expensive"),
    "T7 3,000 parentheses": ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "too_expensive"),
    "T8 no such variable": ("a\n{{ nothing }}", "undefined"),
    "T9 a large result": ("{{ 'a' * " + str(OUTPUT_BYTES + 1) + " }}", "bad_output"),
    "T9 a carriage return": ("{{ 'a\\r\\nb' }}", "bad_output"),
    "T9 a NUL": ("{{ '\\x00' }}", "bad_output"),
    "a division by zero": ("{{ 1 / 0 }}", "failed"),
    "text and number": ("{{ 'a' + 1 }}", "failed"),
    "more digits than Python writes": ("{{ 10**5000 }}", "failed"),
    "lines that end with two characters": ("a\r\n", "malformed"),
    "a carriage return in an expression": ("{{ 'a\rb' }}", "malformed"),
    "no expression": ("{% if %}", "malformed"),
    "no end": ("{{ x", "malformed"),
    "no such filter": ("{{ 1|nothing }}", "malformed"),
    "the same variables would give another result": ("{{ [1, 2]|random }}", "malformed"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_refused(renderer, case):
    text, reason = case
    with pytest.raises(Invalid) as refused:
        await rendered(renderer, text)
    assert refused.value.reason == f"template.{reason}"


UNDEFINED = {
    "by its name": ("a\n\n{{ nothing }}", "nothing", 3),
    "by its path": ("{{ region.id }}\n{{ region.name }}", "region.name", 2),
    "in brackets": ("{{ region['name'] }}", "region.name", 1),
    "in a loop": ("{% for h in region.hosts %}\n{{ h.port }}\n{% endfor %}", "port", 2),
    "in a condition": ("\n{% if region.primary %}x{% endif %}", "region.primary", 2),
}


@pytest.mark.parametrize("case", UNDEFINED.values(), ids=UNDEFINED)
async def test_what_is_undefined_is_told_with_line_and_name(renderer, case):
    text, name, line = case
    with pytest.raises(Invalid) as refused:
        await rendered(renderer, text)
    assert (refused.value.details["name"], refused.value.details["line"]) == (name, line)
    assert refused.value.message == f"Line {line}: {name} is undefined."


async def test_each_host_has_its_result_or_its_error(renderer):
    contexts = [Context({"a": 1}), Context({}), Context({"a": 3})]
    results = await renderer.render("{{ a }}", contexts)
    assert [each.text for each in results] == ["1", None, "3"]
    assert results[1].error.name == "a"


async def test_hosts_share_values_and_still_differ(renderer):
    region = {"id": 1}
    contexts = [Context({"region": region, "n": n}, {"host": {"id": f"h-{n}"}}) for n in range(50)]
    results = await renderer.render("{{ region.id }} {{ n }} {{ host.id }}", contexts)
    assert [each.text for each in results] == [f"1 {n} h-{n}" for n in range(50)]


async def test_results_stop_where_they_are_enough(renderer):
    results = await renderer.render("{{ 'a' * 1000 }}", [Context({})] * 10, most_bytes=2500)
    assert [len(each.text) for each in results] == [1000, 1000, 1000]


async def test_a_batch_that_takes_long_comes_back_in_parts(renderer):
    busy = "{% for a in range(90000) %}{% endfor %}{{ n }}"
    contexts = [Context({"n": n}) for n in range(20_000)]
    results = await renderer.render(busy, contexts)
    assert 1 < len(results) < len(contexts)
    assert [each.text for each in results] == [str(n) for n in range(len(results))]


@pytest.mark.parametrize(
    ("text", "quiet", "loud"),
    [
        ("{{ region[a] }}", "UndefinedError", "hunter2 is undefined"),
        ("{{ 1 / 0 }}", "ZeroDivisionError", "ZeroDivisionError: division by zero"),
        ("{{ b }}", "b is undefined", "b is undefined"),
    ],
)
async def test_quiet_errors_repeat_no_value(renderer, text, quiet, loud):
    contexts = [Context({"a": "hunter2", "region": {}})]
    assert [each.error.message for each in await renderer.render(text, contexts, quiet=True)] == [quiet]
    assert [each.error.message for each in await renderer.render(text, contexts)] == [loud]


async def test_batches_at_the_same_time_do_not_meet(renderer):
    asked = [renderer.render("{{ n }}", [Context({"n": n})]) for n in range(8)]
    assert [result.text for [result] in await asyncio.gather(*asked)] == [str(n) for n in range(8)]


async def test_what_a_template_reads(renderer):
    text = (
        "{{ a.b['c'].d }} {{ x|default(1) }}\n"
        "{% if y is defined %}{{ y.z.split(',') }}{% endif %}\n"
        "{% for i in l.m %}{{ i.q }}{{ loop.index }}{{ w[i] }}{% endfor %}\n"
        "{% set q = 1 %}{{ q }}{{ range(3) }}"
    )
    reads = await renderer.inspect(text)
    assert [(".".join(each.path), each.line, each.optional) for each in reads] == [
        ("a.b.c.d", 1, False),
        ("x", 1, True),
        ("y", 2, True),
        ("y.z", 2, False),
        ("l.m", 3, False),
        ("w", 3, False),
    ]
