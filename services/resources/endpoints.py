"""Which contract each use case fulfils."""

from dataclasses import dataclass

from contracts import collectors, edits, groups, hosts, imports, inits, people, sources, topology, virtual
from contracts.agents import AgentCall
from contracts.hosts import RenewCredentials
from contracts.names import unknown_names, uses_of_name
from runtime.bus import AgentEndpoint, Endpoint, answer, answer_agent
from runtime.names import KeptNames
from services.resources.attributes.service import AttributeService
from services.resources.collectors.service import CollectorService
from services.resources.enrolment.service import EnrolmentService
from services.resources.groups.membership import MembershipService
from services.resources.groups.service import GroupService
from services.resources.history.service import HistoryService
from services.resources.hosts.bulk import BulkService
from services.resources.hosts.service import HostService
from services.resources.imports.service import ImportService
from services.resources.inits.service import InitService
from services.resources.integrations.service import IntegrationService
from services.resources.join_tokens.service import JoinTokenService
from services.resources.naming import Naming
from services.resources.revocations.service import RevocationService
from services.resources.sources.service import SourceService
from services.resources.targets.service import TargetService
from services.resources.topology.service import TopologyService
from services.resources.virtual.service import VirtualService


@dataclass(frozen=True, kw_only=True)
class UseCases:
    host: HostService
    bulk: BulkService
    history: HistoryService
    places: TopologyService
    attributes: AttributeService
    imports: ImportService
    sources: SourceService
    virtual: VirtualService
    collectors: CollectorService
    inits: InitService
    group: GroupService
    membership: MembershipService
    targets: TargetService
    tokens: JoinTokenService
    enrolment: EnrolmentService
    revocation: RevocationService
    integrations: IntegrationService
    names: KeptNames
    naming: Naming


def endpoints(of: UseCases) -> list[Endpoint | AgentEndpoint]:
    return [*_hosts(of), *_places(of), *_from_elsewhere(of), *_groups(of), *_joining(of)]


def _hosts(of: UseCases) -> list[Endpoint]:
    return [
        answer(hosts.list_hosts, of.host.list),
        answer(hosts.show_host, of.host.show),
        answer(hosts.change_host, of.host.change),
        answer(hosts.revoke_host, of.revocation.revoke_host),
        answer(inits.init_hosts, of.inits.init),
        answer(inits.list_inits, of.inits.list),
        answer(edits.edit_hosts, of.bulk.edit),
        answer(edits.host_history, of.history.history),
        answer(edits.host_origins, of.history.origins),
        answer(hosts.resolve_targets, of.targets.resolve),
        answer(hosts.list_join_tokens, of.tokens.list),
    ]


def _places(of: UseCases) -> list[Endpoint]:
    return [
        answer(topology.list_places, of.places.list),
        answer(topology.show_place, of.places.show),
        answer(topology.create_place, of.places.create),
        answer(topology.change_place, of.places.change),
        answer(topology.delete_place, of.places.delete),
        answer(topology.list_attributes, of.attributes.list),
        answer(topology.declare_attribute, of.attributes.declare),
        answer(topology.change_attribute, of.attributes.change),
        answer(topology.delete_attribute, of.attributes.delete),
    ]


def _from_elsewhere(of: UseCases) -> list[Endpoint]:
    return [
        answer(imports.begin_import, of.imports.begin),
        answer(imports.add_piece, of.imports.add),
        answer(imports.plan_import, of.imports.plan),
        answer(imports.apply_import, of.imports.apply),
        answer(imports.show_import, of.imports.show),
        answer(imports.list_imports, of.imports.list),
        answer(imports.list_rows, of.imports.rows),
        answer(sources.put_source, of.sources.put),
        answer(sources.show_source, of.sources.show),
        answer(sources.list_sources, of.sources.list),
        answer(sources.delete_source, of.sources.delete),
        answer(sources.run_source, of.sources.run),
        answer(virtual.report_virtual, of.virtual.report),
        answer(virtual.list_virtual, of.virtual.list),
        answer(virtual.count_virtual, of.virtual.count),
        *_collectors(of.collectors),
    ]


def _collectors(of: CollectorService) -> list[Endpoint]:
    return [
        answer(collectors.put_collector, of.put),
        answer(collectors.show_collector, of.show),
        answer(collectors.list_collectors, of.list),
        answer(collectors.delete_collector, of.delete),
        answer(collectors.run_collector, of.run),
        answer(collectors.show_collection, of.collection),
        answer(collectors.list_collections, of.collections),
    ]


def _groups(of: UseCases) -> list[Endpoint]:
    return [
        answer(groups.list_groups, of.group.list),
        answer(groups.show_group, of.group.show),
        answer(groups.create_group, of.group.create),
        answer(groups.change_group, of.group.change),
        answer(groups.delete_group, of.group.delete),
        answer(groups.add_hosts, of.group.add_hosts),
        answer(groups.remove_hosts, of.group.remove_hosts),
        answer(groups.list_members, of.membership.members),
        answer(groups.preview_expression, of.membership.preview),
        answer(groups.groups_of_hosts, of.membership.of_hosts),
        answer(unknown_names("resources"), of.names.unknown),
        answer(uses_of_name("resources"), of.naming.uses),
    ]


def _joining(of: UseCases) -> list[Endpoint | AgentEndpoint]:
    return [
        answer(hosts.create_join_token, of.tokens.create),
        answer(hosts.withdraw_join_token, of.tokens.withdraw),
        answer(hosts.ask_challenge, of.enrolment.challenge),
        answer(hosts.enrol, of.enrolment.enrol),
        answer(people.create_integration, of.integrations.create),
        answer(people.list_integrations, of.integrations.list),
        answer(people.change_integration, of.integrations.change),
        answer(people.integration_bounds, of.integrations.bounds),
        answer(people.revoke_integration, of.integrations.revoke),
        answer_agent(AgentCall.RENEW, RenewCredentials, of.enrolment.renew),
    ]
