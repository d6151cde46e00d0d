import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.signing import (
    BadSignature,
    Box,
    BoxKey,
    CannotOpen,
    Signer,
    UnknownKey,
    Verifier,
    encode,
    is_box_key,
    key_id,
    seal,
)

SIGNER = Signer(b"s" * 32, b"purpose/v1\0")
VERIFIER = Verifier({SIGNER.key_id: SIGNER.public_key}, b"purpose/v1\0")


@given(st.binary(max_size=200))
def test_what_was_signed_is_believed(data):
    assert VERIFIER.verify(data, SIGNER.sign(data)) == SIGNER.key_id


@given(st.binary(min_size=1, max_size=100), st.integers(0, 799))
def test_one_flipped_bit_is_not(data, place):
    place %= len(data) * 8
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(BadSignature):
        VERIFIER.verify(bytes(changed), SIGNER.sign(data))


def test_a_signature_of_another_purpose_is_not():
    with pytest.raises(BadSignature):
        VERIFIER.verify(b"x", Signer(b"s" * 32, b"other\0").sign(b"x"))


def test_another_key_under_a_known_id_is_not():
    other = Signer(b"o" * 32, b"purpose/v1\0").sign(b"x")
    with pytest.raises(BadSignature):
        VERIFIER.verify(b"x", f"{SIGNER.key_id}.{other.partition('.')[2]}")


@pytest.mark.parametrize("signature", ["", ".", "nobody.AAAA", "a" * 10_000])
def test_an_unknown_key_is_told_from_a_bad_signature(signature):
    with pytest.raises(UnknownKey):
        VERIFIER.verify(b"x", signature)


@pytest.mark.parametrize("rest", ["", "AAAA", "not base64!", "é"])
def test_no_signature_at_all_is_bad(rest):
    with pytest.raises(BadSignature):
        VERIFIER.verify(b"x", f"{SIGNER.key_id}.{rest}")


def test_only_its_host_opens_what_is_sealed():
    mine, other = BoxKey(), BoxKey()
    sealed = seal(b"secret", mine.public_key)
    assert BoxKey(mine.seed).open(sealed) == b"secret"
    for key, box in ((other, sealed), (mine, sealed[:-8] + "AAAAAAA="), (mine, "nonsense")):
        with pytest.raises(CannotOpen):
            key.open(box)


def test_a_secret_at_rest_needs_its_key():
    closed = Box(b"k" * Box.SIZE).close(b"secret")
    assert b"secret" not in closed
    assert Box(b"k" * Box.SIZE).open(closed) == b"secret"
    with pytest.raises(CannotOpen):
        Box(b"q" * Box.SIZE).open(closed)


def test_a_box_key_is_known_by_its_size():
    assert is_box_key(BoxKey().public_key)
    assert not is_box_key(encode(b"short"))
    assert not is_box_key("???")


def test_key_ids_follow_from_the_key():
    assert key_id(SIGNER.public_key) == SIGNER.key_id
