"""Dotted names below `anykeypoint`, as the pages in docs/ write them."""

import importlib


def resolve(dotted: str) -> object:
    """The module, class, attribute or dataclass field of a dotted name.

    Raises ModuleNotFoundError or AttributeError for a name that does not exist.
    """
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(["anykeypoint", *parts[:cut]]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            fields = getattr(found, "__dataclass_fields__", {})
            found = fields[name] if name in fields else getattr(found, name)
        return found
    raise ModuleNotFoundError(dotted)
