"""What the verbs say of labelled objects that are left out."""

from typing import TYPE_CHECKING

from ..errors import InputError
from . import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..forms.dataset import Dataset

NAMED = 5  # number of faults that are printed one by one


def print_left_out(dataset: "Dataset") -> None:
    """Say on stderr what was supplied, how many objects were left out and why, and where the first faults are."""
    for sentence in (*dataset.supplied, *dataset.notes):
        console.note(sentence)
    for reason, count in dataset.skipped.items():
        console.note(f"left out: {count} ({reason})")
    print_faults(dataset.faults)


def check_left(dataset: "Dataset", data: str, purpose: str) -> None:
    """InputError where no object is left. data: the labels. purpose: of the objects, such as "to train on"."""
    if not dataset.objects:
        raise InputError(f"There is no object {purpose} in {data}; `data check` says what is wrong with the labels.")


def print_faults(faults: "Sequence[str]") -> None:
    """Say on stderr where the first faults in labels are. faults: as in `Dataset.faults`."""
    for sentence in faults[:NAMED]:
        console.note(f"  {sentence}")
    if len(faults) > NAMED:
        console.note(f"  ... and {len(faults) - NAMED} more faults; `data check` lists them")
