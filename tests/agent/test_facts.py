"""What an agent says of its host, and what can be asked of the agent itself."""

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from agent import facts, server
from tests.agent.agent_process import PROJECT
from tests.agent.agent_rig import Dispatcher, Home, reached
from tests.servers import free_ports

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.1.0.0/16 2 0 2
        |-- 10.1.2.3
           /32 host LOCAL
        |-- 10.1.255.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
Local:
        |-- 10.1.2.3
           /32 host LOCAL
"""


def test_local_addresses_are_read_without_loopback_and_each_once():
    assert facts.local_ipv4(FIB_TRIE) == ["10.1.2.3"]
    lines = "fe800000000000000000000000000001 02 40 20 80 eth0\n20010db8000000000000000000000001 02 40 00 80 eth0\n"
    lines += "00000000000000000000000000000001 01 80 10 80 lo\n"
    assert facts.local_ipv6(lines) == ["2001:db8::1"]


def test_facts_come_from_below_the_root_where_it_has_them(tmp_path: Path):
    here = facts.gather(tmp_path)
    assert here == facts.gather()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hostname").write_text("web1\n")
    (tmp_path / "etc" / "os-release").write_text('NAME=x\nPRETTY_NAME="Some OS 1"\n')
    assert (facts.gather(tmp_path).hostname, facts.gather(tmp_path).os) == ("web1", "Some OS 1")
    (tmp_path / "etc" / "drover-facts.json").write_text('{"hostname": "web2", "ips": ["10.0.0.1"], "cpus": 96}')
    told = facts.gather(tmp_path)
    assert (told.hostname, told.ips, told.cpus, told.kernel) == ("web2", ("10.0.0.1",), 96, here.kernel)


@pytest.mark.parametrize("text", ["{", "[]", '{"cpus": "many"}', '{"ips": "10.0.0.1"}'])
def test_facts_that_cannot_be_read_do_not_keep_an_agent_from_starting(tmp_path: Path, text: str):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "drover-facts.json").write_text(text)
    assert facts.gather(tmp_path) == facts.gather()


def test_the_version_is_the_projects():
    assert f'version = "{facts.VERSION}"' in (PROJECT / "pyproject.toml").read_text()


async def test_health_and_metrics_are_served_on_the_loopback(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    [port] = free_ports(1)

    def get(path: str, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  our own server
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    async with server.serving(port, [agent]):
        assert await asyncio.to_thread(get, "/healthz") == (200, "ok\n")
        status, text = await asyncio.to_thread(get, "/metrics")
        assert status == 200
        assert f'drover_agent_connected{{host="{own.host}"}} 1\n' in text
        assert (await asyncio.to_thread(get, "/etc/passwd"))[0] == 404
        assert (await asyncio.to_thread(get, "/metrics", "POST"))[0] == 405
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\xff" * 100_000)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert await asyncio.to_thread(get, "/healthz") == (200, "ok\n")


async def test_status_tells_about_a_folder_and_help_is_enough_to_begin(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agent", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=False)

    told = json.loads((await asyncio.to_thread(ask, "status", "--root", str(home.root / "a"))).stdout)
    assert (told["host"], told["agent"], told["not_stored"]) == (own.host, "running", [])
    assert 0 < told["credentials_expire_in_s"] <= 3600
    nobody = await asyncio.to_thread(ask, "status", "--root", str(home.root / "nobody"))
    assert nobody.returncode == 1
    assert nobody.stderr.startswith("No host is enrolled in")
    unjoined = await asyncio.to_thread(ask, "run", "--root", str(home.root / "nobody"))
    assert unjoined.returncode == 1
    assert "give --gateway and --join-file" in unjoined.stderr
    twice = ("--root", "x", "--root", "y", "--root", "z", "--join-file", "1", "--join-file", "2")
    assert "one for each --root" in (await asyncio.to_thread(ask, "enrol", *twice)).stderr
    assert "DROVER_AGENT_ACCOUNTS" in (await asyncio.to_thread(ask, "--help")).stdout


def test_an_agent_carries_no_web_framework_and_no_database():
    run = (
        "import sys; sys.argv = ['agent', '--help']; import runpy\ntry: runpy.run_module('agent', run_name='__main__')\nexcept SystemExit: pass\n"
        "heavy = {'aiohttp', 'motor', 'pymongo', 'cryptography', 'jinja2', 'aiofiles', 'urllib.request', 'http.client'}\n"
        "loaded = {name for name in sys.modules if sys.modules[name] is not None}\n"
        "print(sorted(heavy & loaded), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
