"""The how-to's program, run as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path

from contracts import people
from contracts.people import CreateIntegration
from tests.servers import READY_S

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "integrate-over-nats.md"


async def run(folder, program, integration):
    environ = {**os.environ, "DROVER_NATS": integration.servers[0], "DROVER_INTEGRATION": integration.name}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=folder,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), READY_S)
    return process.returncode, out.decode(), err.decode()


async def test_the_program_of_the_how_to_lists_hosts(ask, tmp_path):
    [program] = re.findall(r"^```python\n(.*?)^```$", HOWTO.read_text(), re.M | re.S)
    host = await ask.host(hostname="web", business="shop")
    await ask.host(hostname="other")
    request = CreateIntegration(name="i-deploy", calls=("resources.hosts.list",))
    integration = await ask(people.create_integration, request)
    (tmp_path / "deploy.creds").write_text(integration.credentials)
    (tmp_path / "ca.pem").write_text(integration.ca)
    status, out, err = await run(tmp_path, program, integration)
    assert (status, out) == (0, f"{host} web\n"), err
    refused = program.replace('["shop"]', '"shop"')
    assert refused != program
    status, out, err = await run(tmp_path, refused, integration)
    assert (status, out) == (1, "")
    assert "The request does not fit" in err
