"""What people and attackers send. Each is refused with a sentence and a reason, and nothing reaches a service."""

import asyncio
import gzip
import io
import json
import socket

import pytest
import pytest_asyncio

from contracts.people import Principal
from services.gateway.edge.middleware import METHODS
from tests.gateway.client import Client
from tests.gateway.neighbours import REACHED, neighbours

JSON = {"Content-Type": "application/json"}
RUN = {"script": "true", "targets": {"all": True}}


@pytest_asyncio.fixture(scope="module")
async def others(nats):
    async with neighbours(nats) as made:
        yield made


@pytest_asyncio.fixture
async def operator(address, tokens, others):
    others.reached.clear()
    async with Client(address, token=tokens["operator"]) as client:
        yield client
    assert not others.reached


def run_with(**fields):
    return json.dumps({**RUN, **fields}).encode()


BODIES = {
    "H1 an operator where text belongs": (b'{"name":"admin","password":{"$ne":null}}', 422, "bus.malformed"),
    "H3 a field of the prototype": (b'{"script":"true","targets":{"all":true},"__proto__":{}}', 422, "http.unknown_field"),
    "H3 a NUL in a name": (b'{"a\\u0000b":1}', 422, "bus.malformed"),
    "H4 arrays in arrays": (b"[" * 100_000, 400, "http.too_deep"),
    "H4 objects in objects": (b'{"a":' * 50_000, 400, "http.too_deep"),
    "H4 just too deep": (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", 400, "http.too_deep"),
    "H5 5,000 digits": (run_with()[:-1] + b',"timeout_s":' + b"9" * 5000 + b"}", 422, "bus.malformed"),
    "H5 a large float": (run_with()[:-1] + b',"timeout_s":1e300}', 422, "bus.malformed"),
    "H5 500 digits": (run_with()[:-1] + b',"timeout_s":' + b"9" * 500 + b"}", 422, "bus.malformed"),
    "H5 more than 64 bits": (run_with(timeout_s=2**64), 422, "bus.malformed"),
    "H5 NaN": (run_with()[:-1] + b',"timeout_s":NaN}', 400, "http.malformed_json"),
    "H5 infinity": (run_with()[:-1] + b',"timeout_s":1e999}', 422, "bus.malformed"),
    "H6 half a pair": (b'{"script":"\\ud800","targets":{"all":true}}', 422, "bus.malformed"),
    "H6 half a pair in a key": (b'{"\\udfff":1}', 422, "bus.malformed"),
    "H6 no UTF-8": (b'{"script":"\xff","targets":{"all":true}}', 400, "http.malformed_json"),
    "H7 a key twice": (b'{"script":"true","script":"false","targets":{"all":true}}', 400, "http.duplicate_key"),
    "H7 a key twice inside": (b'{"script":"true","targets":{"all":false,"all":true}}', 400, "http.duplicate_key"),
    "H9 nothing": (b"", 400, "http.malformed_json"),
    "H9 more after the end": (b"{} x", 400, "http.malformed_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400, "http.malformed_json"),
    "a list": (b"[]", 422, "bus.malformed"),
    "null": (b"null", 422, "bus.malformed"),
    "H10 2 MiB": (b" " * 2 * 1024 * 1024, 413, "http.body_too_large"),
    "H15 what is not for the caller to say": (run_with(approved=True), 422, "http.unknown_field"),
    "an unknown field inside": (run_with(targets={"all": True, "hosts": []}), 422, "http.unknown_field"),
    "an unknown field in a list": (run_with(parameters=[{"name": "A", "value": "b", "x": 1}]), 422, "http.unknown_field"),
    "H17 a number as account": (run_with(account="#-1"), 422, "bus.malformed"),
    "H17 another number": (run_with(account="4294967295"), 422, "bus.malformed"),
    "H17 a line feed after the account": (run_with(account="root\n"), 422, "bus.malformed"),
    "H17 a path as account": (run_with(account="../x"), 422, "bus.malformed"),
    "H25 a header in a name": (run_with(env={"A\r\nSet-Cookie: x": "1"}), 422, "bus.malformed"),
    "NUL in a script": (run_with(script="a\0b"), 422, "bus.malformed"),
    "a string for a number": (run_with(timeout_s="60"), 422, "bus.malformed"),
    "a number for a boolean": (run_with(targets={"all": 1}), 422, "bus.malformed"),
    "a negative time": (run_with(timeout_s=-1), 422, "bus.malformed"),
    "a language that is none": (run_with(language="perl"), 422, "bus.malformed"),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES.values(), ids=BODIES)
async def test_bodies(operator, case):
    body, status, reason = case
    path = "/login" if b"password" in body else "/runs"
    answer = await operator.send("POST", path, data=io.BytesIO(body), headers=JSON)
    assert (answer.status, answer.reason) == (status, reason)


async def test_strangers_send_little(operator):
    body = {"name": "a", "password": "b", "more": ["x"] * 30_000}
    assert (await operator.post("/login", body)).reason == "http.body_too_large"
    assert (await operator.post("/enrolment", body)).reason == "http.body_too_large"


async def test_bodies_that_grow_when_they_are_unpacked(operator):
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 60_000
    answer = await operator.send("POST", "/runs", data=bomb, headers={**JSON, "Content-Encoding": "gzip"})
    assert answer.reason == "http.body_too_large"


async def test_bodies_that_are_not_packed_as_they_say(operator):
    answer = await operator.send("POST", "/runs", data=b"nonsense", headers={**JSON, "Content-Encoding": "gzip"})
    assert answer.reason == "http.malformed"


TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=nosuch",
    "application/json; charset=latin-1",
    "application/json;charset=\xff",
    "nonsense",
    "",
]


@pytest.mark.parametrize("kind", TYPES)
async def test_writes_take_json_in_utf_8_only(operator, kind):
    answer = await operator.send("POST", "/runs", data=json.dumps(RUN).encode(), headers={"Content-Type": kind})
    assert (answer.status, answer.reason) == (415, "http.unsupported_media_type")


QUERIES = {
    "H2 an operator": ("/hosts?host[$ne]=x", "http.unknown_field"),
    "H3 an order": ("/hosts?sort=$natural", "http.unknown_field"),
    "H2 code": ("/hosts?$where=sleep(5000)", "http.unknown_field"),
    "a number that is none": ("/hosts?limit=ten", "bus.malformed"),
    "a full-width digit": ("/hosts?limit=１", "bus.malformed"),
    "a number too large": ("/hosts?limit=99999999999999999999", "bus.malformed"),
    "beyond the limit": ("/hosts?limit=1001", "bus.malformed"),
    "a boolean that is none": ("/hosts?online=yes", "bus.malformed"),
    "one value twice": ("/hosts?search=a&search=b", "http.duplicate_key"),
    "a NUL": ("/hosts?search=%00", "bus.malformed"),
    "no UTF-8": ("/hosts?search=w%ff", "http.malformed"),
    "half a pair": ("/hosts?search=%ed%a0%80", "http.malformed"),
    "a name that is no UTF-8": ("/hosts?%ff=x", "http.malformed"),
    "a state that is none": ("/hosts?states=broken", "bus.malformed"),
    "a field of the path": ("/runs/r1?run=r2", "http.unknown_field"),
    "too long": ("/hosts?search=" + "a" * 201, "bus.malformed"),
}


@pytest.mark.parametrize("case", QUERIES.values(), ids=QUERIES)
async def test_queries(operator, case):
    path, reason = case
    assert (await operator.get(path)).reason == reason


async def test_a_query_that_is_not_even_escaped(address, tokens):
    head = f"HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {tokens['operator']}\r\n\r\n"
    _, answer = await raw(address, b"GET /api/v1/hosts?search=w\xff " + head.encode())
    assert json.loads(answer)["reason"] == "http.malformed"


async def test_a_write_takes_nothing_from_the_query(operator):
    assert (await operator.post("/runs?dry=true", RUN)).reason == "http.unknown_field"


async def test_a_body_cannot_name_another_than_the_address(operator):
    assert (await operator.post("/runs/r1/stop", {"run": "r2"})).reason == "http.unknown_field"


PATHS = [
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "....//",
    "a%0a",
    "%ff",
    "A",
    "a.b",
    "%2e%2e",
    "*",
    "%3e",
    "a" * 65,
    "%ED%A0%80",
]


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("page", ["/runs/{}", "/runs/r1/hosts/{}/output", "/runs/r1/hosts/{}/output.txt", "/hosts/{}"])
async def test_paths_that_name_nothing(operator, page, name):
    answer = await operator.send("GET", page.format(name), encoded=True)
    assert (answer.status, answer.reason) == (404, "http.not_found")


@pytest.mark.parametrize("path", ["/", "/nothing", "/api", "/api/v2/runs", "/runs/r1/", "/api/v1//runs"])
async def test_addresses_that_do_not_exist(operator, path):
    assert (await operator.get(path)).reason == "http.not_found"


async def test_methods_that_a_path_does_not_take(operator):
    answer = await operator.send("PUT", "/runs", json=RUN)
    assert (answer.status, answer.reason) == (405, "http.method_not_allowed")
    assert set(answer.headers["Allow"].split(",")) == {"GET", "POST"}
    assert "PROPFIND" not in METHODS
    assert (await operator.send("PROPFIND", "/runs")).reason == "http.method_not_allowed"


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://[evil"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1.evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("path", ["/login", "/logout", "/people", "/runs", "/tokens"])
async def test_pages_of_other_sites_write_nothing(address, path, headers):
    async with Client(address) as browser:
        await browser.log_in()
        answer = await browser.post(path, {}, headers=headers)
        assert (answer.status, answer.reason) == (403, "http.foreign_origin")


async def test_our_own_pages_write(address):
    async with Client(address) as browser:
        headers = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
        login = {"name": "admin", "password": "wrong password"}
        assert (await browser.post("/login", login, headers=headers)).reason == "auth.wrong_password"


async def test_no_other_site_is_told_that_it_may_read(operator):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    asked = await operator.send("OPTIONS", "/runs", headers=headers)
    assert asked.status == 405
    read = await operator.get("/me", headers=headers)
    for answer in (asked, read):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


RAW = {
    "H11 two lengths": "POST /api/v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "H11 two hosts": "GET /api/v1/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "H11 a signed length": "POST /api/v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
    "a NUL in a header": "GET /api/v1/me HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "no HTTP at all": "hello\r\n\r\n",
    # No longer: who is refused while he still sends may lose the answer with the connection.
    "a header of 20 KB": "GET /api/v1/me HTTP/1.1\r\nHost: a\r\nX: " + "a" * 20_000 + "\r\n\r\n",
}


@pytest.mark.parametrize("request_text", RAW.values(), ids=RAW)
async def test_http_that_is_none(address, request_text):
    head, body = await raw(address, request_text.encode("latin-1"))
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), head
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"server"] == b"drover"
    problem = json.loads(body)
    assert (problem["status"], problem["reason"]) == (400, "http.malformed")
    assert problem["reference"]


