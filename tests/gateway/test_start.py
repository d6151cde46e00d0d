"""How the gateway starts, and when it does not."""

import ssl
from pathlib import Path

import pytest
import pytest_asyncio

from bootstrap.certificates import LOOPBACK
from runtime.settings import BadSettings, load
from runtime.signing import encode
from services.gateway.app import running
from services.gateway.settings import Settings
from tests.gateway.client import Client
from tests.gateway.conftest import settings
from tests.servers import nats_plane

EVERYWHERE = "0.0.0.0"  # noqa: S104  that it is refused, or needs TLS, is what is tested


@pytest_asyncio.fixture(scope="module")
async def nats(tmp_path_factory):
    """Servers of their own: see conftest.py."""
    async with nats_plane(tmp_path_factory.mktemp("own"), ("js",)) as plane:
        yield plane


@pytest.mark.parametrize("host", [EVERYWHERE, "10.0.0.1", "::", "gateway.example"])
def test_without_a_certificate_it_listens_on_loopback_only(nats, mongo, host):
    with pytest.raises(BadSettings, match="there is no certificate") as refused:
        settings(nats, mongo, http_host=host).tls()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_none(nats, mongo, host):
    assert settings(nats, mongo, http_host=host).tls() is None


def test_a_certificate_without_its_key_is_half_a_setting(nats, mongo):
    with pytest.raises(BadSettings, match="go together"):
        settings(nats, mongo, tls_certificate=nats.trust.certificate("hub")).tls()


def test_a_certificate_that_cannot_be_read_is_named(nats, mongo, tmp_path):
    with pytest.raises(BadSettings, match="cannot be used"):
        settings(nats, mongo, tls_certificate=tmp_path / "none", tls_key=tmp_path / "none").tls()


@pytest.mark.parametrize(("name", "password"), [("admin", "short"), ("Admin!", "long enough, this")])
async def test_a_first_admin_that_nobody_could_be_stops_the_start(nats, mongo, name, password):
    with pytest.raises(BadSettings, match="GATEWAY_FIRST_ADMIN"):
        async with running(settings(nats, mongo, first_admin=name, first_admin_password=password)):
            pass


def test_settings_come_from_the_environment_and_passwords_from_files(tmp_path):
    password = tmp_path / "password"
    password.write_text("from a file, this\n")
    seed = tmp_path / "seed"
    seed.write_text(encode(bytes(32)))
    given = {
        "GATEWAY_NATS_URL": "tls://a:1,tls://b:2",
        "GATEWAY_NATS_CREDENTIALS": "/x/gateway.creds",
        "GATEWAY_NATS_CA": "/x/ca.crt",
        "GATEWAY_MONGO_URL": "mongodb://m/",
        "GATEWAY_FIRST_ADMIN_PASSWORD_FILE": str(password),
        "GATEWAY_AUDIT_SEED_FILE": str(seed),
        "GATEWAY_AUDIT_FILE": "/x/checkpoints.jsonl",
    }
    made = load(Settings, "GATEWAY_", given)
    assert made.nats_url == ("tls://a:1", "tls://b:2")
    assert made.first_admin_password == "from a file, this"
    assert made.tls_certificate is None
    assert made.audit_signer().sign(b"x")
    assert made.audit_file == Path("/x/checkpoints.jsonl")


def test_a_seed_that_is_none_is_told_in_a_line(nats, mongo):
    with pytest.raises(BadSettings, match="GATEWAY_AUDIT_SEED"):
        settings(nats, mongo, audit_seed="nonsense").audit_signer()


async def test_over_tls_the_cookie_is_bound_to_the_host(nats, mongo):
    assert "127.0.0.1" in LOOPBACK
    trust = nats.trust
    wanted = settings(
        nats,
        mongo,
        http_host=EVERYWHERE,
        tls_certificate=trust.certificate("hub"),
        tls_key=trust.certificate_key("hub"),
    )
    context = ssl.create_default_context(cafile=trust.ca)
    async with running(wanted) as address:
        assert address.startswith("https://")
        local = address.replace(EVERYWHERE, "127.0.0.1")
        async with Client(local, ssl=context) as browser:
            answer = await browser.log_in()
            cookie = answer.headers["Set-Cookie"]
            assert cookie.startswith("__Host-drover=")
            for part in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
                assert part in cookie
            assert "Domain" not in cookie
            assert "max-age" in answer.headers["Strict-Transport-Security"]
            assert (await browser.get("/me")).status == 200
            plain = {"Origin": local.replace("https", "http")}
            assert (await browser.post("/logout", headers=plain)).reason == "http.foreign_origin"
            assert (await browser.post("/logout", headers={"Origin": local})).status == 200
            assert (await browser.get("/me")).reason == "auth.required"


async def test_nobody_comes_in_while_there_is_nobody(nats, mongo):
    async with running(settings(nats, mongo, first_admin_password="")) as address, Client(address) as browser:
        assert (await browser.log_in()).reason == "auth.wrong_password"
