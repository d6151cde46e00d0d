"""A host joins with a token and a proof of its key."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from contracts import hosts
from contracts.agents import GRANT_CONTEXT
from contracts.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from contracts.hosts import (
    AskChallenge,
    CreateJoinToken,
    HostClass,
    HostFacts,
    HostState,
    JoinTokenRef,
    RevokeHost,
    enrolment_proof,
)
from contracts.people import Nothing
from runtime import nats_jwt
from runtime.nats_jwt import Key, Kind
from runtime.signing import Signer, Verifier, sha256
from tests.resources.people import NOBODY, OPERATOR, Agent, Keys


async def test_a_host_gets_all_it_needs_and_speaks_with_it(ask, nats, tmp_path):
    token = await ask.token("js", business="shop", product_line="cart", tags=("web", "a", "web"), labels={"rack": "7"})
    keys = Keys()
    enrolled = await ask.enrol(token, HostFacts(hostname="Web-1", ips=("127.0.0.1", "::ffff:10.0.0.1", "x")), keys)
    assert enrolled.idc == "js"
    assert enrolled.relays == (nats.leaf_urls["js"],)
    seed = base64.b64decode(nats.trust.command_seed.read_text())
    signer = Signer(seed, GRANT_CONTEXT)
    assert Verifier(enrolled.command_keys, GRANT_CONTEXT).verify(b"x", signer.sign(b"x")) == signer.key_id
    async with Agent(tmp_path, keys, enrolled) as agent:
        assert nats_jwt.read((await agent.renew()).jwt)["name"] == enrolled.host
    host = await ask.show(enrolled.host)
    assert (host.hostname, host.ips, host.idc) == ("web-1", ("10.0.0.1",), "js")
    assert (host.business, host.product_line, host.tags, host.labels) == ("shop", "cart", ("a", "web"), {"rack": "7"})
    assert (host.state, host.host_class, host.revision) == (HostState.IN_SERVICE, HostClass.PHYSICAL, 1)
    assert host.facts.ips == ("127.0.0.1", "::ffff:10.0.0.1", "x")


async def test_the_database_knows_no_secret(ask):
    token = await ask.token()
    keys = Keys()
    enrolled = await ask.enrol(token, keys=keys)
    kept = [document async for name in _names(ask) async for document in ask.database[name].find()]
    for secret in (token, keys.user.seed, enrolled.jwt):
        assert secret not in repr(kept)


async def _names(ask):
    for name in await ask.database.list_collection_names():
        yield name


async def test_credentials_say_which_host_they_are_for_and_end(ask):
    claims = nats_jwt.read((await ask.enrol(await ask.token())).jwt)
    assert claims["nats"]["tags"] == ["idc:js"]
    assert claims["exp"] - claims["iat"] == 7 * 86400
    assert claims["nats"]["pub"] == claims["nats"]["sub"] == {}


async def test_of_fifty_that_enrol_at_once_exactly_as_many_succeed_as_the_token_has_uses(ask):
    token = await ask.token(uses=7)
    outcomes = await asyncio.gather(*(ask.enrol(token) for _ in range(50)), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert {(type(each), each.reason) for each in refused} == {(Forbidden, "join.token_invalid")}
    assert len({each.host for each in outcomes if not isinstance(each, BaseException)}) == 7
    assert await ask.database["hosts"].count_documents({}) == 7
    assert (await ask(hosts.list_join_tokens, Nothing())).tokens == []


async def test_a_request_sent_twice_is_one_host_and_one_use(ask):
    token = await ask.token(uses=5)
    keys = Keys()
    request = keys.request(await ask.nonce(keys), token)
    answers = await asyncio.gather(*(ask(hosts.enrol, request, NOBODY) for _ in range(6)))
    answers.append(await ask(hosts.enrol, request, NOBODY))
    assert len({each.host for each in answers}) == 1
    [left] = (await ask(hosts.list_join_tokens, Nothing())).tokens
    assert left.uses_left == 4


async def test_a_nonce_is_good_for_one_request_only(ask):
    token, keys = await ask.token(uses=5), Keys()
    nonce = await ask.nonce(keys)
    await ask(hosts.enrol, keys.request(nonce, token), NOBODY)
    other_box = Keys(user=keys.user)
    await refused(ask, other_box.request(nonce, token), Forbidden, "enrol.challenge_invalid")
    await refused(ask, Keys().request(nonce, token), Forbidden, "enrol.challenge_invalid")


async def test_a_nonce_of_another_key_is_refused(ask):
    token, keys = await ask.token(), Keys()
    await refused(ask, keys.request(await ask.nonce(Keys()), token), Forbidden, "enrol.challenge_invalid")
    await refused(ask, keys.request("made-up", token), Forbidden, "enrol.challenge_invalid")
    assert (await ask.enrol(token, keys=keys)).host


async def test_a_nonce_ends(ask):
    token, keys = await ask.token(), Keys()
    request = keys.request(await ask.nonce(keys), token)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await ask.database["challenges"].update_one({"_id": request.nonce}, {"$set": {"expires_at": past}})
    await refused(ask, request, Forbidden, "enrol.challenge_invalid")


async def test_a_key_that_enrols_anew_is_a_new_host_and_the_old_one_is_revoked(ask, tmp_path):
    token, keys = await ask.token(uses=5), Keys()
    old = await ask.enrol(token, keys=keys)
    new = await ask.enrol(token, keys=keys)
    assert new.host != old.host
    assert (await ask.show(old.host)).revoked
    assert (await ask.show(old.host)).state == HostState.RETIRED
    async with Agent(tmp_path, keys, new) as agent:  # the revocation spares what was issued after it
        renewed = await agent.renew()
        assert nats_jwt.read(renewed.jwt)["iat"] >= nats_jwt.read(new.jwt)["iat"] > nats_jwt.read(old.jwt)["iat"]


async def test_one_key_that_enrols_many_times_at_once_is_one_host_in_the_end(ask):
    token, keys = await ask.token(uses=9), Keys()
    answers = await asyncio.gather(*(ask.enrol(token, keys=keys) for _ in range(6)))
    assert len({each.host for each in answers}) == 6
    assert await ask.database["hosts"].count_documents({"revoked": False}) == 1


async def test_tokens_that_do_not_work_admit_nobody_and_spend_no_nonce(ask):
    keys = Keys()
    good = await ask.token()
    nonce = await ask.nonce(keys)
    for bad in (await _expired(ask), await _withdrawn(ask), await _used_up(ask), "made-up", good[:-1], "*"):
        await refused(ask, keys.request(nonce, bad), Forbidden, "join.token_invalid")
    assert (await ask(hosts.enrol, keys.request(nonce, good), NOBODY)).host


async def _expired(ask):
    secret = await ask.token()
    past = datetime.now(UTC) - timedelta(seconds=1)
    done = await ask.database["join_tokens"].update_one(
        {"secret_sha256": sha256(secret.encode())}, {"$set": {"expires_at": past}}
    )
    assert done.modified_count == 1
    return secret


async def _withdrawn(ask):
    token = await ask(hosts.create_join_token, CreateJoinToken(idc="js"))
    for _ in range(2):
        assert (await ask(hosts.withdraw_join_token, JoinTokenRef(id=token.id))).uses_left == 0
    assert token.id not in {each.id for each in (await ask(hosts.list_join_tokens, Nothing())).tokens}
    return token.secret


async def _used_up(ask):
    secret = await ask.token()
    await ask.enrol(secret)
    return secret


async def test_a_proof_must_be_of_the_key_over_exactly_this(ask):
    token, keys = await ask.token(), Keys()
    good = keys.request(await ask.nonce(keys), token)
    other = Keys()
    forged = [
        replace(good, signature=base64.b64encode(bytes(64)).decode()),
        replace(good, signature="not base64"),
        replace(good, signature=base64.b64encode(b"short").decode()),
        replace(good, box_key=other.box.public_key),
        replace(good, user_key=other.user.public),
        replace(good, token=await ask.token()),
        replace(good, nonce=await ask.nonce(keys)),
        replace(good, signature=base64.b64encode(keys.user.sign(good.nonce.encode())).decode()),
    ]
    for request in forged:
        await refused(ask, request, Forbidden, "enrol.bad_proof")
    assert (await ask(hosts.enrol, good, NOBODY)).host


@pytest.mark.parametrize("kind", [Kind.ACCOUNT, Kind.OPERATOR])
async def test_only_keys_of_users_enrol(ask, kind):
    wrong = Keys(user=Key.make(kind))
    with pytest.raises(Invalid) as told:
        await ask.nonce(wrong)
    assert told.value.reason == "enrol.bad_key"
    await refused(ask, wrong.request("n", "t"), Invalid, "enrol.bad_key")


async def test_keys_must_be_keys(ask):
    keys = Keys()
    good = keys.request("n", "t")
    other_end = "A" if keys.user.public[-1] != "A" else "B"
    for bad in ("U" * 56, keys.user.public[:-1] + other_end, keys.user.public.lower(), "ü" * 56, "A" * 64):
        await refused(ask, replace(good, user_key=bad), Invalid, "enrol.bad_key")
    for bad in ("A" * 40, "=" * 44, base64.b64encode(bytes(31)).decode(), "é" * 44):
        await refused(ask, replace(good, box_key=bad), Invalid, "enrol.bad_key")
    await refused(ask, replace(good, user_key="short"), Invalid, "bus.malformed")


async def test_the_same_request_after_a_revocation_brings_nothing_back(ask):
    token, keys = await ask.token(), Keys()
    request = keys.request(await ask.nonce(keys), token)
    host = (await ask(hosts.enrol, request, NOBODY)).host
    await ask(hosts.revoke_host, RevokeHost(host=host, why="stolen"))
    await refused(ask, request, Conflict, "host.revoked")


async def test_an_idc_needs_a_relay_and_a_name_of_its_own(ask):
    for idc, reason in (
        ("jobs", "idc.reserved"),
        ("gateway", "idc.reserved"),
        ("scheduler", "idc.reserved"),
        ("i-ci", "idc.reserved"),
        ("nowhere", "idc.unknown"),
        ("*", "bus.malformed"),
        (">", "bus.malformed"),
        ("a.b", "bus.malformed"),
        ("js\n", "bus.malformed"),
        ("", "bus.malformed"),
    ):
        with pytest.raises(Invalid) as told:
            await ask.token(idc)
        assert told.value.reason == reason, idc


async def test_a_token_of_an_idc_whose_relay_is_gone_admits_nobody(ask):
    keys, token = Keys(), await ask.token()
    await ask.database["join_tokens"].update_one({}, {"$set": {"given.idc": "gone"}})
    await refused(ask, keys.request(await ask.nonce(keys), token), Invalid, "idc.unknown")
    assert (await ask.database["join_tokens"].find_one({}))["uses_left"] == 1


async def test_only_admins_let_hosts_in(ask):
    for call, request in (
        (hosts.create_join_token, CreateJoinToken(idc="js")),
        (hosts.list_join_tokens, Nothing()),
        (hosts.withdraw_join_token, JoinTokenRef(id="j-1")),
    ):
        with pytest.raises(Forbidden):
            await ask(call, request, OPERATOR)
        with pytest.raises(Unauthenticated):
            await ask(call, request, NOBODY)
    with pytest.raises(NotFound) as told:
        await ask(hosts.withdraw_join_token, JoinTokenRef(id="j-1"))
    assert told.value.reason == "join.token_unknown"


async def test_a_listed_token_shows_no_secret(ask):
    made = await ask(hosts.create_join_token, CreateJoinToken(idc="bj", uses=3))
    [listed] = (await ask(hosts.list_join_tokens, Nothing())).tokens
    assert listed == replace(made, secret="", expires_at=listed.expires_at)
    assert abs(listed.expires_at - made.expires_at) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "facts",
    [
        b'{"hostname": "%s"}' % (b"x" * 256),
        b'{"ips": [%s]}' % b",".join([b'"10.0.0.1"'] * 65),
        b'{"cpus": 36893488147419103232}',
        b'{"cpus": -1}',
        b'{"memory_bytes": 9223372036854775808}',
        b'{"os": {"$ne": 1}}',
        b'{"os": 1}',
        b"[" * 100_000,
    ],
)
async def test_oversized_and_odd_facts_are_refused(ask, facts):
    keys = Keys()
    good = keys.request(await ask.nonce(keys), await ask.token())
    from msgspec import json

    body = json.encode(good).replace(json.encode(HostFacts()), facts)
    assert facts in body
    answer = await ask.bus.connection.request("svc.gateway.resources.enrolment.enrol", body)
    assert json.decode(answer.data)["reason"] == "bus.malformed"
    assert await ask.database["hosts"].count_documents({}) == 0


async def test_facts_are_data_whatever_they_say(ask):
    odd = HostFacts(hostname="$where../../{{ 7*7 }}", ips=("$gt", "10.0.0.1\n", "*"), os="\x1b[31m")
    host = await ask.show((await ask.enrol(await ask.token(), odd)).host)
    assert host.facts == odd
    assert host.ips == ()


async def refused(ask, request, kind, reason):
    with pytest.raises(kind) as told:
        await ask(hosts.enrol, request, NOBODY)
    assert told.value.reason == reason


def test_the_proof_binds_everything_that_is_sent():
    assert enrolment_proof("n", "u", "b", "t") == b"drover/enrol/v1\0n\nu\nb\nt"


async def test_a_challenge_is_only_for_keys(ask):
    with pytest.raises(Invalid) as told:
        await ask(hosts.ask_challenge, AskChallenge(user_key="A" * 50), NOBODY)
    assert told.value.reason == "enrol.bad_key"
