"""Keys and JWTs as text: what is read back, and what is not believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import nats_jwt
from runtime.nats_jwt import Account, BadKey, BadToken, Key, Kind, Permissions, Scope, User

NOW = 1_800_000_000.0


@pytest.mark.parametrize(("kind", "letter"), [(Kind.OPERATOR, "O"), (Kind.ACCOUNT, "A"), (Kind.USER, "U")])
def test_a_key_is_known_by_its_first_letter_and_comes_back_from_its_seed(kind: Kind, letter: str) -> None:
    key = Key.make(kind)

    assert key.public.startswith(letter)
    assert key.seed.startswith("S" + letter)
    assert Key(key.seed).public == key.public
    assert [nats_jwt.is_key(key.public, each) for each in Kind] == [each is kind for each in Kind]


@pytest.mark.parametrize("seed", ["", "SUAAA", "nonsense", "S" * 58, "ü" * 58])
def test_what_is_no_seed_is_refused(seed: str) -> None:
    with pytest.raises(BadKey):
        Key(seed)


@given(st.text(max_size=80))
def test_no_text_passes_for_a_public_key_by_chance(text: str) -> None:
    assert not nats_jwt.is_key(text, Kind.USER)


def test_a_public_key_with_one_letter_changed_is_refused() -> None:
    public = Key.make(Kind.USER).public
    changed = public[:20] + ("A" if public[20] != "A" else "B") + public[21:]

    assert not nats_jwt.is_key(changed, Kind.USER)


def test_a_signature_holds_for_its_bytes_and_its_key_only() -> None:
    key, other = Key.make(Kind.USER), Key.make(Kind.USER)
    signature = key.sign(b"this")

    assert nats_jwt.verify(key.public, Kind.USER, b"this", signature)
    assert not nats_jwt.verify(key.public, Kind.USER, b"that", signature)
    assert not nats_jwt.verify(other.public, Kind.USER, b"this", signature)
    assert not nats_jwt.verify(key.public, Kind.USER, b"this", b"short")
    with pytest.raises(BadKey):
        nats_jwt.verify(key.public, Kind.ACCOUNT, b"this", signature)


def agent_jwt(signer: Key, key: Key) -> str:
    user = nats_jwt.agent_user(
        "h-1", "js", key=key.public, account=Key.make(Kind.ACCOUNT).public, expires=1_900_000_000
    )
    return nats_jwt.user_jwt(user, signer, NOW)


def test_a_jwt_says_who_for_how_long_and_nothing_of_permissions() -> None:
    signer, key = Key.make(Kind.ACCOUNT), Key.make(Kind.USER)

    claims = nats_jwt.read(agent_jwt(signer, key))

    assert (claims["name"], claims["sub"], claims["iss"]) == ("h-1", key.public, signer.public)
    assert (claims["iat"], claims["exp"]) == (int(NOW), 1_900_000_000)
    assert claims["nats"]["tags"] == ["idc:js"]
    assert (claims["nats"]["pub"], claims["nats"]["sub"]) == ({}, {})


def test_a_changed_jwt_is_not_believed() -> None:
    mine, yours = (agent_jwt(Key.make(Kind.ACCOUNT), Key.make(Kind.USER)) for _ in range(2))
    head, body, _ = mine.split(".")

    with pytest.raises(BadToken):
        nats_jwt.read(".".join((head, body, yours.split(".")[2])))
    with pytest.raises(BadToken):
        nats_jwt.read(".".join((head, yours.split(".")[1], mine.split(".")[2])))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "e30.e30.e30", "e30.W10.AA", "e30.MQ.AA", "\ud800", "é.é.é"])
def test_what_is_no_jwt_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        nats_jwt.read(text)


def test_revocations_are_replaced_and_all_else_stays() -> None:
    operator = Key.make(Kind.OPERATOR)
    scope = Scope(Key.make(Kind.ACCOUNT).public, "agent", Permissions(("a.>",), ("b.>",)))
    account = Account("APP", Key.make(Kind.ACCOUNT).public, (scope,), jetstream=True)
    first = nats_jwt.account_jwt(account, operator, NOW)

    second = nats_jwt.with_revocations(first, {"U1": 5}, operator, NOW)
    third = nats_jwt.with_revocations(second, {}, operator, NOW - 60)

    assert (nats_jwt.revocations(first), nats_jwt.revocations(second)) == ({}, {"U1": 5})
    assert nats_jwt.read(third)["nats"] == nats_jwt.read(first)["nats"]
    # Servers ignore what is not newer than what they have.
    assert [nats_jwt.read(each)["iat"] - int(NOW) for each in (first, second, third)] == [0, 1, 2]


def test_no_permission_is_never_spelled_as_every_permission() -> None:
    claims = Permissions(publish=(), subscribe=()).claims()

    assert (claims["pub"], claims["sub"]) == ({"deny": [">"]}, {"deny": [">"]})


def test_a_credentials_file_is_read_back() -> None:
    key = Key.make(Kind.USER)
    user = User(name="jobs", key=key.public, account=Key.make(Kind.ACCOUNT).public)
    jwt = nats_jwt.user_jwt(user, Key.make(Kind.ACCOUNT), NOW)

    read, found = nats_jwt.read_credentials(nats_jwt.credentials(jwt, key.seed))

    assert (read, found.seed) == (jwt, key.seed)
    with pytest.raises(BadToken):
        nats_jwt.read_credentials("nothing of the kind")
