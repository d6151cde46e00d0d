"""The API as an OpenAPI 3.1 document, made of the same declarations as the routes. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

from contracts.kinds import ANYONE, Call
from contracts.reasons import REASONS
from services.gateway.edge.problems import MEDIA_TYPE, Problem
from services.gateway.routes import BODIES, IDEMPOTENCY, PREFIX, Page

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"


def document(calls: Iterable[Call[Any, Any]], pages: Iterable[Page], *, version: str, cookie: str) -> Json:
    entries = [*pages, *(Page(call, _never) for call in calls if call.http)]
    kinds = [kind for entry in entries for kind in (entry.call.request, entry.call.reply) if kind is not str]
    _, components = msgspec.json.schema_components([*kinds, Problem], ref_template=_REF)
    schemas = {name: _with_fields(schema) for name, schema in components.items()}
    paths: dict[str, Json] = {}
    for entry in entries:
        paths.setdefault(PREFIX + entry.route.path, {})[entry.route.method.lower()] = _operation(entry, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Drover",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Operate fleets of servers. Log in for a cookie, or send an API token."
            " Whatever is refused is refused with a stable `reason`.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "responses": {"Problem": _problem()},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "drv_…"},
            },
        },
        "x-drover-reasons": {reason: row._asdict() for reason, row in REASONS.items()},
    }


async def _never(*_: Any) -> Any:
    raise NotImplementedError("only describes a route")


def _operation(entry: Page, schemas: dict[str, Json]) -> Json:
    call, route = entry.call, entry.route
    request = schemas[call.request.__name__]
    named = {name: schema for name, schema in request["properties"].items() if f"{{{name}}}" in route.path}
    others = {name: schema for name, schema in request["properties"].items() if name not in named}
    required = set(request.get("required", ()))
    parameters = [_parameter("path", name, schema, required=True) for name, schema in named.items()]
    operation: Json = {
        "operationId": call.subject,
        "summary": call.summary,
        "tags": [call.service],
        "x-drover-permission": call.needs,
        "security": [] if call.needs == ANYONE else [{"session": []}, {"token": []}],
        "parameters": parameters,
        "responses": {
            str(route.status): {"description": "Done", "content": {entry.media_type: {"schema": _reply(call)}}},
            "4XX": {"$ref": "#/components/responses/Problem"},
            "5XX": {"$ref": "#/components/responses/Problem"},
        },
    }
    if "description" in request:
        operation["description"] = request["description"]
    if route.method not in BODIES or entry.raw:
        parameters += [_parameter("query", name, each, required=name in required) for name, each in others.items()]
        if entry.raw:
            content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
            operation["requestBody"] = {"required": True, "content": content}
        return operation
    body = {"type": "object", "properties": others, "additionalProperties": False}
    if needed := sorted(required & set(others)):
        body["required"] = needed
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if "idempotency_key" in others:
        parameters.append(_parameter("header", IDEMPOTENCY, others["idempotency_key"], required=False))
    return operation


def _reply(call: Call[Any, Any]) -> Json:
    return {"type": "string"} if call.reply is str else {"$ref": _REF.format(name=call.reply.__name__)}


def _parameter(where: str, name: str, schema: Json, *, required: bool) -> Json:
    return {"name": name, "in": where, "required": required, "schema": schema}


def _problem() -> Json:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}
    return {"description": "Refused or failed; `reason` says why.", "content": content}


def _with_fields(schema: Json) -> Json:
    """Structs without fields have no `properties`; here every struct has."""
    return {**schema, "properties": schema.get("properties", {})} if schema.get("type") == "object" else schema
