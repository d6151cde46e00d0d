"""A host that was imported, and whose agent comes later."""

import pytest

from contracts import edits, hosts
from contracts.edits import ListHistory
from contracts.hosts import ChangeHost, HostFacts, HostState, ListHosts
from tests.resources.people import NOBODY, Keys
from tests.resources.test_imports import applied


async def imported(ask, text):
    assert (await applied(ask, text, make_places=True, source="cmdb")).counts.rejected == 0
    return {host.hostname: host for host in (await ask(hosts.list_hosts, ListHosts())).hosts}


@pytest.mark.parametrize("facts", [HostFacts(hostname="WEB-1"), HostFacts(hostname="x", ips=("10.0.0.1",))])
async def test_an_imported_host_keeps_its_id_when_its_agent_comes(ask, facts):
    known = await imported(
        ask,
        "hostname,ips,idc,business,state,asset_id,tags\nweb-1,10.0.0.1,js,shop,deploying,A1,\ndb,10.0.0.2,js,,,A2,\n",
    )
    keys = Keys()
    token = await ask.token("js", business="bank", product_line="card", tags=("new",), state=HostState.IN_SERVICE)
    request = keys.request(await ask.nonce(keys), token, facts)
    enrolled = await ask(hosts.enrol, request, NOBODY)
    assert enrolled.host == known["web-1"].id
    assert (await ask(hosts.enrol, request, NOBODY)).host == enrolled.host, "the same request again"
    after = await ask.show(enrolled.host)
    assert (after.agent, after.hostname, after.ips, after.revision) == (True, facts.hostname.lower(), facts.ips, 2)
    assert (after.business, after.product_line, after.asset_id) == ("shop", "", "A1")
    assert (after.tags, after.state) == (("new",), HostState.DEPLOYING)
    events = (await ask(edits.host_history, ListHistory(host=enrolled.host))).events
    assert [each.origin.kind for each in events] == ["join_token", "import"]
    assert (await ask.resolve(ids=(enrolled.host,))).hosts[0].box_key == keys.box.public_key
    again = await ask.enrol(await ask.token("js", uses=1), facts)
    assert again.host != enrolled.host, "it has an agent by now"


async def test_an_agent_takes_no_record_that_may_be_of_another_host(ask):
    known = await imported(ask, "hostname,ips,idc\na,10.0.0.1,js\nb,10.0.0.2,js\nc,10.0.0.3,bj\nd,,js\n")
    await ask(hosts.change_host, ChangeHost(host=known["d"].id, state=HostState.RETIRED))
    ids = {host.id for host in known.values()}
    for facts in (
        HostFacts(hostname="a", ips=("10.0.0.2",)),
        HostFacts(hostname="c", ips=("10.0.0.3",)),
        HostFacts(hostname="d"),
        HostFacts(),
    ):
        assert (await ask.enrol(await ask.token("js"), facts)).host not in ids
