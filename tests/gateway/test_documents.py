"""The API document, its page, the headers on everything, and what Prometheus and Kubernetes ask."""

import re
from html.parser import HTMLParser

import pytest

from contracts import registry
from contracts.reasons import REASONS

METHODS = {"get", "post", "put", "delete"}


async def document(client):
    answer = await client.get("/api/openapi.json")
    assert answer.status == 200
    return answer.json


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


async def test_every_call_is_an_operation_with_its_permission(browser):
    found = {each["operationId"]: (method, path, each) for method, path, each in operations(await document(browser))}
    for call in registry.calls():
        if call.http:
            method, path, operation = found[call.subject]
            assert (method.upper(), path) == (call.http.method, "/api/v1" + call.http.path)
            assert operation["x-drover-permission"] == call.needs
            assert bool(operation["security"]) == (call.needs != "anyone")
    by_hand = {"gateway.login", "gateway.logout", "gateway.output.download"}
    assert by_hand <= set(found)


async def test_the_document_is_whole(browser):
    made = await document(browser)
    assert made["openapi"].startswith("3.1.")
    text = (await browser.get("/api/openapi.json")).body.decode()
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', text)):
        at = made
        for part in reference.split("/"):
            at = at[part]
    names = [each["operationId"] for _, _, each in operations(made)]
    assert len(set(names)) == len(names)
    for method, path, operation in operations(made):
        assert method in METHODS
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
        assert operation["responses"]["4XX"] == {"$ref": "#/components/responses/Problem"}
        assert ("requestBody" in operation) == (method in {"post", "put"})


async def test_a_body_lists_its_fields_without_those_of_the_path_and_takes_no_others(browser):
    operation = (await document(browser))["paths"]["/api/v1/runs/{run}/stop"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"why"}
    assert body["additionalProperties"] is False
    start = (await document(browser))["paths"]["/api/v1/runs"]["post"]
    assert start["requestBody"]["content"]["application/json"]["schema"]["required"] == ["targets"]
    assert "Idempotency-Key" in [each["name"] for each in start["parameters"]]


class Page(HTMLParser):
    """What a reader sees and what a browser would load."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.loads, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        elif "src" in given or "href" in given:
            self.loads.append(given.get("src") or given["href"])
        assert "style" not in given
        assert not [name for name in given if name.startswith("on")]


async def test_the_page_needs_nothing_from_elsewhere_and_all_its_links_lead_somewhere(browser):
    answer = await browser.get("/api/docs")
    page = Page()
    page.feed(answer.body.decode())
    assert page.loads == ["/api/docs.css"]
    assert (await browser.get("/api/docs.css")).headers["Content-Type"].startswith("text/css")
    assert not page.tags & {"script", "style", "iframe"}
    assert len(set(page.ids)) == len(page.ids)
    targets = {"/api/openapi.json", *(f"#{name}" for name in page.ids)}
    assert set(page.links) <= targets
    assert {call.subject for call in registry.calls() if call.http} | set(REASONS) <= set(page.ids)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


async def test_a_problem_leads_to_its_explanation(browser):
    problem = (await browser.get("/me")).json
    page = Page()
    page.feed((await browser.get("/api/docs")).body.decode())
    assert problem["type"] == "/api/docs#auth.required"
    assert "auth.required" in page.ids


@pytest.mark.parametrize("path", ["/me", "/nothing", "/api/openapi.json", "/api/docs", "/healthz", "/runs/r1"])
async def test_headers_of_every_answer(admin, path):
    headers = (await admin.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] == "drover"
    if path in {"/me", "/nothing", "/runs/r1"}:
        assert headers["Cache-Control"] == "no-store"


async def test_health_and_metrics(admin):
    await admin.get("/me")
    assert (await admin.get("/healthz")).body == b"ok\n"
    assert (await admin.get("/readyz")).body == b"ok\n"
    metrics = (await admin.get("/metrics")).body.decode()
    assert 'drover_gateway_requests_total{method="GET",route="/api/v1/me",status="200"}' in metrics
    assert "drover_bus_connected 1.0" in metrics
