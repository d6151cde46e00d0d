"""A browser and a program, as far as HTTP knows them."""

from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from yarl import URL

ADMIN, PASSWORD = "admin", "correct horse battery"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def reason(self) -> str:
        """Of a problem document, which must be complete."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        problem = self.json
        assert set(problem) == {"type", "title", "status", "detail", "reason", "details", "reference"}
        assert problem["status"] == self.status
        assert problem["reference"]
        return problem["reason"]


class Client:
    """Keeps cookies as a browser does, or sends a token as a program does."""

    def __init__(self, address: str, *, token: str = "", ssl: Any = True) -> None:
        self.address = address
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connector = aiohttp.TCPConnector(ssl=ssl)
        self.http = aiohttp.ClientSession(
            headers=headers, cookie_jar=aiohttp.CookieJar(unsafe=True), connector=connector
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def send(self, method: str, path: str, *, encoded: bool = False, **options: Any) -> Answer:
        """`path` is below /api/v1 unless it begins with /api or names a page of its own."""
        own = path.startswith(("/api", "/healthz", "/readyz", "/metrics"))
        url = URL(self.address + (path if own else "/api/v1" + path), encoded=encoded)
        async with self.http.request(method, url, allow_redirects=False, **options) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.send("POST", path, json={} if body is None else body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.send("DELETE", path, **options)

    async def log_in(self, name: str = ADMIN, password: str = PASSWORD) -> Answer:
        return await self.post("/login", {"name": name, "password": password})

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.http.cookie_jar}
