"""The few-shot methods by name. A new method is a file with its class, and one entry here."""

from ...configs.checks import check_choice
from ...configs.lazy import resolve
from .method import FewShotMethod

_HERE = "anykeypoint.models.fewshot"

# Name of the method -> "module:class"; the module is imported when the method is first needed.
METHODS = {
    "protonet": f"{_HERE}.protonet:ProtoNet",
    "maml": f"{_HERE}.maml:MAML",
    "finetune": f"{_HERE}.finetune:FineTune",
}


def method_class(name: str) -> type[FewShotMethod]:
    """The class of a method by its name; InputError that lists the known names for any other."""
    return resolve(METHODS[check_choice(name, "A few-shot method", METHODS)])
