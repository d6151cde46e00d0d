"""First start: what is made once stays, what runs out is made anew, a broken start is completed."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bootstrap import files, permissions, trust
from bootstrap.trust import BadName, Trust
from contracts.agents import GRANT_CONTEXT
from runtime import nats_jwt
from runtime.nats_jwt import Key, Permissions
from runtime.signing import Box, Signer, Verifier, decode

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    trust.prepare(tmp_path, ["js", "bj"], now=NOW)
    first = contents(tmp_path)

    trust.prepare(tmp_path, ["js", "bj"], now=NOW + timedelta(days=100))

    assert contents(tmp_path) == first


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    trust.prepare(tmp_path / "trust", ["js"], now=NOW)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()}

    assert (modes, folders) == ({0o600}, {0o700})


@pytest.mark.parametrize("lost", ["operator.jwt", "accounts/APP.jwt", "credentials/jobs.creds", "tls/hub.crt"])
def test_a_start_that_was_cut_off_is_completed_without_touching_the_rest(tmp_path: Path, lost: str) -> None:
    trust.prepare(tmp_path, ["js"], now=NOW)
    first = contents(tmp_path)
    (tmp_path / lost).unlink()

    trust.prepare(tmp_path, ["js"], now=NOW)

    second = contents(tmp_path)
    assert second.pop(lost)
    first.pop(lost)
    assert second == first


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    files.write(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write(path, b"new")

    assert contents(tmp_path) == {"key": b"old"}


def test_another_idc_is_added_and_the_rest_stays(tmp_path: Path) -> None:
    trust.prepare(tmp_path, ["js"], now=NOW)
    first = contents(tmp_path)

    trust.prepare(tmp_path, ["js", "bj"], now=NOW)

    second = contents(tmp_path)
    assert {name: second[name] for name in first} == first
    assert set(second) - set(first) == {
        "credentials/leaf-bj.creds",
        "credentials/leaf-bj-sys.creds",
        "tls/leaf-bj.crt",
        "tls/leaf-bj.key",
    }


@pytest.mark.parametrize("name", ["jobs", "gateway", "i-mine", "JS", "a.b", "", "*", ">", "a b", "x" * 65])
def test_an_idc_whose_name_means_something_else_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadName, match="IDC"):
        trust.prepare(tmp_path, ["js", name])
    assert contents(tmp_path) == {}


def test_certificates_are_made_anew_when_less_than_thirty_days_are_left(tmp_path: Path) -> None:
    made = trust.prepare(tmp_path, ["js"], now=NOW)
    first, ca = certificate(made.certificate("hub")), made.ca.read_bytes()
    late = first.not_valid_after_utc - timedelta(days=29)

    trust.prepare(tmp_path, ["js"], now=late)

    second = certificate(made.certificate("hub"))
    assert second.not_valid_after_utc > late + timedelta(days=365)
    assert made.ca.read_bytes() == ca
    second.verify_directly_issued_by(certificate(made.ca))


def test_certificates_follow_the_names_of_their_server(tmp_path: Path) -> None:
    trust.prepare(tmp_path, ["js"], now=NOW)

    made = trust.prepare(tmp_path, ["js"], hosts={"leaf-js": ("relay.example", "10.1.2.3")}, now=NOW)

    names = certificate(made.certificate("leaf-js")).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert set(names.value.get_values_for_type(x509.DNSName)) == {"localhost", "relay.example"}
    assert {str(each) for each in names.value.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1", "10.1.2.3"}


def test_credentials_are_renewed_for_the_same_key(tmp_path: Path) -> None:
    made = trust.prepare(tmp_path, ["js"], now=NOW)
    old_jwt, old_key = nats_jwt.read_credentials(made.credentials("jobs").read_text())
    late = NOW + trust.CREDENTIALS_LIFETIME - timedelta(days=29)

    trust.prepare(tmp_path, ["js"], now=late)

    jwt, key = nats_jwt.read_credentials(made.credentials("jobs").read_text())
    assert key.public == old_key.public
    assert nats_jwt.read(jwt)["exp"] > nats_jwt.read(old_jwt)["exp"]


@pytest.fixture
def changed_templates(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def change() -> None:
        monkeypatch.setitem(permissions.APP, "agent", Permissions(("only.this",), ("only.that",)))

    return change


def test_new_templates_reach_the_account_and_keep_what_was_revoked(
    tmp_path: Path, changed_templates: Callable[[], None]
) -> None:
    made = trust.prepare(tmp_path / "trust", ["js"], now=NOW)
    announced = tmp_path / "announced"
    first = made.account_jwt("APP").read_text()
    signer = Key(made.operator_signing_seed.read_text())
    told = nats_jwt.with_revocations(first, {"U1": 7}, signer, NOW.timestamp() + 500)
    files.write(announced / f"{made.account_key('APP')}.jwt", told.encode())

    changed_templates()
    trust.prepare(tmp_path / "trust", ["js"], now=NOW, announced=announced)

    claims = nats_jwt.read(made.account_jwt("APP").read_text())
    agent = next(scope for scope in claims["nats"]["signing_keys"] if scope["role"] == "agent")
    assert agent["template"]["pub"] == {"allow": ["only.this"]}
    assert claims["nats"]["revocations"] == {"U1": 7}
    assert claims["iat"] > nats_jwt.read(told)["iat"]


def test_each_role_has_a_signing_key_of_its_own(tmp_path: Path) -> None:
    made = trust.prepare(tmp_path, ["js"], now=NOW)

    keys = [Key(made.signing_seed("APP", role).read_text()).public for role in permissions.APP]
    keys += [Key(made.signing_seed("SYS", role).read_text()).public for role in permissions.SYS]

    assert len(set(keys)) == len(permissions.APP) + len(permissions.SYS)


def test_commands_signed_with_the_seed_are_believed_by_the_public_file(tmp_path: Path) -> None:
    made: Trust = trust.prepare(tmp_path, ["js"], now=NOW)

    signature = Signer(decode(made.command_seed.read_text()), GRANT_CONTEXT).sign(b"grant")

    assert Verifier(json.loads(made.command_keys.read_text()), GRANT_CONTEXT).verify(b"grant", signature)
    assert len(decode(made.at_rest_key.read_text())) == Box.SIZE
