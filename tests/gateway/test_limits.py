"""What a token's limits leave of its owner's grants: never more than either of them."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.people import Principal
from contracts.permissions import EVERYTHING, INDIVISIBLE, Grant, Scope
from runtime.authorize import scopes
from services.gateway.tokens.model import narrowed

PERMISSIONS = ("hosts:read", "runs:start", "people:manage")
NAMES = ("a", "b", "c")
bound = st.none() | st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(tuple)
scope = st.builds(Scope, businesses=bound, groups=bound, accounts=bound, script_tags=bound)
permissions = st.lists(st.sampled_from(PERMISSIONS), max_size=3, unique=True).map(tuple)
grant = st.builds(Grant, permissions=permissions, scope=scope)
grants = st.lists(grant, max_size=4)


@st.composite
def thing(draw):
    """Of a host and what is done there: one business and account, any groups and tags."""
    some = st.sets(st.sampled_from(NAMES))
    return {
        "businesses": {draw(st.sampled_from(NAMES))},
        "groups": draw(some),
        "accounts": {draw(st.sampled_from(NAMES))},
        "script_tags": draw(some),
    }


def lies_in(one, bounds):
    return all(getattr(bounds, name) is None or one[name] & set(getattr(bounds, name)) for name in one)


def allowed(given_, permission, one):
    return any(permission in each.permissions and lies_in(one, each.scope) for each in given_)


@given(grants, st.none() | permissions, scope, st.sampled_from(PERMISSIONS), thing())
def test_a_token_never_does_more_than_its_owner_or_than_its_limits(owner, only, within, permission, one):
    left = narrowed(owner, only, within)
    if allowed(left, permission, one):
        assert allowed(owner, permission, one)
        assert only is None or permission in only
        assert lies_in(one, within)


@given(grants, st.sampled_from(PERMISSIONS), thing())
def test_without_limits_everything_is_left(owner, permission, one):
    assert allowed(narrowed(owner, None, EVERYTHING), permission, one) == allowed(owner, permission, one)


@given(permissions, scope, st.sampled_from(PERMISSIONS), thing())
def test_of_an_owner_without_bounds_the_limits_are_left(only, within, permission, one):
    everything = [Grant(permissions=PERMISSIONS)]
    expected = permission in only and lies_in(one, within)
    assert allowed(narrowed(everything, only, within), permission, one) == expected


@given(grants, permissions, scope)
def test_no_bound_is_ever_left_empty_and_the_same_limits_take_nothing_twice(owner, only, within):
    once = narrowed(owner, only, within)
    assert not [each for each in once if () in {getattr(each.scope, name) for name in Scope.__struct_fields__}]
    assert narrowed(once, only, within) == once


@given(grants)
def test_what_knows_no_bounds_is_held_everywhere_or_nowhere(given_):
    principal = Principal(kind="person", name="x", grants=tuple(given_))
    for permission in INDIVISIBLE:
        assert scopes(principal, permission) in {(), (EVERYTHING,)}
