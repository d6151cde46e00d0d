"""Which contract each use case fulfils."""

from contracts import people as contract
from runtime.bus import Endpoint, answer
from services.gateway.people.people import People
from services.gateway.tokens.tokens import Tokens


def endpoints(people: People, tokens: Tokens) -> list[Endpoint]:
    return [
        answer(contract.whoami, people.whoami),
        answer(contract.create_person, people.create),
        answer(contract.list_people, people.list),
        answer(contract.disable_person, people.disable),
        answer(contract.create_token, tokens.create),
        answer(contract.list_tokens, tokens.list),
        answer(contract.withdraw_token, tokens.withdraw),
    ]
