"""The matching heads by name. A new head is a file with its class, and one entry here (or one call of `register`)."""

from ....configs.checks import near_names
from ....configs.lazy import resolve
from ....errors import InputError
from .base import MatchingHead

_HERE = "anykeypoint.models.matching.heads"

# Name of the matcher -> "module:class" of its head; the module is imported when the head is first needed.
HEADS = {
    "pomnet": f"{_HERE}.pomnet:POMNet",
    "capeformer": f"{_HERE}.graph:CapeFormer",
    "graphcape": f"{_HERE}.graph:GraphCape",
    "capex": f"{_HERE}.graph:CapeX",
    "flf": f"{_HERE}.flf:FeatureFusion",
    "dlf": f"{_HERE}.dlf:DecisionFusion",
    "evidence": f"{_HERE}.evidence:EvidenceHead",
}


def register(name: str, head: str) -> None:
    """Make a head known under a name.

    name: the `name` of a `MatcherConfig`; an entry of that name is replaced.
    head: "module:class", where the class is a `MatchingHead`.
    """
    HEADS[name] = head


def head_class(name: str) -> type[MatchingHead]:
    """The class of a head by its name; InputError that lists the known names for any other."""
    if name not in HEADS:
        raise InputError(f"There is no matcher {name!r}{near_names(name, HEADS)}; known are {', '.join(HEADS)}.")
    return resolve(HEADS[name])
