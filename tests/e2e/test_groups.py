"""A group is named by other services too, and they are asked before it goes."""

from tests.plane import Plane


async def test_a_group_that_an_account_a_role_and_variables_name_is_not_deleted(plane: Plane):
    for path, body in (
        ("/groups", {"name": "kept"}),
        ("/accounts", {"alias": "keeper", "os_user": "nobody", "groups": ["kept"]}),
        ("/roles", {"name": "keeper", "permissions": ["hosts:read"], "scope": {"groups": ["kept"]}}),
        ("/variables/group:kept", {"text": "a: 1"}),
    ):
        status, said = await plane.api("POST", path, body)
        assert status in {200, 201}, said
    status, refused = await plane.api("DELETE", "/groups/kept")
    assert (status, refused["reason"]) == (409, "group.in_use")
    assert refused["details"]["uses"] == ["the account keeper", "its own variables", "the role keeper"]
    for method, path, body in (
        ("DELETE", "/accounts/keeper", None),
        ("DELETE", "/roles/keeper", None),
        ("POST", "/variables/group:kept", {"text": ""}),
        ("DELETE", "/groups/kept", None),
    ):
        status, said = await plane.api(method, path, body)
        assert status == 200, said
