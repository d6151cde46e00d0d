"""The first admin and the last."""

import asyncio
import secrets

import pytest_asyncio

from services.gateway.app import running
from tests.gateway.client import ADMIN, PASSWORD, Client
from tests.gateway.conftest import settings
from tests.servers import nats_plane


@pytest_asyncio.fixture(scope="module")
async def nats(tmp_path_factory):
    """Servers of their own: see conftest.py."""
    async with nats_plane(tmp_path_factory.mktemp("own"), ("js",)) as plane:
        yield plane


def another_admin():
    return {"name": f"p-{secrets.token_hex(4)}", "password": PASSWORD, "roles": ["admin"]}


async def test_the_last_admin_stays_even_when_two_disable_each_other_at_once(nats, mongo):
    async with running(settings(nats, mongo)) as address, Client(address) as first, Client(address) as second:
        await first.log_in()
        assert (await first.post(f"/people/{ADMIN}/disable")).reason == "person.last_admin"
        for _ in range(3):
            other = another_admin()
            await first.post("/people", other)
            await second.log_in(other["name"])
            answers = await asyncio.gather(
                first.post(f"/people/{other['name']}/disable"), second.post(f"/people/{ADMIN}/disable")
            )
            left = [p for p in (await _people(first, second)) if "admin" in p["roles"] and not p["disabled"]]
            assert len(left) == 1
            assert sorted(answer.status for answer in answers)[0] == 200
            if left[0]["name"] != ADMIN:
                break


async def test_the_last_admin_cannot_give_the_role_away_either(nats, mongo):
    async with running(settings(nats, mongo)) as address, Client(address) as first, Client(address) as second:
        await first.log_in()
        assert (await first.post(f"/people/{ADMIN}", {"roles": ["viewer"]})).reason == "person.last_admin"
        assert (await first.get(f"/people/{ADMIN}")).json["revision"] == 1
        other = another_admin()
        await first.post("/people", other)
        await second.log_in(other["name"])
        answers = await asyncio.gather(
            first.post(f"/people/{other['name']}", {"roles": ["viewer"]}),
            second.post(f"/people/{ADMIN}/disable"),
        )
        assert len([p for p in await _people(first, second) if "admin" in p["roles"] and not p["disabled"]]) == 1
        assert sorted(answer.status for answer in answers)[0] == 200
        assert sorted(answer.status for answer in answers)[1] in {401, 403, 409}


async def _people(*clients):
    for client in clients:
        answer = await client.get("/people")
        if answer.status == 200:
            return answer.json["people"]
    raise AssertionError("no admin is left")


async def test_the_first_admin_is_made_once_and_by_one_of_two_instances(nats, mongo):
    wanted = settings(nats, mongo)
    async with running(wanted), running(wanted) as address, Client(address) as browser:
        assert (await browser.log_in()).status == 200
        assert len((await browser.get("/people")).json["people"]) == 1
    again = settings(nats, mongo, mongo_database=wanted.mongo_database, first_admin="eve")
    async with running(again) as address, Client(address) as browser:
        assert (await browser.log_in("eve")).reason == "auth.wrong_password"
        assert (await browser.log_in()).status == 200
