"""What a label form is: its reader, a phrase about it, and what else it knows; each form's file has a `LabelForm`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .dataset import Dataset
from .document import Labels

Reader = Callable[[Path, Path, str], Labels]  # (label file, folder of the pictures, word) -> labels
Interpreter = Callable[[Mapping[str, list], Path, Path, str, bool, bool], Dataset]
Content = str | Mapping[str, str | Path]
Writer = Callable[..., Content]  # (objects, folder that pictures are named from[, prefix]) -> what to write
ReadOne = Callable[[str, Path | None], Dataset]  # (specification, folder of the pictures) -> objects
NamePictures = Callable[[str, Path | None], list[Path]]  # (specification, folder of the pictures) -> their paths

CHOICE = "categories or groups, parted by commas"  # what most forms with categories take as their word
NOUN = "what the object is called"  # what forms without categories take


class Written(NamedTuple):
    """Labels in another form.

    content: the text of the file. For a form that is a folder: path in it -> text of a file, or the path of a picture
        that is copied to that place.
    lost: a phrase for each thing that the form has no room for.
    """

    content: Content
    lost: list[str]


@dataclass(frozen=True)
class LabelForm:
    """A file format of labels.

    read: reads a label file into a COCO document.
    what: a phrase that says what the form is, for lists.
    word: what the word after "/" in a specification means, "" where none is taken.
    write: gives the `Content` that objects have in this form; None where it can only be read.
    suffix: of the file that `write` gives, as in ".json"; "" where that is a folder, or nothing is written.
    holds: which of `losses.DETAILS` a written file keeps; `losses.lost` says the others.
    also_lost: phrases for what is lost beside these, where a form has limits of its own.
    beside: gives what is written beside the file, suffix that takes the place of the file's own -> text.
    advice: a sentence for whoever has written this form; "" where there is nothing to say.
    prefixed: the writer takes as a third argument what stands before the file names of pictures.
    pictures: label file -> folder of its pictures, None where the file's place does not tell. Without this function
        the folder must be given.
    files: (folder, word) -> the label files in it; all files by default.
    place: the place of the label file, for specifications without one.
    interpret: (document, label file, folder of the pictures, word, allow_missing, official) -> objects, for forms that
        are not read by COCO's rules.
    join: reads several data sets as one; only of the form `joint`, which has no document of its own.
    digest: (path, word, fingerprint of another specification) -> the SHA-256 that stands for the labels, or None for
        that of `registry.fingerprint`.
    """

    read: Reader
    what: str
    word: str = ""
    write: Writer | None = None
    suffix: str = ""
    holds: frozenset[str] = frozenset()
    also_lost: Callable[[Dataset], list[str]] | None = None
    beside: Callable[[Dataset], dict[str, str]] | None = None
    advice: str = ""
    prefixed: bool = False
    pictures: Callable[[Path], Path | None] | None = None
    files: Callable[[Path, str], list[Path]] | None = None
    place: Callable[[], Path] | None = None
    interpret: Interpreter | None = None
    join: Callable[[Path, ReadOne, NamePictures], Dataset] | None = None
    digest: Callable[[Path, str, Callable[[str], str]], str | None] | None = None