async def raw(address, request):
    """Head and body of what comes back."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), family=socket.AF_INET)
    writer.write(request)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[::2]


async def test_a_header_that_is_no_unicode(address, tokens):
    body = json.dumps(RUN).encode()
    head = (
        f"POST /api/v1/runs HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {tokens['operator']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    _, answer = await raw(address, head.encode() + b"Idempotency-Key: \xff\r\n\r\n" + body)
    assert json.loads(answer)["reason"] == "bus.malformed"


async def test_the_header_fills_the_idempotency_key(address, tokens, others):
    others.reached.clear()
    async with Client(address, token=tokens["operator"]) as operator:
        key = {"Idempotency-Key": "k1"}
        assert (await operator.post("/runs", RUN, headers=key)).reason == REACHED
        assert (await operator.post("/runs", {**RUN, "idempotency_key": "k1"}, headers=key)).reason == REACHED
        assert (await operator.post("/runs", {**RUN, "idempotency_key": "k2"}, headers=key)).reason == "bus.malformed"
        assert (await operator.post("/runs", RUN, headers={"Idempotency-Key": "k" * 201})).reason == "bus.malformed"
    assert [request.idempotency_key for _, request, _ in others.reached[:2]] == ["k1", "k1"]


async def test_lists_are_keys_repeated_and_booleans_are_words(address, tokens, others):
    others.reached.clear()
    async with Client(address, token=tokens["viewer"]) as viewer:
        query = "/hosts?idcs=js&idcs=b,j&states=standby&online=false&limit=7"
        assert (await viewer.get(query)).reason == REACHED
    [(_, request, principal)] = others.reached
    assert request.idcs == ("js", "b,j")
    assert (request.states, request.online, request.limit) == (("standby",), False, 7)
    assert principal == Principal(
        kind="person",
        name=principal.name,
        roles=("viewer",),
        via="token",
        address="127.0.0.1",
        credential=principal.credential,
    )


async def test_a_service_that_is_away_is_named_as_such(admin):
    answer = await admin.get("/runs")
    assert (answer.status, answer.reason) == (503, "bus.no_answer") or answer.reason == REACHED


async def test_the_process_lives_after_all_this(admin):
    assert (await admin.get("/me")).status == 200
    text = (await admin.get("/metrics")).body.decode()
    assert 'status="500"' not in text
