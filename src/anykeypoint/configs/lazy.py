"""Things named by text, so that a registry need not import what it lists."""

from importlib import import_module
from typing import Any


def resolve(target: str) -> Any:
    """The function, class or value that `target` names.

    target: "package.module:name", as in "anykeypoint.models.matching.model:load". The module is imported at the first
        call. A target is written by a programmer, never by a user, so a wrong one raises ImportError or AttributeError.
    """
    module, name = target.split(":")
    return getattr(import_module(module), name)
