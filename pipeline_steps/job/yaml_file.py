"""Files in YAML, read so that nothing in them is lost in silence."""

from pathlib import Path
from typing import Any

import yaml

from pipeline_steps.job.errors import UserError, brief

_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> Any:
    """The content of a file in UTF-8, with or without a byte order mark.

    Raises UserError that names file and line where it is not YAML, or gives a key of a map twice, of which YAML would
    keep the last; UserError, too, where it is not UTF-8, and OSError where it cannot be read.
    """
    try:
        loader = yaml.SafeLoader(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {brief(error)}; correct it") from error
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _refuse_twice(root, loader, path, "", {})
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not YAML: {brief(error.problem or error.context)}; correct it") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {brief(error)}; correct it") from error
    finally:
        loader.dispose()


def _refuse_twice(node: yaml.Node, loader: yaml.SafeLoader, path: Path, place: str, seen: dict[int, bool]) -> None:
    """Raise UserError where a map below a node has a key twice, or contains itself.

    place: dotted keys that lead there. seen: of every node that was met, whether all below it was.
    """
    if id(node) in seen:  # an alias
        if not seen[id(node)]:
            line = node.start_mark.line + 1
            raise UserError(f"{path}, line {line}: {brief(place.removesuffix('.'))} contains itself; write it out")
        return
    seen[id(node)] = False
    if isinstance(node, yaml.SequenceNode):
        for number, entry in enumerate(node.value):
            _refuse_twice(entry, loader, path, f"{place}{number}.", seen)
    if isinstance(node, yaml.MappingNode):
        lines: dict[Any, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                name, line = loader.construct_object(key), key.start_mark.line + 1
                if name in lines:
                    raise UserError(
                        f"{path}, line {line}: {brief(f'{place}{name}')}: given before, in line {lines[name]}; "
                        "remove one of the two"
                    )
                lines[name] = line
            _refuse_twice(value, loader, path, f"{place}{key.value}.", seen)
    seen[id(node)] = True
