"""Many agents in one process are many hosts."""

import asyncio

from contracts.states import Outcome
from tests.agent.agent_rig import Dispatcher, Home, new_task, reached
from tests.servers import until


async def test_twenty_agents_in_one_process_each_do_their_own_part(jobs: Dispatcher, home: Home):
    agents = await asyncio.gather(*(home.agent(f"a{n}", ("js", "bj")[n % 2]) for n in range(20)))
    hosts = await asyncio.gather(*(reached(jobs, agent) for agent in agents))
    assert len({own.host for own in hosts}) == 20
    task = new_task()
    for own in hosts:
        await jobs.run(own, "echo $DROVER_HOST", task=task)
    for own in hosts:
        report = await jobs.report(own, task)
        assert (report.outcome, report.head) == (Outcome.SUCCEEDED, f"{own.host}\n")
    await until(lambda: not any(agent.parts.tasks for agent in agents), "all are stored")
