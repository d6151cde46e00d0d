"""Which calls may lose a race: those that name the revision they saw."""

from contracts import registry


def revised(service):
    """Subjects of the calls of one service that change what has a revision."""
    found = (call for call in registry.calls() if call.service == service and call.changes)
    return {call.subject for call in found if "revision" in call.request.__struct_fields__}


def changes(refusal):
    """Field → (before, after, by) of the refusal's details."""
    return {each["field"]: (each.get("before"), each.get("after"), each["by"]) for each in refusal["changed"]}
