"""Every reason with which something is refused or fails: its HTTP status, what it means, what to do.

One table for all: the gateway takes the status from here, the reference page is generated from it, and a test holds
that the code raises no other reason. Reasons are stable; a new case is a new row.
"""

from typing import NamedTuple


class Reason(NamedTuple):
    status: int
    meaning: str
    remedy: str


REASONS: dict[str, Reason] = {
    "internal": Reason(
        500, "Something failed on our side.", "Give the reference to whoever runs Drover; the log has it."
    ),
    # the bus and the edge
    "bus.malformed": Reason(
        422, "The message does not fit the contract.", "Compare the field named with the reference."
    ),
    "bus.no_answer": Reason(503, "The service that should answer did not.", "Try again; see `drover doctor`."),
    "storage.away": Reason(503, "The database does not answer.", "Try again; see `drover doctor`."),
    "bus.too_large": Reason(413, "The message is larger than the bus carries.", "Send less at once."),
    "http.malformed_json": Reason(400, "The body is not JSON as RFC 8259 has it.", "Check the body."),
    "http.duplicate_key": Reason(400, "An object of the body has the same key twice.", "Keep one of them."),
    "http.too_deep": Reason(400, "The body is nested too deeply.", "No request needs more than a few levels."),
    "http.unknown_field": Reason(422, "The request has a field that this call does not know.", "Check its spelling."),
    "http.unsupported_media_type": Reason(415, "Writes take JSON.", "Send Content-Type: application/json."),
    "http.body_too_large": Reason(413, "The body is larger than this call takes.", "Send less."),
    "http.not_found": Reason(404, "There is no such page.", "See /api/openapi.json for what there is."),
    "http.malformed": Reason(400, "That is no HTTP request that can be read.", "Check headers, length and encoding."),
    "http.method_not_allowed": Reason(405, "The path exists, the method does not.", "See /api/openapi.json."),
    "http.foreign_origin": Reason(403, "A page of another site sent this.", "Use Drover's own pages, or an API token."),
    "http.too_many_requests": Reason(429, "Too many attempts.", "Wait as long as Retry-After says."),
    # who is asking
    "auth.required": Reason(401, "Nobody is logged in.", "Log in or send a token."),
    "auth.wrong_password": Reason(401, "Name or password is wrong.", "Try again."),
    "auth.token_invalid": Reason(401, "The token is unknown, expired or withdrawn.", "Make a new one."),
    "auth.forbidden": Reason(403, "The caller may not do this.", "Ask an admin for the role that may."),
    "person.exists": Reason(409, "There is somebody of that name.", "Choose another name."),
    "person.unknown": Reason(404, "There is nobody of that name.", "See `drover api GET /people`."),
    "person.last_admin": Reason(409, "This is the last admin.", "Make another admin first."),
    "token.unknown": Reason(404, "There is no such token of yours.", "List the tokens."),
    "integration.exists": Reason(409, "There is an integration of that name.", "Choose another name or revoke it."),
    "integration.unknown": Reason(404, "There is no such integration.", "List the integrations."),
    "integration.unknown_call": Reason(
        422, "There is no such call, or integrations may not use it.", "See the reference."
    ),
    # hosts
    "host.unknown": Reason(404, "There is no such host.", "See `drover host list`."),
    "host.changed_meanwhile": Reason(409, "Somebody changed the host meanwhile.", "Look again, then change it."),
    "host.wrong_state": Reason(409, "A host in this state cannot move to that one.", "Move it step by step."),
    "host.revoked": Reason(409, "The host is revoked.", "Enrol it as a new host."),
    "idc.reserved": Reason(422, "That IDC name is used by Drover itself.", "Choose another name."),
    "idc.unknown": Reason(422, "There is no such IDC.", "Use one that has a relay."),
    "targets.empty": Reason(422, "No host fits.", "Choose hosts that exist; nothing was started."),
    "targets.none_asked": Reason(422, "No targets are named.", "Name hosts, an IDC, a tag, or `all`."),
    "targets.unknown": Reason(
        422, "Some names match no host.", "Correct them, or allow unknown names (allow_unknown, `--allow-unknown`)."
    ),
    "targets.too_many": Reason(422, "More hosts than one run takes.", "Split the run."),
    "targets.changed": Reason(409, "The set of hosts is not the one that was expected.", "Look at the set again."),
    "join.token_invalid": Reason(403, "The join token is unknown, expired, withdrawn or used up.", "Make a new one."),
    "join.token_unknown": Reason(404, "There is no such join token.", "List the join tokens."),
    "enrol.bad_proof": Reason(403, "The signature does not prove the key.", "Sign the nonce with the key presented."),
    "enrol.challenge_invalid": Reason(403, "The nonce is unknown, expired, used, or of another key.", "Begin anew."),
    "enrol.bad_key": Reason(422, "That is not a public key of the right kind.", "See the enrolment how-to."),
    # runs
    "run.unknown": Reason(404, "There is no such run.", "See `drover run list`."),
    "run.host_unknown": Reason(404, "The host is not part of this run.", "See `drover run show`."),
    "run.script_too_large": Reason(413, "The script is larger than 512 KiB.", "Distribute it as a file."),
    "run.arguments_too_large": Reason(
        413, "Arguments, environment and parameters are too large together.", "Use a file."
    ),
    "run.refused_variable": Reason(
        422, "That environment variable may not be set.", "It changes how programs are loaded."
    ),
    "run.duplicate_parameter": Reason(422, "Two parameters have one name.", "Rename one."),
    "run.wrong_state": Reason(409, "The run's state does not allow this now.", "Look at the run."),
    "run.nothing_to_retry": Reason(409, "No host of the run failed.", "Start a new run."),
    "run.changed_meanwhile": Reason(409, "Somebody else changed the run meanwhile.", "Look again."),
    "run.idempotency_mismatch": Reason(409, "The idempotency key was used for another request.", "Use a new key."),
    # what an agent refuses, and why a host has no result
    "grant.missing": Reason(422, "The command carries no grant.", "Only the jobs service commands agents."),
    "grant.malformed": Reason(422, "The grant cannot be read.", "Are jobs service and agent of compatible versions?"),
    "grant.unknown_key": Reason(
        403, "The grant is signed with a key the agent does not trust.", "Enrol the host again."
    ),
    "grant.bad_signature": Reason(403, "The signature does not fit the grant.", "Somebody changed or forged it."),
    "grant.wrong_host": Reason(403, "The grant is for another host.", "Somebody replays commands."),
    "grant.unsupported_version": Reason(422, "The agent does not know this version.", "Upgrade the agent."),
    "grant.expired": Reason(403, "The grant's time is over.", "It is sent anew by itself; check the clocks."),
    "grant.clock_skew": Reason(
        403, "The grant was issued in the agent's future.", "Set the clocks; 120 s are allowed."
    ),
    "grant.hash_mismatch": Reason(403, "The content is not the signed one.", "Somebody changed it on the way."),
    "grant.unsealable": Reason(422, "The sealed values cannot be opened.", "Enrol the host again."),
    "command.malformed": Reason(
        422, "The command cannot be read.", "Are jobs service and agent of compatible versions?"
    ),
    "command.body_missing": Reason(503, "The script did not reach the host.", "It is sent again by itself."),
    "account.unknown": Reason(422, "The host has no such account.", "Create it there or choose another."),
    "account.refused": Reason(403, "The agent does not run scripts as this account.", "Change its allow list."),
    "account.shut_out": Reason(
        403,
        "The account may not pass through a folder above its script.",
        "Open the folder that is named (chmod o+x), or put the agent's folder elsewhere.",
    ),
    "task.spool_full": Reason(
        507, "The agent's disk budget is used up.", "Free space, or let results be stored first."
    ),
    "task.no_space": Reason(507, "The host's disk is full.", "Free space."),
    "task.interpreter_missing": Reason(422, "The host lacks the interpreter.", "Install it."),
    "task.interpreter_refused": Reason(
        422, "The first line of a shell script names something else than a shell.", "Use a shell, or choose python."
    ),
    "task.spawn_failed": Reason(500, "The script could not be started.", "See the message."),
    "task.cancelled": Reason(409, "The run was stopped before the script began.", "Start it again."),
    "task.lost_reboot": Reason(500, "The host restarted while the script ran.", "Look at the host, then retry."),
    "task.lost_spawner": Reason(
        500, "What watched the script is gone, and nobody can know how it ended.", "Look, retry."
    ),
    "task.silent": Reason(500, "The host accepted and was never heard of again.", "Look at the host, then retry."),
    "host.offline": Reason(503, "The host was away until the deadline.", "Bring it back, then retry."),
}
