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
    "audit.away": Reason(
        503, "The audit trail cannot be written, so nothing was done.", "Try again; see `drover doctor`."
    ),
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
    "auth.locked_out": Reason(
        429, "Too many failed logins.", "Wait as long as Retry-After says, or ask an admin to lift the lockout."
    ),
    "lockout.nothing_named": Reason(422, "Neither a name nor an address is given.", "Give one of them, or both."),
    "person.exists": Reason(409, "There is somebody of that name.", "Choose another name."),
    "person.unknown": Reason(404, "There is nobody of that name.", "See `drover person list`."),
    "person.last_admin": Reason(409, "This is the last admin.", "Make another admin first."),
    "person.unknown_role": Reason(422, "There is no such role.", "See `drover role list`."),
    "person.changed_meanwhile": Reason(409, "Somebody changed the person meanwhile.", "Look again, then change it."),
    "person.wrong_old_password": Reason(403, "The old password is wrong.", "Try again, or ask an admin for a new one."),
    "role.exists": Reason(409, "There is a role of that name.", "Choose another name."),
    "role.unknown": Reason(404, "There is no such role.", "See `drover role list`."),
    "role.built_in": Reason(409, "Built-in roles stay as they are.", "Define a role of your own."),
    "role.in_use": Reason(409, "Somebody has the role.", "Take it from everybody first."),
    "role.changed_meanwhile": Reason(409, "Somebody changed the role meanwhile.", "Look again, then change it."),
    "grants.unknown_permission": Reason(
        422, "There is no such permission, or people do not get it.", "See the reference of permissions."
    ),
    "grants.empty_scope": Reason(
        422,
        "A bound of the scope lists nothing, so nothing would lie in it.",
        "Leave the bound out, or name something.",
    ),
    "grants.indivisible": Reason(422, "That permission knows no bounds.", "Leave out the scope, or the permission."),
    "grants.too_large": Reason(422, "The permissions and the scope are too long together.", "Use a group."),
    "session.unknown": Reason(404, "There is no such session.", "List the sessions."),
    "token.unknown": Reason(404, "There is no such token.", "List the tokens."),
    "token.limited": Reason(
        403, "An API token with limits acts within them only.", "Log in, or use a token without limits."
    ),
    "integration.exists": Reason(409, "There is an integration of that name.", "Choose another name or revoke it."),
    "integration.hears_everything": Reason(
        422, "Events tell of all objects, so whoever has a scope hears none.", "Leave out either."
    ),
    "integration.changed_meanwhile": Reason(
        409, "Somebody changed the integration meanwhile.", "Look again, then change it."
    ),
    "integration.revoked": Reason(409, "The integration is revoked.", "Make it anew."),
    "integration.unknown": Reason(404, "There is no such integration.", "List the integrations."),
    "integration.unknown_call": Reason(
        422, "There is no such call, or integrations may not use it.", "See the reference."
    ),
    # hosts
    "host.unknown": Reason(404, "There is no such host.", "See `drover host list`."),
    "host.changed_meanwhile": Reason(409, "Somebody changed the host meanwhile.", "Look again, then change it."),
    "host.wrong_state": Reason(409, "A host in this state cannot move to that one.", "Move it step by step."),
    "host.revoked": Reason(409, "The host is revoked.", "Enrol it as a new host."),
    "host.too_much": Reason(422, "A host would have more tags, labels or attributes than it can.", "Remove some."),
    "place.unknown": Reason(404, "There is no such place.", "See `drover topology list`."),
    "place.missing": Reason(
        422, "The host would be in a place that does not exist.", "Make it first: `drover topology create`."
    ),
    "place.exists": Reason(409, "There is a place of that name.", "Use it, or choose another name."),
    "place.in_use": Reason(409, "Hosts or other places are in the place.", "Move them first."),
    "place.bad_path": Reason(422, "No place of this kind can have this path.", "The message shows one that can be."),
    "place.changed_meanwhile": Reason(409, "Somebody changed the place meanwhile.", "Look again, then change it."),
    "attribute.unknown": Reason(404, "There is no such attribute.", "See `drover attribute list`."),
    "attribute.undeclared": Reason(
        422, "Nobody declared an attribute of that name.", "Declare it first: `drover attribute declare`."
    ),
    "attribute.wrong_type": Reason(422, "The value is not of the attribute's type.", "The message says what is right."),
    "attribute.choices": Reason(422, "Type and choices do not go together.", "Choices belong to the type choice."),
    "attribute.exists": Reason(409, "There is an attribute of that name.", "Use it, or choose another name."),
    "attribute.in_use": Reason(409, "Some host has the attribute or the value.", "Take it from all hosts first."),
    "attribute.changed_meanwhile": Reason(
        409, "Somebody changed the attribute meanwhile.", "Look again, then change it."
    ),
    "import.unknown": Reason(404, "There is no such import.", "See `drover import list`."),
    "import.wrong_state": Reason(409, "The import's state does not allow this now.", "Look at the import."),
    "import.malformed": Reason(422, "The text is not of the format that it is said to be.", "The message says where."),
    "import.too_large": Reason(413, "The text or its rows are too many.", "Split it by source."),
    "import.unknown_column": Reason(422, "A column is no field of hosts.", "Map it to a field, or to nothing."),
    "import.bad_row": Reason(422, "A row cannot be taken.", "Correct it; the others are not kept from it."),
    "import.ambiguous": Reason(409, "Nobody can say which host a row speaks of.", "Correct the host or the row."),
    "import.other_idc": Reason(409, "A row has a host in another IDC than it is enrolled in.", "Correct the row."),
    "import.vanished_too_many": Reason(
        409, "So many hosts are missing that the list is hardly whole.", "Look, or raise most_vanished_percent."
    ),
    "virtual.too_many": Reason(422, "A report names more resources than one host can have.", "Split the collector."),
    "virtual.bad_record": Reason(
        422, "That line or row is no virtual resource.", "Correct it; the others are not kept from it."
    ),
    "virtual.unknown_host": Reason(
        422, "A record belongs to a host that nobody knows.", "Import the host, or correct the record."
    ),
    "virtual.ambiguous_host": Reason(
        409, "Several hosts have the IP of a record.", "Correct the hosts, or give an id."
    ),
    "virtual.twice": Reason(409, "A report names the same resource of a host twice.", "Have it named once."),
    "virtual.others_name": Reason(
        409, "A report is in the name of a collector that runs by itself.", "Report by another name, or run it."
    ),
    "virtual.incomplete": Reason(422, "A part of a host's output is missing.", "Run the collector again."),
    "virtual.too_large": Reason(413, "The output of a host is larger than a report can be.", "Split the collector."),
    "collector.unknown": Reason(404, "There is no such collector.", "See `drover collector list`."),
    "collector.changed_meanwhile": Reason(
        409, "Somebody changed the collector meanwhile.", "Look again, then change it."
    ),
    "collector.too_often": Reason(422, "A collector would run too often.", "Give 60 s or more, or 0."),
    "collector.bad_targets": Reason(
        422, "The targets mix the management host with others.", "Give `local` alone, or leave it out."
    ),
    "collector.not_tagged": Reason(
        422, "The script is not meant to be a collector.", "Have it given the tag `collector`."
    ),
    "collection.unknown": Reason(404, "There is no such run of a collector.", "See `drover collector runs`."),
    "init.no_hosts": Reason(409, "No host of the run is in deploying.", "Move the hosts to deploying first."),
    "init.followed": Reason(409, "Its hosts move to another state already.", "Wait for its end, or start another run."),
    "source.unknown": Reason(404, "There is no such source.", "See `drover source list`."),
    "source.changed_meanwhile": Reason(409, "Somebody changed the source meanwhile.", "Look again, then change it."),
    "source.bad_address": Reason(422, "That is no address of a source.", "Give an http or https address."),
    "source.not_allowed": Reason(
        422, "The settings do not allow to ask that host.", "Have it added to RESOURCES_SOURCE_HOSTS."
    ),
    "source.bad_mapping": Reason(422, "The parts of the mapping do not go together.", "The message says which."),
    "source.too_often": Reason(422, "A source would be asked too often.", "Give 60 s or more, or 0."),
    "source.secret_missing": Reason(422, "The source's secret is not known.", "Give it again."),
    "source.bad_secret": Reason(422, "No header can carry the secret.", "Give it without line breaks."),
    "source.no_answer": Reason(503, "The source did not answer.", "Look at it, then ask again."),
    "source.bad_answer": Reason(
        422, "The source answered otherwise than its mapping says.", "Compare mapping and answer."
    ),
    "idc.reserved": Reason(422, "That IDC name is used by Drover itself.", "Choose another name."),
    "idc.unknown": Reason(422, "There is no such IDC.", "Use one that has a relay."),
    "targets.empty": Reason(422, "No host fits.", "Choose hosts that exist; nothing was started."),
    "targets.none_asked": Reason(422, "No targets are named.", "Name hosts, an IDC, a tag, or `all`."),
    "targets.unknown": Reason(
        422, "Some names match no host.", "Correct them, or allow unknown names (allow_unknown, `--allow-unknown`)."
    ),
    "targets.too_many": Reason(422, "More hosts than one run takes.", "Split the run."),
    "targets.changed": Reason(409, "The set of hosts is not the one that was expected.", "Look at the set again."),
    "expression.malformed": Reason(
        422, "The expression cannot be read.", "The message names the column and what could stand there."
    ),
    "expression.too_large": Reason(
        422, "The expression is too long, too deep or has too many terms.", "Split it into groups that name each other."
    ),
    "expression.unknown_attribute": Reason(
        422, "The expression asks for something that hosts do not have.", "See the reference of expressions."
    ),
    "expression.unknown_group": Reason(
        422, "The expression names a group that does not exist.", "See `drover group list`."
    ),
    "expression.unknown_label": Reason(422, "The expression names a label that no host has.", "Check its spelling."),
    "group.unknown": Reason(404, "There is no such group.", "See `drover group list`."),
    "group.exists": Reason(409, "There is a group of that name.", "Choose another name."),
    "group.reserved": Reason(
        422, "That group exists by itself, or Drover uses the name.", "Choose another group, or another name."
    ),
    "group.changed_meanwhile": Reason(409, "Somebody changed the group meanwhile.", "Look again, then change it."),
    "group.in_use": Reason(409, "Other groups use this one.", "Take it out of them first."),
    "group.cycle": Reason(422, "The group would contain itself.", "The message shows the way; leave one of them out."),
    "group.dynamic": Reason(
        422,
        "A group has either an expression or hosts and groups, and stays what it is.",
        "Make another group; groups can name each other.",
    ),
    "group.unknown_member": Reason(422, "Some of the groups named do not exist.", "See `drover group list`."),
    "group.unknown_host": Reason(422, "Some of the hosts named do not exist.", "See `drover host list`."),
    "group.too_many": Reason(422, "There are as many groups as there can be.", "Delete some."),
    "group.too_large": Reason(422, "The groups together are more than one query can say.", "Name fewer groups."),
    "join.token_invalid": Reason(403, "The join token is unknown, expired, withdrawn or used up.", "Make a new one."),
    "join.token_unknown": Reason(404, "There is no such join token.", "List the join tokens."),
    "enrol.bad_proof": Reason(403, "The signature does not prove the key.", "Sign the nonce with the key presented."),
    "enrol.challenge_invalid": Reason(403, "The nonce is unknown, expired, used, or of another key.", "Begin anew."),
    "enrol.bad_key": Reason(422, "That is not a public key of the right kind.", "See the enrolment how-to."),
    # variables
    "variables.malformed": Reason(
        422, "The document is not YAML as variables take it.", "Correct what stands at the line and column named."
    ),
    "variables.too_large": Reason(413, "The document is larger than 256 KiB.", "Split it by group."),
    "variables.duplicate_key": Reason(422, "A mapping has the same key twice.", "Keep one of them."),
    "variables.key_clash": Reason(
        422, "A key with dots looks like a path that exists by nesting.", "Nest it, or rename it."
    ),
    "variables.reserved": Reason(422, "Drover itself says what that name is.", "Choose another name."),
    "variables.secret_missing": Reason(
        422, "A masked value stands where no earlier secret could be kept.", "Write !secret and the value."
    ),
    "variables.secret_bared": Reason(
        422, "A run brings in clear what is a secret variable.", "Hand it over as a masked parameter."
    ),
    # files of the depot
    "file.unknown": Reason(404, "There is no such file in the depot.", "See `drover file list`."),
    "file.version_unknown": Reason(404, "The file has no such version.", "See `drover file show`."),
    "file.changed_meanwhile": Reason(409, "Somebody changed the file meanwhile.", "Look again, then change it."),
    "file.too_large": Reason(413, "The file is larger than this depot takes.", "Ask for a larger limit."),
    "file.wrong_offset": Reason(409, "The piece is not the one that comes next.", "Go on from the offset named."),
    "file.incomplete": Reason(409, "Bytes of the upload are missing.", "Send the rest, then complete it."),
    "file.too_long": Reason(422, "More bytes came than were announced.", "Begin anew with the right size."),
    "file.hash_mismatch": Reason(422, "What came is not what was announced.", "Send it anew."),
    "file.upload_unknown": Reason(404, "There is no such upload of yours.", "Begin anew."),
    "file.upload_busy": Reason(409, "Another request works on this upload.", "Try again in a moment."),
    "file.archive_refused": Reason(422, "The archive is not safe or cannot be read.", "See the message."),
    "file.path_refused": Reason(
        422, "That path of the management host is not taken.", "Give one below a listed root (GATEWAY_DEPOT_ROOTS)."
    ),
    "file.no_entries": Reason(422, "Only folders and archives have entries.", "Leave the entry away."),
    "file.is_folder": Reason(422, "A folder is read file by file.", "Name one of its entries."),
    "file.entry_unknown": Reason(404, "The folder has no such file.", "See its entries."),
    "file.content_missing": Reason(404, "The depot's folder lacks the content.", "Check GATEWAY_DEPOT."),
    "depot.no_space": Reason(507, "The depot's disk is full.", "Delete files, or give it a larger disk."),
    "depot.none": Reason(503, "This gateway has no depot.", "Set GATEWAY_DEPOT or GATEWAY_DEPOT_AT."),
    "depot.away": Reason(503, "The gateway that has the depot does not answer.", "Try again; see `drover doctor`."),
    "file.other_kind": Reason(409, "The file of that name is of another kind.", "Choose another name."),
    "variables.changed_meanwhile": Reason(
        409, "Somebody changed the variables meanwhile.", "Look again, then set them."
    ),
    "variables.version_unknown": Reason(404, "The variables have no such revision.", "See `drover var versions`."),
    "variables.too_many": Reason(413, "The values of one host do not fit into one answer.", "Ask for fewer keys."),
    # templates
    "template.unknown": Reason(404, "There is no such template or revision.", "See `drover template list`."),
    "template.changed_meanwhile": Reason(409, "Somebody changed the template meanwhile.", "Look again, then save it."),
    "template.too_large": Reason(413, "The template, or the content, is larger than 256 KiB.", "Split it."),
    "template.no_host": Reason(422, "It is not said whose content that is.", "Name the host."),
    "template.malformed": Reason(422, "That is no template.", "Correct what stands at the line named."),
    "template.undefined": Reason(
        422, "The template reads a variable that the host does not have.", "Set it, or give it a default."
    ),
    "template.refused": Reason(422, "The template reaches for what is no variable.", "Use variables and filters."),
    "template.too_expensive": Reason(
        422, "Rendering takes more time or memory than one host may have.", "Make the template simpler."
    ),
    "template.bad_output": Reason(
        422, "The result is larger than 400 KiB or has control characters.", "Check the variables that it is made of."
    ),
    "template.failed": Reason(422, "An expression of the template failed.", "See the message and the line."),
    # runs
    "run.unknown": Reason(404, "There is no such run.", "See `drover run list`."),
    "run.host_unknown": Reason(404, "The host is not part of this run.", "See `drover run show`."),
    "run.variables_too_large": Reason(413, "A host's variables are too large to be sealed.", "Use a template."),
    "run.one_script": Reason(422, "A run has either a text or the name of a stored script.", "Give one of the two."),
    "run.parameter_unknown": Reason(422, "The script has no such parameter.", "See `drover script show`."),
    "run.parameter_missing": Reason(422, "The script needs a parameter that was not given.", "Give it a value."),
    "run.parameter_misfit": Reason(422, "A parameter's value is not of its type.", "Give one that is."),
    "run.script_not_stored": Reason(403, "Whoever asks may start stored scripts only.", "Choose a stored script."),
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
    # what is written down by its name
    "name.unknown": Reason(422, "Something is named that does not exist.", "Name what exists, or make it first."),
    # accounts
    "account.not_found": Reason(404, "There is no such account.", "See `drover account list`."),
    "account.exists": Reason(409, "There is an account of that alias.", "Choose another alias, or change that one."),
    "account.changed_meanwhile": Reason(409, "Somebody changed the account meanwhile.", "Look again, then change it."),
    "account.in_use": Reason(409, "Something names the account.", "Take it out of what is named first."),
    "account.built_in": Reason(409, "The account is always there.", "Disable it, or take its grants away."),
    "account.default_taken": Reason(
        409, "A group has one default account at most.", "Take the group away from the other account first."
    ),
    "account.not_granted": Reason(
        403, "The account is not granted to whoever asks.", "Choose another, or ask an admin."
    ),
    "account.disabled": Reason(409, "The account is disabled.", "Choose another, or enable it."),
    "account.not_here": Reason(422, "The account may not be used on some of the hosts.", "Choose others of either."),
    "account.ambiguous": Reason(422, "The hosts' groups have different default accounts.", "Name the one you mean."),
    "account.moved": Reason(409, "The account is another OS user than when the run started.", "Start a new run."),
    # stored scripts
    "script.unknown": Reason(404, "There is no such script.", "See `drover script list`."),
    "script.version_unknown": Reason(404, "The script has no such version.", "See `drover script show`."),
    "script.exists": Reason(409, "There is a script of that name.", "Choose another name, or save a version of it."),
    "script.changed_meanwhile": Reason(409, "Somebody changed the script meanwhile.", "Look again, then change it."),
    "script.too_large": Reason(413, "The script is larger than 512 KiB.", "Distribute it as a file."),
    "script.too_different": Reason(422, "The versions differ too much to say how.", "Look at both."),
    "script.bad_parameter": Reason(422, "A declared parameter makes no sense.", "Correct the declaration."),
    "script.wrong_state": Reason(409, "The version's state does not allow this.", "Look at the script."),
    "script.has_errors": Reason(409, "A checker found errors, so it cannot go online.", "Save a version without them."),
    "script.not_yours": Reason(403, "Only its owner and those who vet may change it.", "Clone it, or ask them."),
    "script.outside": Reason(403, "The tags would leave the scope of whoever asks.", "Keep to the tags of your scope."),
    "script.not_online": Reason(409, "No version of the script is online.", "Name a version, or put one online."),
    "script.retired": Reason(409, "That version is retired.", "Choose another, or put it online again."),
    "script.draft": Reason(409, "Nobody vetted that version yet.", "Have it put online, or run what is online."),
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
    "account.unknown": Reason(
        422, "There is no such account, or the host has no such OS user.", "Choose another; see `drover account list`."
    ),
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
