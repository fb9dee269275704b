"""Places that the verbs of `data` write to, and what they say of objects that are left out."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError

if TYPE_CHECKING:
    from ...forms.dataset import Dataset


def check_outside(out: Path, *sources: Path) -> None:
    """Raise InputError where `out` lies in one of the source folders or is a source file: data are never changed."""
    target = out.resolve()
    for source in sources:
        folder = source.resolve()
        folder = folder if folder.is_dir() else folder.parent
        if target == source.resolve() or (source.is_dir() and target.is_relative_to(folder)):
            raise InputError(f"{out} is inside the data ({source}), which are never changed; write somewhere else.")


def make_folder(out: Path) -> None:
    """Make a folder and those above it; InputError where it cannot be made."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {out}: {error.strerror or error}.") from error


def print_left_out(dataset: "Dataset") -> None:
    """Print how many objects the reader left out, and why."""
    for reason, count in dataset.skipped.items():
        print(f"left out: {count} ({reason})")
