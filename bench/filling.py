"""What jobs are filled with: the effective variables of one host, and a template for 1,000 hosts.

The limit of the one are the two bare queries that it comes to, of the other the same renders by Jinja2 in one process,
without sandbox and child.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from pymongo import MongoClient

from bench.herd import SEED
from bench.rounds import Figure, ratio, verdict
from contracts.people import Principal
from contracts.permissions import Role
from contracts.templates import RenderForHosts, SaveTemplate, render_for_hosts, save_template
from contracts.variables import AskEffective, SetVariables, effective_variables, set_variables
from runtime.bus import Bus
from services.config.app import DATABASE
from services.config.templates.rendering import Context, Renderer

AIM = 3.0
CALL_S = 60.0
ADMIN = Principal(kind="person", name="bench", roles=(Role.ADMIN,), via="session")
RENDERED, ASKED = 1000, 50
SCOPES = ("global", "idc:js", "idc:bj", *(f"set:s{n}" for n in range(20)), *(f"static-{n}" for n in range(100)))
TEMPLATE = """\
# {{ inventory_hostname }} of {{ region.id }}
server.name = {{ region.name }}-{{ tier }}
ulimit = {{ global.ulimit }}
{% for host in region.mongodb.hosts %}
mongo.{{ loop.index }} = {{ host }}:{{ region.mongodb.port }}
{% endfor %}
{% if limits.cpu > 4 %}
threads = {{ limits.cpu * 2 }}
{% else %}
threads = {{ limits.cpu }}
{% endif %}
{% for name, value in settings.items() %}
{{ name }} = {{ value | default('none') }}
{% endfor %}
groups = {{ group_names | join(',') }}
"""

Row = tuple[str, str, str]


def _variables(dice: random.Random, number: int) -> dict[str, Any]:
    return {
        "region": {
            "id": f"r{number}",
            "name": f"region-{number}",
            "mongodb": {"hosts": [f"10.0.{number}.{n}" for n in range(3)], "port": 27017},
        },
        "ulimit": 65536,
        "tier": f"t{dice.randrange(4)}",
        "limits": {"cpu": dice.randrange(1, 16), "memory": dice.randrange(1, 64)},
        "settings": {f"key-{n}": dice.randrange(1000) for n in range(20)},
    }


@dataclass(frozen=True)
class Filled:
    """One round."""

    queries_s: float
    effective_s: float
    plain_s: float
    rendered_s: float
    service_s: float
    """The whole call: hosts, groups, variables and rendering."""

    @staticmethod
    def told(rounds: Sequence["Filled"]) -> tuple[list[Row], dict[str, object]]:
        """Rows for people and figures for programs."""

        def figure(name: str) -> Figure:
            return Figure([getattr(each, name) for each in rounds])

        queries, effective, plain = figure("queries_s"), figure("effective_s"), figure("plain_s")
        rendered, service = figure("rendered_s"), figure("service_s")
        variables, rendering = ratio(effective.values, queries.values), ratio(rendered.values, plain.values)
        rows = [
            ("bare queries for the variables of one host", queries.text(" ms", 1000), ""),
            ("Drover: effective variables of one host", effective.text(" ms", 1000), ""),
            ("ratio of the variables", variables.text(), ""),
            (f"limit: plain Jinja2, {RENDERED} hosts", plain.text(" ms", 1000), ""),
            (f"Drover: rendered in the sandbox's child, {RENDERED} hosts", rendered.text(" ms", 1000), ""),
            ("ratio of rendering", rendering.text(), verdict(rendering.median, AIM)),
            ("Drover: the same with hosts, groups and variables", service.text(" ms", 1000), ""),
        ]
        return rows, {
            "variables_queries_s": queries,
            "variables_s": effective,
            "variables_ratio": variables,
            "rendering_plain_s": plain,
            "rendering_s": rendered,
            "rendering_ratio": rendering,
            "rendering_aim": AIM,
            "rendering_whole_s": service,
        }


class Filling:
    def __init__(self, gateway: Bus, jobs: Bus, client: MongoClient[dict[str, Any]], renderer: Renderer) -> None:
        self._gateway, self._jobs, self._client, self._renderer = gateway, jobs, client, renderer
        dice = random.Random(SEED)  # noqa: S311  the same variables every time
        self._trees = [_variables(dice, number) for number in range(20)]
        self._hosts = [f"h-{number:012x}" for number in range(RENDERED)]

    async def settle(self) -> None:
        """Set variables for many groups and save the template."""
        for number, scope in enumerate(SCOPES):
            text = _yaml(self._trees[number % len(self._trees)])
            request = SetVariables(scope=f"group:{scope}", text=text)
            await self._gateway.call(set_variables, request, principal=ADMIN, timeout=CALL_S)
        saved = SaveTemplate(name="bench", text=TEMPLATE)
        await self._gateway.call(save_template, saved, principal=ADMIN, timeout=CALL_S)

    async def round(self) -> Filled:
        queries_s = effective_s = 0.0
        for host in self._hosts[:ASKED]:
            started = time.perf_counter()
            asked = AskEffective(hosts=(host,))
            found = await self._gateway.call(effective_variables, asked, principal=ADMIN, timeout=CALL_S)
            answered = time.perf_counter()
            scopes = [f"group:{name}" for name in found.hosts[0].group_names] + [f"host:{host}"]
            between = time.perf_counter()
            await asyncio.to_thread(self._queries, host, scopes)
            queries_s += time.perf_counter() - between
            effective_s += answered - started
        plain_s = await asyncio.to_thread(self._plain)
        started = time.perf_counter()
        results = await self._renderer.render(TEMPLATE, self._contexts(), common=self._trees[0])
        rendered_s = time.perf_counter() - started
        assert all(each.text for each in results) and len(results) == RENDERED
        return Filled(queries_s / ASKED, effective_s / ASKED, plain_s, rendered_s, await self._service())

    def _queries(self, host: str, scopes: list[str]) -> None:
        assert self._client["resources"]["hosts"].find_one({"_id": host})
        assert list(self._client[DATABASE]["variables"].find({"_id": {"$in": scopes}}, {"terms": 0, "text": 0}))

    def _plain(self) -> float:
        contexts, common = self._contexts(), self._trees[0]
        started = time.perf_counter()
        template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(TEMPLATE)  # noqa: S701  no HTML
        for each in contexts:
            assert template.render({**each.variables, **each.own, "global": common})
        return time.perf_counter() - started

    async def _service(self) -> float:
        started = time.perf_counter()
        wanted = tuple(self._hosts)
        while wanted:
            asked = RenderForHosts(name="bench", hosts=wanted)
            wanted = (await self._jobs.call(render_for_hosts, asked, timeout=CALL_S)).rest
        return time.perf_counter() - started

    def _contexts(self) -> list[Context]:
        return [
            Context(
                self._trees[number % len(self._trees)],
                {"inventory_hostname": f"10.0.0.{number}", "host": {"id": host}, "group_names": ["global", "idc:js"]},
            )
            for number, host in enumerate(self._hosts)
        ]


def _yaml(tree: dict[str, Any], depth: int = 0) -> str:
    lines = []
    for name, value in tree.items():
        if isinstance(value, dict):
            lines.append(f"{'  ' * depth}{name}:\n{_yaml(value, depth + 1)}")
        else:
            lines.append(f"{'  ' * depth}{name}: {value}\n")
    return "".join(lines)


@contextlib.asynccontextmanager
async def filling(gateway: Bus, jobs: Bus, client: MongoClient[dict[str, Any]]) -> AsyncIterator[Filling]:
    async with Renderer() as renderer:
        made = Filling(gateway, jobs, client, renderer)
        await made.settle()
        yield made
