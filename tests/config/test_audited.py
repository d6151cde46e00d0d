"""What this service changes is in its audit trail first."""

import pytest

from contracts import accounts
from contracts.accounts import AccountRef, CreateAccount
from contracts.errors import NotFound, Unavailable
from tests.auditing import ended, refusing, rows
from tests.servers import until

ALIAS = "audited"


async def test_nothing_is_made_if_it_cannot_be_written(ask, database):
    request = CreateAccount(alias=ALIAS, os_user="deploy")
    async with refusing(database):
        with pytest.raises(Unavailable) as refused:
            await ask(accounts.create_account, request)
        assert refused.value.reason == "audit.away"
        with pytest.raises(NotFound):
            await ask(accounts.show_account, AccountRef(alias=ALIAS))
    await ask(accounts.create_account, request)
    await until(lambda: ended(database, accounts.create_account.subject), "how it ended is written")
    outcomes = [row["outcome"] for row in await rows(database, object=ALIAS, call=accounts.create_account.subject)]
    assert outcomes == ["", "ok"]
