import asyncio

import pytest

from runtime.background import background


async def test_works_run_until_the_block_is_left():
    begun, ended = [], []

    async def work(name):
        begun.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async with background("works", work("a"), work("b")):
        await asyncio.sleep(0)
        assert (begun, ended) == (["a", "b"], [])
    assert sorted(ended) == ["a", "b"]


async def test_an_error_in_the_block_ends_them_too():
    ended = asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ZeroDivisionError):
        async with background("works", work()):
            await asyncio.sleep(0)
            raise ZeroDivisionError
    assert ended.is_set()
