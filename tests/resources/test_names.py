"""Names that other services write down: which exist, and that what they name is not deleted."""

import pytest

from contracts import people, topology
from contracts.errors import Conflict, Forbidden
from contracts.names import AskNames, NameKind, unknown_names
from contracts.people import CreateIntegration, IntegrationRef, Principal
from contracts.topology import PlaceKind, PlaceRef
from tests.resources.conftest import Keeping

CONFIG = None
"""In its own name."""


async def unknown(ask, kind, *names, near=True):
    told = await ask(unknown_names("resources"), AskNames(kind=kind, names=names, near=near), CONFIG)
    return {each.name: each.near for each in told.unknown}


async def test_groups_businesses_and_integrations_that_do_not_exist_are_told_with_what_is_near(ask):
    await ask.group("web")
    await ask.places("business:shop")
    await ask(people.create_integration, CreateIntegration(name="i-deploy", calls=("jobs.runs.start",)))
    assert await unknown(ask, NameKind.GROUP, "web", "global", "idc:js", "wbe") == {"wbe": ("web",)}
    assert await unknown(ask, NameKind.BUSINESS, "shop", "shpo") == {"shpo": ("shop",)}
    assert await unknown(ask, NameKind.INTEGRATION, "i-deploy", "i-depoly") == {"i-depoly": ("i-deploy",)}
    assert await unknown(ask, NameKind.GROUP, "wbe", near=False) == {"wbe": ()}


async def test_an_integration_that_was_revoked_is_none(ask):
    await ask(people.create_integration, CreateIntegration(name="i-gone", calls=("jobs.runs.start",)))
    await ask(people.revoke_integration, IntegrationRef(name="i-gone"))
    assert await unknown(ask, NameKind.INTEGRATION, "i-gone") == {"i-gone": ()}


async def test_people_cannot_ask(ask):
    admin = Principal(kind="person", name="ada", roles=("admin",), via="session")
    with pytest.raises(Forbidden):
        await ask(unknown_names("resources"), AskNames(kind=NameKind.GROUP, names=("web",)), admin)


async def test_a_business_that_a_role_is_bound_to_is_not_deleted(ask, monkeypatch):
    await ask.places("business:shop")
    monkeypatch.setitem(Keeping.named, "shop", "the role keeper")
    deletion = topology.delete_place, PlaceRef(kind=PlaceKind.BUSINESS, path="shop")
    with pytest.raises(Conflict) as refused:
        await ask(*deletion)
    assert (refused.value.reason, "the role keeper" in refused.value.message) == ("place.in_use", True)
    monkeypatch.delitem(Keeping.named, "shop")
    await ask(*deletion)
