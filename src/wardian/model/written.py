"""Objects as people write them in YAML: the values of their keys are text, whatever YAML takes them for.

`limits.cpu: 2` and `security.nesting: true` mean what they say, and `mode: 0666` is not the number 438.
"""

from typing import Any

import yaml

TEXTS = ("config", "devices", "properties")
"""What holds such keys."""
NULL = "tag:yaml.org,2002:null"
TEXT = "tag:yaml.org,2002:str"


def parse(text: str) -> Any:
    """What the document says; below `config`, `devices` and `properties` all but null is text, as written.

    yaml.YAMLError if it is none.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _mark(root, below=False)
        return loader.construct_document(root)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    finally:
        loader.dispose()


def _mark(node: yaml.Node, *, below: bool) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if below:
                _mark(key, below=True)
            _mark(value, below=below or key.value in TEXTS)
    elif isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _mark(entry, below=below)
    elif below and node.tag != NULL:
        node.tag = TEXT
