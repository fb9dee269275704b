"""The models that come with the package, the names that they had in earlier versions, and their held-out checkpoints.

A held-out checkpoint is a model of the same recipe whose weights were trained on the training part of the data alone.
It lies in the repository, in `pretrained/held_out/NAME/`, and not in the package that is installed; its name is
NAME@held-out.
"""

import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ..configs.checks import near_names
from ..errors import InputError, RenamedWarning


@dataclass(frozen=True)
class ShippedModel:
    """One folder of `pretrained/`.

    what: what it is and what it does, in a line.
    """

    what: str


# In the order in which a model is chosen where none is named: the first that can do what is wanted.
SHIPPED = {
    "accurate": ShippedModel("matcher: points from words, an example or both; names points"),
    "fast": ShippedModel("the same with one image encoder: a third of the time by words, and wrong more often"),
    "capellm-small": ShippedModel("small CapeLLM: points from words, with a language model's options"),
    "kptllm-small": ShippedModel("small KptLLM++: points from words, an example or both; names points"),
}
DEFAULT = "accurate"

# Former name -> the name now, and what to say at its first use in a process.
FORMER_NAMES = {
    "default": (DEFAULT, f"'default' means {DEFAULT!r} now; the CapeLLM that it meant before is 'capellm-small'."),
    "kpt": ("kptllm-small", "'kpt' is called 'kptllm-small' now; the old name goes away in the next version."),
}
_warned: set[str] = set()


def current_name(name: str) -> str:
    """The name of a shipped model today; other names are given back as they are.

    The first use of a former name in a process is said in a RenamedWarning.
    """
    if name not in FORMER_NAMES:
        return name
    current, sentence = FORMER_NAMES[name]
    if name not in _warned:
        _warned.add(name)
        warnings.warn(sentence, RenamedWarning, stacklevel=6)  # the caller of `anykeypoint.load`
    return current


HELD_OUT = "@held-out"  # what stands behind a model's name


def shipped_folder() -> Path:
    """The folder that has a folder for each shipped model."""
    return Path(str(resources.files("anykeypoint") / "pretrained"))


def held_out_folder() -> Path:
    """The folder that has a folder for each held-out checkpoint; outside of a checkout there is none."""
    return shipped_folder().parents[2] / "pretrained" / "held_out"


def held_out_names() -> list[str]:
    """The names of the held-out checkpoints that are there; none outside of a checkout."""
    return [f"{name}{HELD_OUT}" for name in SHIPPED if (held_out_folder() / name).is_dir()]


def find_shipped(name: str) -> Path | None:
    """The folder of a shipped model or of a held-out checkpoint, by its name; None for any other name.

    Raises InputError where the held-out checkpoint of a shipped model is not there.
    """
    base = current_name(name.removesuffix(HELD_OUT))
    if base not in SHIPPED:
        return None
    shipped = shipped_folder() / base
    if not name.endswith(HELD_OUT):
        return shipped if (shipped / "config.json").is_file() else None
    folder = held_out_folder() / base
    if (folder / "config.json").is_file():
        return folder
    if held_out_folder().is_dir():
        known = ", ".join(held_out_names())
        raise InputError(
            f"There is no held-out checkpoint {name!r}{near_names(name, held_out_names())}; known: {known}."
        )
    raise InputError(
        f"The held-out checkpoint {name!r} is not in an installed package but in the repository; install from a "
        f"checkout (pip install -e .), or give its folder there, pretrained/held_out/{base}."
    )
