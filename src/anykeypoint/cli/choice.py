"""Which model a verb takes: the one that is named, if it can do what the options ask for, else a shipped one that can.

What a kind of model can do stands in `models.registry`; config.json says which kind a folder is. Nothing is loaded.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..models.folders import model_digest, model_type, read_settings
from ..models.loading import find
from ..models.registry import MODEL_TYPES
from ..models.shipped import SHIPPED
from . import console

if TYPE_CHECKING:
    from ..category import Category

# What the user typed for an argument of `predict`, where it has another name.
_FLAGS = {"describe": "--descriptions", "reword": "--descriptions in other words"}
# What is said of a model without an ability, where "takes no --option" would not be understood.
_LACKING = {
    "example": "predicts from words alone; leave --example out, or choose another --model",
    "explain": "is no matcher and cannot explain its answers; leave --explain out, or choose another --model",
    "reword": "reads descriptions as they are or not at all; take detailed or removed, or choose another --model",
    "identify": "cannot name points; give a matcher that reads words or a KptLLM as --model",
    "own_words": "has no words of its own for a point; give --category (in evaluate --protocol identify-names), or a "
    "KptLLM as --model",
}


def needed_for(descriptions: str) -> list[str]:
    """What a model must have for these descriptions: a matcher reads them as they are or not at all."""
    return {"detailed": [], "removed": ["describe"]}.get(descriptions, ["describe", "reword"])


def default_model(needed: Iterable[str]) -> str:
    """The first shipped model that has all that is needed.

    needed: arguments of a model's `predict`, and abilities of `models.registry`.
    """
    needed = list(needed)
    for name in SHIPPED:
        if not _lacking(name, needed):
            return name
    flags = ", ".join(_flag(one) for one in needed)
    raise InputError(f"No shipped model takes {flags} together; leave one of them out, or give --model.")


def check_model(name: str, needed: Iterable[str]) -> None:
    """Raise InputError where the kind of a model lacks something that is needed (see `default_model`)."""
    needed = list(needed)
    for one in _lacking(name, needed) if needed else ():
        lacking = _LACKING.get(one, f"takes no {_flag(one)}; leave it out, or choose another --model")
        raise InputError(f"The model {name!r} {lacking}.")


def own_category(name: str) -> "Category | None":
    """The category of an adapted model, which needs no other to be named; None for any other model."""
    from ..models.matching.adapted.adapted_config import AdaptedConfig
    from ..models.matching.adapted.adapted_model import MODEL_TYPE

    folder = find(name)
    if model_type(folder) != MODEL_TYPE:
        return None
    return AdaptedConfig.from_dict(read_settings(folder, MODEL_TYPE)).category


def digest_of(name: str) -> str:
    """The digest of a model's files, by its name."""
    return model_digest(find(name))


def load_model(name: str, device: str, dtype: str = "float32", **more: Any) -> Any:
    """The model, with a note while it loads; `anykeypoint.load` says what is refused, and what more it takes."""
    from .. import load

    precision = {} if dtype == "float32" else {"dtype": dtype}
    with console.waiting(f"loading {name}"):
        return load(name, device=device, **precision, **more)


def _lacking(name: str, needed: list[str]) -> list[str]:
    """Those of `needed` that a model does not have; none where its folder does not say which kind it is."""
    kind = MODEL_TYPES.get(model_type(find(name)) or "")
    return [] if kind is None else [one for one in needed if one not in (*kind.options, *kind.abilities)]


def _flag(name: str) -> str:
    return _FLAGS.get(name, f"--{name}")
