"""A project of labelling: a folder of plain files that holds all that was done, saved as it is done.

    project.json            the category
    pictures.json           the list of pictures
    labels/000001.json      what a person said of picture 1: points, box, whether it is done, whether it is an example
    answers/000001.json     what the model said of it
    labels.json             the labels in COCO's form, as `data check`, `train` and `adapt` read them
    images/                 pictures that were dropped onto the page; pictures of other folders stay where they are

Each file is written whole or not at all, so that a program that is killed loses nothing. labels.json follows from the
others and is made anew with every change.
"""

import hashlib
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..category import Category
from ..errors import InputError
from ..images import list_pictures, picture_size, read_picture
from ..io import NotWritten, as_path, write_bytes
from ..pose import unique_names
from .change_log import ChangeLog
from .merging import merged, same_content
from .moved import FoundPicture, found_again, gone, mark_of, note_of_gone
from .placing import free_place, safe_name
from .project_dataset import CocoLabels
from .project_files import FolderLock, line_of, read_json, write_json, write_lines
from .project_reading import begin, check_listed, pictures_of, records_of, renaming_of
from .records import Label, ProjectPicture, Renaming, StoredAnswer, check_inside, renamed

IMAGES = "images"
Record = TypeVar("Record", Label, StoredAnswer)


