"""What the verbs say of labelled objects that are left out."""

from typing import TYPE_CHECKING

from . import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..forms.dataset import Dataset


def print_left_out(dataset: "Dataset") -> None:
    """Say on stderr what was supplied, how many objects were left out and why, and where the first faults are."""
    from ..forms.left_out import left_out_sentences

    for sentence in left_out_sentences(dataset):
        console.note(sentence)


def print_faults(faults: "Sequence[str]") -> None:
    """Say on stderr where the first faults in labels are. faults: as in `Dataset.faults`."""
    from ..forms.left_out import fault_sentences

    for sentence in fault_sentences(faults):
        console.note(sentence)
