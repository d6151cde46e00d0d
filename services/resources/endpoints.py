"""Which contract each use case fulfils."""

from contracts import groups, hosts, people
from contracts.agents import AgentCall
from contracts.hosts import RenewCredentials
from runtime.bus import AgentEndpoint, Endpoint, answer, answer_agent
from services.resources.enrolment.service import EnrolmentService
from services.resources.groups.membership import MembershipService
from services.resources.groups.service import GroupService
from services.resources.hosts.service import HostService
from services.resources.integrations.service import IntegrationService
from services.resources.join_tokens.service import JoinTokenService
from services.resources.revocations.service import RevocationService
from services.resources.targets.service import TargetService


def endpoints(
    host: HostService,
    group: GroupService,
    membership: MembershipService,
    targets: TargetService,
    tokens: JoinTokenService,
    enrolment: EnrolmentService,
    revocation: RevocationService,
    integrations: IntegrationService,
) -> list[Endpoint | AgentEndpoint]:
    return [
        answer(hosts.list_hosts, host.list),
        answer(hosts.show_host, host.show),
        answer(hosts.change_host, host.change),
        answer(hosts.revoke_host, revocation.revoke_host),
        answer(groups.list_groups, group.list),
        answer(groups.show_group, group.show),
        answer(groups.create_group, group.create),
        answer(groups.change_group, group.change),
        answer(groups.delete_group, group.delete),
        answer(groups.add_hosts, group.add_hosts),
        answer(groups.remove_hosts, group.remove_hosts),
        answer(groups.list_members, membership.members),
        answer(groups.preview_expression, membership.preview),
        answer(groups.groups_of_hosts, membership.of_hosts),
        answer(hosts.resolve_targets, targets.resolve),
        answer(hosts.create_join_token, tokens.create),
        answer(hosts.list_join_tokens, tokens.list),
        answer(hosts.withdraw_join_token, tokens.withdraw),
        answer(hosts.ask_challenge, enrolment.challenge),
        answer(hosts.enrol, enrolment.enrol),
        answer(people.create_integration, integrations.create),
        answer(people.list_integrations, integrations.list),
        answer(people.revoke_integration, integrations.revoke),
        answer_agent(AgentCall.RENEW, RenewCredentials, enrolment.renew),
    ]
