"""The layout that the golden files share, and the note of which versions made them."""

import importlib.metadata
import json
import platform


def versions(*packages):
    """The interpreter's and the packages' versions, without local suffixes such as +cu130."""
    found = {name: importlib.metadata.version(name).split("+")[0] for name in packages}
    return {"python": platform.python_version(), **found}


def _is_flat(value):
    children = value.values() if isinstance(value, dict) else value
    return not any(isinstance(child, (dict, list)) for child in children)


def layout(value, depth=0):
    """JSON whose innermost lists and objects stand on one line each.

    A line for every number would make a change unreadable, and one line for everything would make
    every change look the same.
    """
    if not isinstance(value, (dict, list)) or _is_flat(value):
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {layout(child, depth + 1)}" for key, child in value.items()]
        opening, closing = "{", "}"
    else:
        parts = [layout(child, depth + 1) for child in value]
        opening, closing = "[", "]"
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    return opening + inner + ("," + inner).join(parts) + outer + closing


def write(path, value):
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write(layout(value) + "\n")
