"""Which contract each use case fulfils."""

from contracts import accounts, files
from runtime.bus import AgentEndpoint, Endpoint, answer
from services.config.accounts.service import AccountService
from services.config.files.service import FileService


def endpoints(account: AccountService, file: FileService) -> list[Endpoint | AgentEndpoint]:
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
    ]
