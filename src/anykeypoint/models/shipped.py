"""The models that come with the package, and the names that they had in earlier versions."""

import warnings
from dataclasses import dataclass

from ..errors import RenamedWarning


@dataclass(frozen=True)
class ShippedModel:
    """One folder of `pretrained/`.

    what: what it is and what it does, in a line.
    """

    what: str


# In the order in which a model is chosen where none is named: the first that can do what is wanted.
SHIPPED = {
    "fast": ShippedModel("matcher: points from words, an example or both; the best of the three at each"),
    "capellm-small": ShippedModel("small CapeLLM: points from words, with a language model's options"),
    "kptllm-small": ShippedModel("small KptLLM++: points from words, an example or both; names points"),
}
DEFAULT = "fast"

# Former name -> the name now, and what to say at its first use in a process.
FORMER_NAMES = {
    "default": ("fast", "'default' means 'fast' now; the CapeLLM that it meant before is 'capellm-small'."),
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
        warnings.warn(sentence, RenamedWarning, stacklevel=5)  # the caller of `anykeypoint.load`
    return current
