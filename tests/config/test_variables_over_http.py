"""Over HTTP every bad document and template is a refusal of the caller's, told with reason and place."""

import pytest

from contracts.reasons import REASONS
from tests.config import test_template_rendering, test_variable_documents


@pytest.fixture
def one_host(fleet, clean):
    fleet.host("h-1", "10.0.0.1")
    fleet.group("web", add=["h-1"])


def unpaired(text):
    return any("\ud800" <= each <= "\udfff" for each in text)


DOCUMENTS = {
    name: case
    for name, case in test_variable_documents.REFUSED.items()
    # JSON has no half pairs, and the edge takes no NUL: these are refused before they are a document.
    if not unpaired(case[0]) and "\0" not in case[0]
}


@pytest.mark.parametrize("case", DOCUMENTS.values(), ids=DOCUMENTS)
async def test_bad_documents(http, one_host, case):
    text, reason, _ = case
    for path, body in (
        ("/variables/group:web", {"text": text}),
        ("/variables/group:web/preview", {"text": text}),
        ("/effective-variables", {"hosts": ["h-1"], "task": text}),
    ):
        answer = await http.post(path, body)
        assert answer.reason == f"variables.{reason}"
        assert answer.status == REASONS[answer.reason].status
        assert 400 <= answer.status < 500
    assert (await http.get("/variables/group:web")).json["revision"] == 0


@pytest.mark.parametrize("case", test_template_rendering.REFUSED.values(), ids=test_template_rendering.REFUSED)
async def test_bad_templates(http, one_host, case):
    text, reason = case
    text = text.replace("region.hosts", "[1]").replace("region.update", "{}.update")
    answer = await http.post("/templates/a/render", {"text": text, "hosts": ["h-1"]})
    assert answer.reason == f"template.{reason}"
    assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/variables/group:web", {"text": "a: \ud800"}, 422),
        ("POST", "/variables/group:web", {"text": "a: \0"}, 422),
        ("POST", "/variables/group:web", {"text": "a: 1", "revision": 2**40}, 422),
        ("POST", "/variables/group:web", {"text": {"$ne": None}}, 422),
        ("POST", "/variables/group:web", {"text": "a: 1", "why": "x" * 501}, 422),
        ("POST", "/variables/everything", {"text": "a: 1"}, 404),
        ("POST", "/variables/host:*", {"text": "a: 1"}, 404),
        ("GET", "/variables/group:%00", None, 404),
        ("GET", "/variables/group:%0A", None, 404),
        ("GET", "/variables/group:..%2F..%2Fetc", None, 404),
        ("GET", "/variables?search[$regex]=.*", None, 422),
        ("GET", "/variables?kind=all", None, 422),
        ("GET", "/variables/group:web?revision=-1", None, 422),
        ("GET", "/variables/group:web/versions?after=99999999999999999999", None, 422),
        ("POST", "/effective-variables", {"hosts": []}, 422),
        ("POST", "/effective-variables", {"hosts": ["h-1"] * 101}, 422),
        ("POST", "/effective-variables", {"hosts": [{"$gt": ""}]}, 422),
        ("POST", "/templates/..%2Fx", {"text": "x"}, 404),
        ("POST", "/templates/a%00", {"text": "x"}, 404),
        ("POST", "/templates/a", {"text": "x", "tags": ["a b"]}, 422),
        ("POST", "/templates/a/render", {"text": "x", "hosts": []}, 422),
        ("POST", "/templates/a/render", {"text": "x", "hosts": ["*"]}, 404),
        ("POST", "/templates/a/diff", {"content": "x", "host": ""}, 422),
        ("POST", "/config/variables/resolve", {"hosts": ["h-1"]}, 404),
    ],
)
async def test_bad_requests(http, one_host, method, path, body, status):
    answer = await http.send(method, path, encoded=True, json=body)
    assert (answer.status, bool(answer.reason)) == (status, True)
