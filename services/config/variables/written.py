"""Values as YAML that reads back as the same values. Pure."""

import yaml

from services.config.variables.document import SECRET_TAG
from services.config.variables.scalars import meaning
from services.config.variables.values import Secret, Tree


class _Dumper(yaml.CSafeDumper):
    """Puts in quotes what our reader would not take for text: it follows YAML 1.2, PyYAML writes for YAML 1.1."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="" if _is_plain(text) else '"')


def _secret(dumper: yaml.CSafeDumper, secret: Secret) -> yaml.Node:
    return dumper.represent_scalar(SECRET_TAG, secret.text, style='"')


def _is_plain(text: str) -> bool:
    try:
        return meaning(text) == (text, "")
    except ValueError:
        return False


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Secret, _secret)
_Dumper.add_multi_representer(dict, yaml.CSafeDumper.represent_dict)


def as_yaml(tree: Tree) -> str:
    """Keys in the order of the tree. Secrets stand in the clear; mask them first for anybody's eyes."""
    if not tree:
        return ""
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
