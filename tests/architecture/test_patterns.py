"""A pattern that ends in a bare `$` lets one line feed pass, and `root\\n` is not an account."""

import json

import msgspec

from contracts import registry
from contracts.runs import NO_NUL


def patterns(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for each in schema.values():
            yield from patterns(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from patterns(each)


def test_no_pattern_lets_a_line_feed_pass_at_its_end():
    kinds = [kind for call in registry.calls() for kind in (call.request, call.reply)]
    _, components = msgspec.json.schema_components(kinds)
    found = set(patterns(json.loads(json.dumps(components))))
    assert found
    # NO_NUL is about one character and means to let line feeds pass.
    assert not [pattern for pattern in found - {NO_NUL} if pattern.endswith("$")]
