"""Which contract each use case fulfils."""

from contracts import files
from runtime.bus import AgentEndpoint, Endpoint, answer
from services.config.files.service import FileService


def endpoints(file: FileService) -> list[Endpoint | AgentEndpoint]:
    return [
        answer(files.list_files, file.list),
        answer(files.show_file, file.show),
        answer(files.list_file_versions, file.versions),
        answer(files.change_file, file.change),
        answer(files.find_version, file.find),
        answer(files.record_file, file.record),
        answer(files.forget_file, file.forget),
    ]
