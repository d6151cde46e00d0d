"""Values for property tests: whatever a document can say."""

from hypothesis import strategies as st

from services.config.variables.document import RESERVED
from services.config.variables.values import Secret

_characters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffe\uffff\u2028\u2029\x85")
texts = st.text(_characters, max_size=8) | st.sampled_from(
    ["no", "0755", "22:22", "1e3", "0o17", "~", "true", "a: b", " x ", "line\nline", "tab\t"]
)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
secrets = st.builds(Secret, texts)
scalar_values = texts | numbers | st.booleans() | st.none() | secrets
words = st.sampled_from(["a", "b", "c", "d"])
keys = words | st.text(_characters, min_size=1, max_size=4).filter(lambda key: key.isprintable() and "." not in key)


def trees(keys=keys, values=scalar_values):
    """Mappings with text as keys; nested, with lists and empty mappings among the leaves."""
    leaf = values | st.lists(values, max_size=3)
    return st.recursive(
        st.dictionaries(keys, leaf, max_size=3),
        lambda inner: st.dictionaries(keys, leaf | inner, max_size=3),
        max_leaves=8,
    )


documents = trees().filter(lambda tree: not RESERVED & tree.keys())
layers = trees(words, st.integers(0, 3) | st.none() | secrets)
"""Few keys and values, so that they meet."""
