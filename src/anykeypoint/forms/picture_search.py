"""The files of pictures whose labels were made in another place: found by the end of their path, and told.

Labels name a picture by the path that it had for their tool: `C:\\data\\a.jpg`, or `labeled-data/v/img01.png` where the
folder given is `v` itself. A file of the same end is taken for it. Where the bare name alone agrees, and the folder
that the labels name is not there, that is noted, as many folders have an `img01.png`; it is not taken where another
file is as likely, or is the named one.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

from .pictures import Pictures
from .reading import find_picture, is_absolute, leaves_folder, picture_key, spelled


class PictureSearch:
    """Finds the pictures of one label file, and counts what was found by its bare name alone.

    images: the folder of the pictures.
    pictures: what is known of that folder.
    """

    def __init__(self, images: Path) -> None:
        self.images, self.pictures = images, Pictures(images)
        self._above = FoldersAbove(images)
        self._bare: dict[str, str] = {}  # path in the labels -> the file that was taken for it
        self._paths: dict[str, set[str]] = {}  # file -> all paths that it was taken for

    def find(self, names: Sequence[str], named: str, free: bool = False) -> str:
        """What `find_picture` finds, unless another file may be meant.

        names: file names relative to the folder that the picture may have, the likeliest first.
        named: the path that the labels give it.
        free: any of the names may be meant, wherever another file lies; the bare name is noted all the same.
        """
        if "\\" in named and os.sep == "/" and not leaves_folder(named) and os.path.isfile(self.images / named):
            return named  # archives made on Windows are unpacked to such names
        found = find_picture(self.images, names)
        folder, own = _folder_of(named), _folder_of(found) or self._folder
        self._paths.setdefault(found, set()).add(picture_key(named))
        if folder in ("", "..", own) or not os.path.isfile(self.images / found):
            return found
        if not (free or is_absolute(named)) and (self._above.file(named) or self._several(found)):
            return names[0]
        self._bare.setdefault(named, found)
        return found

    def notes(self) -> list[str]:
        """A sentence with the number of pictures that were found by their bare names alone, if there are any.

        A file that was taken for several paths is `Labels.leave_out_confused`'s.
        """
        told = [(named, found) for named, found in self._bare.items() if len(self._paths[found]) == 1]
        if not told:
            return []
        named, found = told[0]
        return [
            f"{len(told)} pictures were found by their bare names alone, as {self.images} has no folder that the "
            f"labels name (the first is {found} for {named})."
        ]

    @cached_property
    def _folder(self) -> str:
        return picture_key(self.images.resolve().name)

    def _several(self, found: str) -> bool:
        return len(self.pictures.below.get(PurePosixPath(found).name.lower(), ())) > 1


def _folder_of(name: str) -> str:
    """The name of the folder that a path has a picture in, in one spelling; "" where it has none."""
    return PurePosixPath(picture_key(unquote(name))).parent.name


class FoldersAbove:
    """The folders above that of the pictures, in which the labels may name files of other data.

    images: the folder of the pictures.
    """

    def __init__(self, images: Path) -> None:
        self._images = images
        self._holds: dict[str, list[Path]] = {}  # what a path begins with -> the folders above that have such a thing

    def file(self, name: str) -> Path | None:
        """The file that a path leads to from a folder above, where it is none of the pictures."""
        first = PurePosixPath(picture_key(name)).parts[:1]
        if is_absolute(name) or not first:
            return None
        for above in self._holding(first[0]):
            place = above / spelled(above, name)
            if os.path.isfile(place) and not place.resolve().is_relative_to(self._root):
                return place
        return None

    @cached_property
    def _root(self) -> Path:
        return self._images.resolve()

    def _holding(self, first: str) -> list[Path]:
        if first not in self._holds:
            names = {normalize(form, one) for one in (first, unquote(first)) for form in ("NFC", "NFD")}
            above = self._root.parents
            self._holds[first] = [folder for folder in above if any(os.path.lexists(folder / one) for one in names)]
        return self._holds[first]