class Project:
    """A project folder that is open. All methods may be called from several threads.

    folder: the project.
    notes: a sentence for each thing that was found damaged when the folder was opened, and where it is kept.
    changes: the pictures whose label or answer changed, and new ones.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open the project of a folder, or begin one in a folder that is new or empty.

        Raises InputError where the folder holds something else, is open in another program, cannot be written, or was
        written by a newer version; nothing in it is changed then.
        """
        self.folder = Path(os.path.abspath(as_path(folder, "A project")))
        self.notes: list[str] = []
        self._lock = threading.RLock()
        new = not (self.folder / "project.json").exists()
        if new:
            begin(self.folder)
        self._held = FolderLock(self.folder)
        try:
            state = {} if new else read_json(self.folder / "project.json")
            listed = self.folder / "pictures.json"
            check_listed(listed)
            self._pictures = pictures_of(read_json(listed).get("pictures") if listed.exists() else [], listed)
            self._by_file = {picture.file: picture for picture in self._pictures.values() if not picture.of}
            self._lines = [line_of(picture.to_dict()) for picture in self._pictures.values()]
            given = state.get("category")
            self._category = None if given is None else Category.from_dict(given, str(self.folder / "project.json"))
            labels = records_of(self.folder / "labels", Label.from_dict, "and counts as not labelled", self.notes)
            answers = records_of(self.folder / "answers", StoredAnswer.from_dict, "and is asked anew", self.notes)
            self._highest = max([*self._pictures, *labels, *answers], default=0)  # id, also of pictures not in the list
            self._labels = {number: label for number, label in labels.items() if number in self._pictures}
            self._answers = {number: answer for number, answer in answers.items() if number in self._pictures}
            self._examples = {number: label for number, label in self._labels.items() if label.example}
            self._done = sum(label.done for label in self._labels.values())
            self._asked_revision = 0
            self.changes = ChangeLog(self._pictures)
            self._renaming = renaming_of(state.get("renaming"), self.folder / "project.json")
            self._id = str(state.get("id") or secrets.token_hex(8))
            if "id" not in state:
                self._write_state()
            self._coco = CocoLabels(self.folder, self._category)
            self._rename()
            self._write_coco(self._labels)
        except BaseException:
            self._held.close()
            raise

    @property
    def identity(self) -> str:
        """Tells the project from all others: one that is begun anew in its folder, and a copy of it elsewhere."""
        return hashlib.sha256(os.fsencode(f"{self._id} {self.folder}")).hexdigest()[:16]

    def close(self) -> None:
        """Let other programs open the folder."""
        self._held.close()

    # --- pictures ----------------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> list[ProjectPicture]:
        """All pictures in the order in which they were added."""
        with self._lock:
            return list(self._pictures.values())

    def picture(self, number: int) -> ProjectPicture:
        """The picture of an id; InputError if there is none."""
        with self._lock:
            if number not in self._pictures:
                raise InputError(f"The project has no picture {number}; it has {len(self._pictures)}.")
            return self._pictures[number]

    def path(self, picture: ProjectPicture) -> Path:
        """Where the file of a picture is."""
        return self.folder / picture.file

    def check_file(self, picture: ProjectPicture) -> Path:
        """The file of a picture; InputError where another picture lies there now, whose points would be elsewhere."""
        path = self.path(picture)
        size = picture_size(path)
        if size is not None and size != picture.size:
            raise InputError(
                f"{picture.name} has {size[0]} x {size[1]} pixels now, but had {picture.size[0]} x {picture.size[1]} "
                "when it was added; put back the file that it was, or add this one under another name."
            )
        return path

    def store(self, name: str, data: bytes) -> tuple[ProjectPicture, bool]:
        """Add a picture that was given as the bytes of its file, which goes to images/ under its name.

        name: file name, perhaps with folders before it.
        Returns the picture and whether it is new: the same bytes under the same name are the picture that is there.
        Another picture of the same name gets a number behind it. Raises InputError for what is no picture.
        """
        inside = safe_name(name)
        try:
            read_picture(data)  # a file that breaks off in the middle is told now, not when it is opened
        except InputError as error:
            raise InputError(str(error).replace("The picture given as bytes", Path(inside).name)) from error
        size = picture_size(data)
        assert size is not None
        digest, mark = hashlib.sha256(data).digest(), mark_of(data)
        with self._lock:
            place, there = free_place(self.folder / IMAGES, inside, digest, lambda at: self._is_another(at, size, mark))
            if not there:
                try:
                    place.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise NotWritten(f"Cannot write {place}: {error.strerror}.") from error
                write_bytes(place, data)
            file, inside = place.relative_to(self.folder).as_posix(), place.relative_to(self.folder / IMAGES).as_posix()
            return self._added([FoundPicture(file, inside, size, mark)])[0]

    def _is_another(self, place: Path, size: tuple[int, int], mark: str) -> bool:
        """Whether a place without a file is that of another picture, and not of this one, which is put back."""
        known = self._by_file.get(place.relative_to(self.folder).as_posix())
        return known is not None and (known.size != size or known.mark not in ("", mark))

    def add_folder(self, folder: str | Path, recursive: bool = True) -> list[ProjectPicture]:
        """Add the pictures of a folder, which stay where they are; gives the new ones.

        Pictures of the project whose files are gone, as their folder was renamed, are found again here, with their
        labels. Raises InputError where the folder cannot be read. What is no readable picture is a note.
        """
        root, found = Path(os.path.abspath(as_path(folder, "A folder of pictures"))), []
        known = {str(self.path(picture)) for picture in self.pictures}
        for path in list_pictures(root, recursive).pictures:
            if str(path) in known:
                continue
            size = picture_size(path)
            if size is None:
                self.notes.append(f"{path} is no readable picture and was left out.")
                continue
            inside = path.is_relative_to(self.folder)
            file = path.relative_to(self.folder).as_posix() if inside else str(path)
            found.append(FoundPicture(file, path.relative_to(root).as_posix(), size, mark_of(path)))
        with self._lock:
            self._move(found_again(gone(self.folder, self._pictures.values()), found), root)
            return [picture for picture, new in self._added(found) if new]

    def tell_gone(self) -> None:
        """Note how many pictures are not where they were."""
        with self._lock:
            self.notes += note_of_gone(self.folder, self._pictures.values())

    def _move(self, places: Mapping[int, str], root: Path) -> None:
        """Note and save where pictures are now. places: id -> file; root: the folder that they were found in."""
        if not places:
            return
        for number, picture in self._pictures.items():
            if picture.image_id in places:
                self._pictures[number] = replace(picture, file=places[picture.image_id])
                self.changes.mark(number)
        self._by_file = {picture.file: picture for picture in self._pictures.values() if not picture.of}
        self._lines = [line_of(picture.to_dict()) for picture in self._pictures.values()]
        write_lines(self.folder / "pictures.json", "pictures", self._lines)
        self._coco = CocoLabels(self.folder, self._category)  # which names pictures from the folder of all
        self._write_coco(self._labels)
        self.notes.append(f"{len(places)} pictures of the project were found again in {root}, with their labels.")

    def _added(self, found: Iterable[FoundPicture]) -> list[tuple[ProjectPicture, bool]]:
        """The pictures of files with their names and sizes, and whether each is new; the list is saved once."""
        added: list[tuple[ProjectPicture, bool]] = []
        new: dict[str, ProjectPicture] = {}
        first = self._highest + 1
        for file, name, size, mark in found:
            known = self._by_file.get(file) or new.get(file)
            if known is None:
                new[file] = ProjectPicture(first + len(new), file, name, size, mark=mark)
            added.append((known or new[file], known is None))
        if new:
            self._append(list(new.values()))
            self._by_file |= new
        return added

    def add_object(self, number: int) -> ProjectPicture:
        """Begin a further object of a picture: an entry of its own, with a label and an answer of its own."""
        with self._lock:
            one = self.picture(number)
            count = sum(other.image_id == one.image_id for other in self._pictures.values())
            further = replace(one, id=self._highest + 1, of=one.image_id, object=count + 1)
            self._append([further])
            return further

    def _append(self, new: list[ProjectPicture]) -> None:
        lines = [line_of(picture.to_dict()) for picture in new]
        write_lines(self.folder / "pictures.json", "pictures", [*self._lines, *lines])
        self._lines += lines
        for picture in new:
            self._highest = picture.id
            self._pictures[picture.id] = picture
            self.changes.mark(picture.id)

    # --- the category ------------------------------------------------------------------------------------------------

    @property
    def category(self) -> Category | None:
        """What is looked for; None until it was said."""
        with self._lock:
            return self._category

    def set_category(self, category: Category, was: Mapping[str, str] | None = None) -> None:
        """Look for other points from now on. Labels of points that the category lacks are kept in their files.

        was: new name of a point -> the name that it had before, for points that were given another name. What was said
            of an earlier point of the new name goes, as that name means this point now.
        Raises InputError, and changes nothing, where labels of the category cannot be written.
        """
        moved = {old: new for new, old in (was or {}).items() if old != new}
        with self._lock:
            self._finish_renaming()
            coco = CocoLabels(self.folder, category)
            coco.text(self._pictures, self._labels, self._labels)  # whatever is wrong with it is known now
            before, self._category = self._category, category
            touched = [n for n, one in self._labels.items() if list(renamed(one.points, moved)) != list(one.points)]
            self._renaming = Renaming(moved if touched else {}, {n: self._labels[n].revision for n in touched})
            try:
                self._write_state()
            except BaseException:
                self._category, self._renaming = before, Renaming()
                raise
            self._coco = coco
            self._asked_revision += 1
            self._write_coco(self._rename())

    def _finish_renaming(self) -> None:
        """Do what is left of an earlier change of names."""
        if self._renaming.moved:
            self._write_coco(self._rename())

    def _rename(self) -> list[int]:
        """Give points their new names in all labels that have the old ones still, and say that it is done.

        project.json says what is under way, so that a program that is killed, or a disk that is full, leaves no label
        with names that the category lacks: what is left is done when the folder is opened, or something is saved.
        Returns the ids of all these labels.
        """
        moved, revisions = self._renaming.moved, self._renaming.revisions
        for number, revision in revisions.items():
            label = self._labels.get(number)
            if label is not None and label.revision == revision:  # otherwise it has been written already
                self._save_label(number, replace(label, points=renamed(label.points, moved), revision=revision + 1))
        if moved:
            self._renaming = Renaming()
            self._write_state()
        return list(revisions)

    @property
    def point_names(self) -> list[str]:
        """The unique names of the category's points, by which labels and answers go."""
        category = self.category
        return [] if category is None else unique_names(category.names)

    # --- labels and answers ------------------------------------------------------------------------------------------

    def label(self, number: int) -> Label:
        """What a person said of a picture; an empty label where nobody has."""
        with self._lock:
            self.picture(number)
            return self._labels.get(number, Label())

    def answer(self, number: int) -> StoredAnswer | None:
        """What the model said of a picture."""
        with self._lock:
            return self._answers.get(number)

    def save_label(self, number: int, label: Label) -> Label:
        """Save what a person said of a picture; gives it with its new revision.

        label: its revision is that of the label which it replaces.
        Raises InputError where a newer one was saved meanwhile, for an example that is not done or has no point, and
        for a point or a box outside the picture.
        """
        with self._lock:
            self._finish_renaming()
            before, picture = self.label(number), self.picture(number)
            check_inside(label, picture)
            if label.revision != before.revision:
                raise InputError(f"{picture.name} was changed in another window; open it again to see what it is now.")
            if label.example and not (label.done and label.marked):
                raise InputError("An example must have a marked point and be finished; mark its points first.")
            saved = replace(label, revision=before.revision + 1)
            self._save_label(number, saved)
            self._write_coco([number])
            return saved

    def merge_label(self, number: int, label: Label, base: Label) -> tuple[Label, list[str]]:
        """Save what a person changed in a label, whatever another window changed in it meanwhile; see `merging`.

        label: what the person made of `base`, both of any revision.
        Returns the label that is saved now, and sentences about what both windows changed. Raises InputError as
        `save_label` does.
        """
        with self._lock:
            self._finish_renaming()
            current = self.label(number)
            together, said = merged(base, label, current, self.picture(number).name)
            if self._coco.behind and same_content(together, current):
                self._write_coco([])
            return (current if same_content(together, current) else self.save_label(number, together)), said

    def save_answer(self, number: int, answer: StoredAnswer) -> None:
        """Save what the model said of a picture."""
        with self._lock:
            self.picture(number)
            self._save("answers", self._answers, number, answer)

    def examples(self) -> dict[int, Label]:
        """The labels of the pictures that are examples, by id."""
        with self._lock:
            return dict(self._examples)

    @property
    def asked_revision(self) -> int:
        """Another number whenever what all answers depend on has changed: the category, or the examples."""
        with self._lock:
            return self._asked_revision

    def counts(self) -> tuple[int, int, int]:
        """The numbers of pictures, of those that are done, and of examples."""
        with self._lock:
            return len(self._pictures), self._done, len(self._examples)

    def named_points(self) -> set[str]:
        """The names of all points that labels have, also of those that the category lacks."""
        with self._lock:
            return {name for label in self._labels.values() for name in label.points}

    def labels(self) -> dict[int, Label]:
        """All labels by the id of their picture."""
        with self._lock:
            return dict(self._labels)

    # --- files -------------------------------------------------------------------------------------------------------

    def _save(self, what: str, records: dict[int, Record], number: int, record: Record) -> None:
        write_json(self.folder / what / f"{number:06d}.json", record.to_dict())
        records[number] = record
        self.changes.mark(number)

    def _save_label(self, number: int, label: Label) -> None:
        before = self._labels.get(number, Label())
        self._save("labels", self._labels, number, label)
        self._done += label.done - before.done
        if label.example or before.example:
            self._asked_revision += 1
            self._examples.pop(number, None)
        if label.example:
            self._examples[number] = label

    def _write_state(self) -> None:
        category = None if self._category is None else self._category.to_dict()
        write_json(self.folder / "project.json", {"id": self._id, "category": category, **self._renaming.to_dict()})

    def _write_coco(self, changed: Iterable[int]) -> None:
        """labels.json, from what is in memory. changed: the pictures with another label than when it was written."""
        self._coco.write(self._pictures, self._labels, changed)
