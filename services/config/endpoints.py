"""Which contract each use case fulfils."""

from contracts import accounts, files, script_search, scripts, templates, variables
from contracts.names import unknown_names, uses_of_name
from runtime.bus import AgentEndpoint, Endpoint, answer
from runtime.names import KeptNames
from services.config.accounts.service import AccountService
from services.config.files.service import FileService
from services.config.naming import Naming
from services.config.scripts.reading import ScriptReading
from services.config.scripts.service import ScriptService
from services.config.templates.previews import PreviewService
from services.config.templates.service import TemplateService
from services.config.variables.blast import BlastService
from services.config.variables.effective import EffectiveService
from services.config.variables.service import VariableService


def endpoints(
    account: AccountService,
    file: FileService,
    variable: VariableService,
    effective: EffectiveService,
    blast: BlastService,
    template: TemplateService,
    preview: PreviewService,
) -> list[Endpoint | AgentEndpoint]:
    return [
        answer(accounts.list_accounts, account.list),
        answer(accounts.show_account, account.show),
        answer(accounts.create_account, account.create),
        answer(accounts.change_account, account.change),
        answer(accounts.delete_account, account.delete),
        answer(accounts.resolve_account, account.resolve),
        answer(files.list_files, file.list),
        answer(files.show_file, file.show),
        answer(files.list_file_versions, file.versions),
        answer(files.change_file, file.change),
        answer(files.find_version, file.find),
        answer(files.record_file, file.record),
        answer(files.forget_file, file.forget),
        answer(variables.list_variables, variable.list),
        answer(variables.show_variables, variable.show),
        answer(variables.set_variables, variable.set),
        answer(variables.list_variables_versions, variable.versions),
        answer(variables.diff_variables, variable.diff),
        answer(variables.preview_variables, blast.preview),
        answer(variables.effective_variables, effective.effective),
        answer(variables.resolve_variables, effective.resolve),
        answer(templates.list_templates, template.list),
        answer(templates.show_template, template.show),
        answer(templates.save_template, template.save),
        answer(templates.list_template_versions, template.versions),
        answer(templates.render_template, preview.render),
        answer(templates.diff_template, preview.diff),
        answer(templates.lint_template, preview.lint),
        answer(templates.render_for_hosts, preview.render_for_hosts),
    ]


def name_endpoints(naming: Naming, names: KeptNames) -> list[Endpoint | AgentEndpoint]:
    return [
        answer(unknown_names("config"), names.unknown),
        answer(uses_of_name("config"), naming.uses),
    ]


def script_endpoints(script: ScriptService, reading: ScriptReading) -> list[Endpoint | AgentEndpoint]:
    return [
        answer(scripts.list_scripts, reading.list),
        answer(scripts.show_script, reading.show),
        answer(scripts.list_script_versions, reading.versions),
        answer(scripts.show_script_version, reading.version),
        answer(scripts.diff_script, reading.diff),
        answer(script_search.search_scripts, reading.search),
        answer(scripts.lint_script, reading.lint),
        answer(scripts.create_script, script.create),
        answer(scripts.save_version, script.save),
        answer(scripts.change_script, script.change),
        answer(scripts.clone_script, script.clone),
        answer(scripts.put_online, script.put_online),
        answer(scripts.retire_version, script.retire),
        answer(scripts.resolve_script, script.resolve),
    ]
