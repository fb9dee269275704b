"""Places that the verbs of `data` write to."""

from pathlib import Path

from ...errors import InputError


def check_output(out: Path, spec: str, images: Path) -> None:
    """Raise InputError where writing `out` would change the data: overwrite labels or a picture, or add to labels.

    spec: the specification of the labels; a file that is written into a folder of labels would be read as one of them.
    images: the folder of the pictures, into which new files may be written.
    """
    from ...forms.registry import label_files, parse
    from ...images import SUFFIXES

    target, labels = out.resolve(), parse(spec)[2]
    if target in {path.resolve() for path in (labels, *label_files(spec))}:
        raise InputError(f"{out} would overwrite the labels {labels}, which are never changed; choose another name.")
    if labels.is_dir() and target.is_relative_to(labels.resolve()) and label_files(spec) == [labels]:
        raise InputError(f"{out} is inside the data ({labels}), which are never changed; write somewhere else.")
    if target.suffix.lower() in SUFFIXES and target.is_relative_to(images.resolve()) and target.exists():
        raise InputError(f"{out} would overwrite a picture of {images}; choose another name.")


def check_outside(out: Path, source: Path) -> None:
    """Raise InputError where the folder `out` is or lies in a folder of data that is read as a whole."""
    if out.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{out} is inside the data ({source}), which are never changed; write somewhere else.")
