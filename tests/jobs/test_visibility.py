"""Whose run it is. Pure."""

from contracts.people import Principal
from contracts.permissions import Grant, Scope
from services.jobs.runs.visibility import READ, Whose, visible

SHOP = Grant(permissions=(READ,), scope=Scope(businesses=("shop",)))


def person(name, **more):
    return Principal(kind="person", name=name, grants=(SHOP,), via="token", **more)


def test_people_see_their_own_runs_and_those_inside_of_their_scope():
    assert visible(person("ann"), READ, Whose(person("ann"), ("bank",)))
    assert visible(person("ann"), READ, Whose(person("bob"), ("shop",)))
    assert not visible(person("ann"), READ, Whose(person("bob"), ("shop", "bank")))
    assert not visible(person("ann"), READ, Whose(Principal(kind="integration", name="ann"), ("bank",)))


def test_a_token_with_limits_sees_of_its_owners_runs_only_what_it_started_itself():
    token = person("ann", limited=True, credential="t-1")
    assert visible(token, READ, Whose(token, ("bank",)))
    assert visible(token, READ, Whose(person("ann", credential="s-1"), ("shop",)))
    assert not visible(token, READ, Whose(person("ann", credential="s-1"), ("bank",)))
    assert not visible(token, READ, Whose(person("ann"), ("bank",)))
