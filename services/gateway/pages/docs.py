"""The API document, as JSON for programs and as a page for people: made on the server, without scripts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.gateway.openapi import Json

_HERE = Path(__file__).parent
_LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "format")
CACHE = {"Cache-Control": "no-cache"}


def routes(document: Json) -> list[web.RouteDef]:
    """Built once: both only change with the program."""
    as_json, as_page = msgspec.json.encode(document), page(document).encode()
    style = (_HERE / "docs.css").read_bytes()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=as_json, content_type="application/json", headers=CACHE)

    async def docs(_: web.Request) -> web.Response:
        return web.Response(body=as_page, content_type="text/html", charset="utf-8", headers=CACHE)

    async def css(_: web.Request) -> web.Response:
        return web.Response(body=style, content_type="text/css", charset="utf-8", headers=CACHE)

    return [
        web.route("GET", "/api/openapi.json", openapi),
        web.route("GET", "/api/docs", docs),
        web.route("GET", "/api/docs.css", css),
    ]


def page(document: Json) -> str:
    """The document as HTML. Pure but for the template, which is part of the program."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("docs.html")
    return template.render(
        info=document["info"],
        operations=list(_operations(document)),
        schemas=[_schema(name, each) for name, each in sorted(document["components"]["schemas"].items())],
        reasons=document["x-drover-reasons"],
    )


def _operations(document: Json) -> Iterator[Json]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            fields = [
                _field(each["name"], each["schema"], each["in"], required=each["required"])
                for each in operation["parameters"]
            ]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            fields += _fields(body, "body")
            status, answer = next(iter(operation["responses"].items()))
            [(media_type, content)] = answer["content"].items()
            yield {
                **operation,
                "method": method.upper(),
                "path": path,
                "fields": fields,
                "status": status,
                "media_type": media_type,
                "reply": _words(content["schema"]),
            }


def _schema(name: str, schema: Json) -> Json:
    return {
        "name": name,
        "description": schema.get("description", ""),
        "values": schema.get("enum", []),
        "fields": _fields(schema, ""),
    }


def _fields(schema: Json, where: str) -> list[Json]:
    required = schema.get("required", ())
    return [_field(name, each, where, required=name in required) for name, each in schema.get("properties", {}).items()]


def _field(name: str, schema: Json, where: str, *, required: bool) -> Json:
    limits = {key: schema[key] for key in _LIMITS if key in schema}
    default = "" if schema.get("default") in (None, "", [], {}) else msgspec.json.encode(schema["default"]).decode()
    return {
        "name": name,
        "where": where,
        "required": required,
        "kind": _words(schema),
        "limits": ", ".join(f"{key} {value}" for key, value in limits.items()),
        "default": default,
    }


def _words(schema: Json) -> list[tuple[str, str]]:
    """A type as pieces of text, each with the schema it leads to or nothing."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return [(name, name)]
    if "anyOf" in schema:
        pieces: list[tuple[str, str]] = []
        for each in schema["anyOf"]:
            pieces += [(" or ", "")] if pieces else []
            pieces += _words(each)
        return pieces
    kind: Any = schema.get("type", "any")
    if kind == "array":
        return [("list of ", ""), *_words(schema.get("items", {}))]
    if kind == "object" and "additionalProperties" in schema:
        return [("map to ", ""), *_words(schema["additionalProperties"])]
    return [(str(kind), "")]
