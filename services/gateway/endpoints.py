"""Which contract each use case fulfils."""

from contracts import audit as audit_contract
from contracts import people as contract
from contracts import roles as roles_contract
from contracts import sessions as sessions_contract
from contracts.names import unknown_names, uses_of_name
from runtime.bus import Endpoint, answer
from runtime.names import KeptNames
from services.gateway.audit.service import AuditService
from services.gateway.people.people import People
from services.gateway.roles.roles import Roles
from services.gateway.sessions.lockout import Lockout
from services.gateway.sessions.own_password import OwnPassword
from services.gateway.sessions.sessions import Sessions
from services.gateway.tokens.tokens import Tokens


def endpoints(
    people: People,
    roles: Roles,
    sessions: Sessions,
    lockout: Lockout,
    own_password: OwnPassword,
    tokens: Tokens,
    audit: AuditService,
    names: KeptNames,
) -> list[Endpoint]:
    return [
        answer(contract.whoami, people.whoami),
        answer(contract.create_person, people.create),
        answer(contract.list_people, people.list),
        answer(contract.show_person, people.show),
        answer(contract.change_person, people.change),
        answer(contract.disable_person, people.disable),
        answer(contract.enable_person, people.enable),
        answer(contract.set_password, people.set_password),
        answer(contract.change_own_password, own_password.change),
        answer(unknown_names("gateway"), names.unknown),
        answer(uses_of_name("gateway"), roles.uses),
        answer(roles_contract.list_roles, roles.list),
        answer(roles_contract.show_role, roles.show),
        answer(roles_contract.create_role, roles.create),
        answer(roles_contract.change_role, roles.change),
        answer(roles_contract.delete_role, roles.delete),
        answer(sessions_contract.list_sessions, sessions.list),
        answer(sessions_contract.revoke_session, sessions.revoke),
        answer(sessions_contract.revoke_other_sessions, sessions.revoke_others),
        answer(sessions_contract.list_sessions_of, sessions.list_of),
        answer(sessions_contract.revoke_session_of, sessions.revoke_of),
        answer(sessions_contract.revoke_all_sessions_of, sessions.revoke_all_of),
        answer(sessions_contract.lift_lockout, lockout.lift),
        answer(contract.create_token, tokens.create),
        answer(contract.list_tokens, tokens.list),
        answer(contract.list_tokens_of, tokens.list_of),
        answer(contract.withdraw_token, tokens.withdraw),
        answer(contract.withdraw_token_of, tokens.withdraw_of),
        answer(audit_contract.list_audit, audit.list),
        answer(audit_contract.list_checkpoints, audit.checkpoints),
    ]
