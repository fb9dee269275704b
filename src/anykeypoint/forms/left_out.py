"""What users are told of labelled objects that are left out."""

from collections.abc import Callable, Iterator, Sequence

from ..errors import InputError
from .dataset import Dataset

NAMED = 5  # number of faults that are told one by one


def left_out_sentences(dataset: Dataset) -> Iterator[str]:
    """What was supplied, how many objects were left out and why, and where the first faults are."""
    yield from dataset.supplied
    yield from dataset.notes
    for reason, count in dataset.skipped.items():
        yield f"left out: {count} ({reason})"
    yield from fault_sentences(dataset.faults)


def fault_sentences(faults: Sequence[str]) -> Iterator[str]:
    """Where the first faults in labels are. faults: as in `Dataset.faults`."""
    for sentence in faults[:NAMED]:
        yield f"  {sentence}"
    if len(faults) > NAMED:
        yield f"  ... and {len(faults) - NAMED} more faults; `data check` lists them"


def check_left(dataset: Dataset, data: str, purpose: str, say: Callable[[str], None]) -> None:
    """Say what is left out; InputError where no object is left.

    data: the labels. purpose: of the objects, such as "to train on". say: is called with each sentence.
    """
    for sentence in left_out_sentences(dataset):
        say(sentence)
    if not dataset.objects:
        raise InputError(f"There is no object {purpose} in {data}; `data check` says what is wrong with the labels.")
