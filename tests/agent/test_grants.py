"""Which commands are obeyed: E1 to E5, E7 and E10 of the table of bad inputs, without a bus."""

import random

import msgspec
import pytest

from agent import grants
from agent.grants import Refused, Unsigned
from contracts.agents import GRANT_CONTEXT, GRANT_HEADER, MAX_START_WINDOW_S, SIGNATURE_HEADER, Grant, Verb
from runtime.signing import Signer, Verifier, sha256

NOW = 1_800_000_000.0
HOST = "h-0123456789ab"
SIGNER = Signer(b"s" * 32, GRANT_CONTEXT)
VERIFIER = Verifier({SIGNER.key_id: SIGNER.public_key}, GRANT_CONTEXT)
BODY = b"{}"


def signed(signer: Signer = SIGNER, **fields) -> dict[str, str]:
    grant = {
        "kid": signer.key_id,
        "verb": "run",
        "task": "r-0-0-0",
        "host": HOST,
        "instance": "jobs-1",
        "issued": NOW,
        "not_after": NOW + 60,
        "sha256": sha256(BODY),
    } | fields
    data = msgspec.json.encode(grant)
    return {GRANT_HEADER: data.decode(), SIGNATURE_HEADER: signer.sign(data)}


def obey(headers: dict[str, str], now: float = NOW, body: bytes = BODY) -> Grant:
    grant = grants.read(headers, VERIFIER)
    grants.check(grant, HOST, now)
    grants.check_body(grant, body)
    return grant


def test_a_good_command_is_obeyed():
    assert obey(signed()).verb is Verb.RUN


@pytest.mark.parametrize("header", [GRANT_HEADER, SIGNATURE_HEADER])
def test_every_flipped_byte_is_noticed(header: str):
    good = signed()
    for at in range(len(good[header])):
        flipped = chr(ord(good[header][at]) ^ 1)
        bad = good | {header: good[header][:at] + flipped + good[header][at + 1 :]}
        with pytest.raises(Unsigned):
            grants.read(bad, VERIFIER)


@pytest.mark.parametrize("missing", [GRANT_HEADER, SIGNATURE_HEADER])
def test_without_a_grant_or_a_signature_nothing_is_answered(missing: str):
    with pytest.raises(Unsigned) as refused:
        grants.read({key: value for key, value in signed().items() if key != missing}, VERIFIER)
    assert refused.value.reason == "grant.missing"


def test_a_key_that_is_not_trusted_signs_nothing():
    stranger = Signer(b"x" * 32, GRANT_CONTEXT)
    with pytest.raises(Unsigned) as refused:
        grants.read(signed(stranger), VERIFIER)
    assert refused.value.reason == "grant.unknown_key"


def test_a_stranger_cannot_borrow_the_name_of_a_trusted_key():
    stranger = Signer(b"x" * 32, GRANT_CONTEXT)
    headers = signed(stranger, kid=SIGNER.key_id)
    headers[SIGNATURE_HEADER] = headers[SIGNATURE_HEADER].replace(stranger.key_id, SIGNER.key_id)
    with pytest.raises(Unsigned) as refused:
        grants.read(headers, VERIFIER)
    assert refused.value.reason == "grant.bad_signature"


def test_a_signature_made_for_another_purpose_does_not_count():
    other = Signer(b"s" * 32, b"drover/other/v1\0")
    with pytest.raises(Unsigned):
        grants.read(signed(other), VERIFIER)


def test_the_key_named_inside_must_be_the_one_that_signed():
    with pytest.raises(Unsigned):
        grants.read(signed(kid="another"), VERIFIER)


@pytest.mark.parametrize(
    "fields",
    [
        {"instance": "a.b"},
        {"instance": ">"},
        {"instance": ""},
        {"host": "h 1"},
        {"task": "../x"},
        {"task": ""},
        {"task": "t" * 65},
        {"verb": "shell"},
        {"issued": "now"},
        {"v": "1"},
    ],
)
def test_names_that_could_widen_a_subject_or_a_path_are_not_read(fields: dict):
    with pytest.raises(Unsigned) as refused:
        grants.read(signed(**fields), VERIFIER)
    assert refused.value.reason == "grant.malformed"


@pytest.mark.parametrize(
    ("fields", "now", "reason"),
    [
        ({"host": "h-ffffffffffff"}, NOW, "grant.wrong_host"),
        ({"v": 0}, NOW, "grant.unsupported_version"),
        ({"v": 99}, NOW, "grant.unsupported_version"),
        ({}, NOW + 60 + 121, "grant.expired"),
        ({}, NOW - 121, "grant.clock_skew"),
        ({"issued": NOW + 600, "not_after": NOW + 660}, NOW, "grant.clock_skew"),
        ({}, NOW - 3600, "grant.clock_skew"),
        ({"not_after": NOW + MAX_START_WINDOW_S + 1}, NOW, "grant.malformed"),
        ({"not_after": NOW - 1}, NOW, "grant.malformed"),
    ],
)
def test_what_is_signed_and_not_for_here_and_now_is_refused_with_its_reason(fields: dict, now: float, reason: str):
    with pytest.raises(Refused) as refused:
        obey(signed(**fields), now)
    assert refused.value.reason == reason
    assert refused.value.message


@pytest.mark.parametrize("now", [NOW - 119, NOW + 60 + 119])
def test_clocks_may_differ_by_two_minutes(now: float):
    assert obey(signed(), now)


def test_a_body_that_is_not_the_signed_one_is_refused():
    with pytest.raises(Refused) as refused:
        obey(signed(), body=b"{ }")
    assert refused.value.reason == "grant.hash_mismatch"


def test_noise_is_refused():
    noise = random.Random(1)
    for _ in range(500):
        text = "".join(chr(noise.randrange(1, 0xD7FF)) for _ in range(noise.randrange(200)))
        with pytest.raises(Unsigned):
            grants.read({GRANT_HEADER: text, SIGNATURE_HEADER: text}, VERIFIER)


def test_signed_noise_is_refused():
    for data in (b"[" * 10_000, b"{", b"\xff", b"null", b'{"task": {}}', b"1" * 60_000):
        text = data.decode("latin-1")
        with pytest.raises(Unsigned) as refused:
            grants.read({GRANT_HEADER: text, SIGNATURE_HEADER: SIGNER.sign(text.encode())}, VERIFIER)
        assert refused.value.reason == "grant.malformed"
