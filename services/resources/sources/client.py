"""Asks a source over HTTP, page by page, within bounds of size and time. Redirects are refused."""

import asyncio
import base64
from collections.abc import AsyncIterator, Collection
from typing import Any

import aiohttp
from yarl import URL

from contracts.errors import Invalid, Unavailable
from contracts.imports import MOST_BYTES
from contracts.sources import SourceAuth, SourceMapping
from services.resources.imports import reading
from services.resources.sources import model

MOST_PAGES = 5000
MOST_PAGE_BYTES = 8 * 1024 * 1024
PAGE_S = 60.0
WHOLE_S = 1800.0
_CHUNK = 64 * 1024


async def pages(mapping: SourceMapping, secret: str, allowed: Collection[str]) -> AsyncIterator[list[Any]]:
    """The rows of each page. Raises Invalid or Unavailable."""
    url: URL | None = model.first(mapping, model.address(mapping.url, allowed))
    asked: set[URL] = set()
    read = 0
    timeout = aiohttp.ClientTimeout(total=PAGE_S)
    try:
        async with (
            asyncio.timeout(WHOLE_S),
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http,
        ):
            while url is not None:
                if url in asked or len(asked) == MOST_PAGES:
                    raise Invalid("source.bad_answer", f"The pages do not end: {len(asked)} were read.")
                asked.add(url)
                data, headers = await _get(http, url, _headers(mapping, secret))
                read += len(data)
                if read > MOST_BYTES:
                    raise Invalid("source.bad_answer", f"The pages together have more than {MOST_BYTES >> 20} MiB.")
                page = await asyncio.to_thread(_decoded, data)
                yield model.rows(mapping, page)
                url = model.following(mapping, url, page, headers)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable("source.no_answer", f"The source did not answer: {type(error).__name__}.") from error


async def _get(http: aiohttp.ClientSession, url: URL, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    async with http.get(url, headers=headers, allow_redirects=False) as answer:
        if answer.status != 200:
            raise Invalid("source.bad_answer", f"The source answered with status {answer.status}.")
        data = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > MOST_PAGE_BYTES:
                raise Invalid("source.bad_answer", f"A page has more than {MOST_PAGE_BYTES >> 20} MiB.")
        return bytes(data), dict(answer.headers)


def _headers(mapping: SourceMapping, secret: str) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    match mapping.auth:
        case SourceAuth.BEARER:
            headers["Authorization"] = f"Bearer {secret}"
        case SourceAuth.BASIC:
            headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        case SourceAuth.HEADER:
            headers[mapping.header] = secret
    return headers


def _decoded(data: bytes) -> Any:
    try:
        page = reading.from_json(data.decode())
    except (ValueError, RecursionError):
        raise Invalid("source.bad_answer", "The source answered with something else than JSON.") from None
    if name := reading.twice(page):
        raise Invalid("source.bad_answer", f"An object of the answer has the name {name} twice; which counts?")
    return page
