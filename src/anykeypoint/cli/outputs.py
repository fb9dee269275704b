"""Where `predict` writes poses: pictures as they come, tables at the end and now and then."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..drawing.explanations import draw_explanations
from ..drawing.overlay import draw_poses, save_picture
from ..drawing.panels import draw_densities
from ..errors import InputError
from ..forms.dlc_predictions import in_frame_order, write_predictions
from ..forms.label_ids import LabelIds
from ..forms.poses import write_coco, write_csv, write_json
from ..inference.files import Result
from ..inference.names import PictureNames
from ..pose import Pose, unique_names

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
DLC = ".dlc.csv"
TABLES: dict[str, Callable[..., None]] = {".json": write_coco, ".csv": write_csv, DLC: write_predictions}
SAVE_EVERY = 30.0  # seconds between writings of the tables, so that even a killed run keeps what it had


@dataclass
class Outputs:
    """Where poses are written: pictures as they come, tables at the end and every SAVE_EVERY seconds.

    points: what the tables call the points: as labels do that are given or that a model was adapted with, otherwise by
        their names.
    targets: what the user named, as it was typed.
    names: what each image is called in the tables.
    model: the name of the model, which COCO files state.
    ids: of labels, which the tables take over with the names of pictures and points; None where none are given.
    frames: the images in the order of a video; empty unless a table has a row for each.
    pictures: for each image the files to draw its poses into.
    densities: for each image the JSON file that gets all that its poses hold.
    panels: for each image the picture that gets a panel for each keypoint's density.
    explained: for each image the picture that gets a row of stages for each keypoint.
    tables: files that get the poses of all images.
    poses: those so far, for the tables.
    saved: time of the last writing of the tables, by the monotonic clock.
    finished: number of images that were predicted.
    count: number of their poses.
    """

    points: Sequence[str]
    targets: list[str] = field(default_factory=list)
    names: PictureNames | None = None
    model: str = ""
    ids: LabelIds | None = None
    frames: list[Path] = field(default_factory=list)
    pictures: dict[Path, list[Path]] = field(default_factory=dict)
    densities: dict[Path, Path] = field(default_factory=dict)
    panels: dict[Path, Path] = field(default_factory=dict)
    explained: dict[Path, Path] = field(default_factory=dict)
    tables: list[Path] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)
    saved: float = field(default_factory=time.monotonic)
    finished: int = 0
    count: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is to be written."""
        return not self.targets

    def summary(self, images: int) -> str:
        """The sentence that says what was written where. images: number of those that did not fail."""
        poses = f"{self.count} pose{'' if self.count == 1 else 's'}"
        said = f"Written to {', '.join(self.targets)}: {poses} of {images} image{'' if images == 1 else 's'}."
        if self.frames:
            said += f" Row 0 of DeepLabCut's table is {self.frames[0].name}, its last {self.frames[-1].name}."
            if len(self.poses) > len({pose.image for pose in self.poses}):
                said += " Nothing is tracked: object1 of two rows may be two animals."
        if self.ids is not None:
            return f"{said} Ids and names are those of the labels."
        if self.names is None or all(_ending(table) == DLC for table in self.tables):
            return said
        return f"{said} Names of pictures start at {self.names.start} (--images {self.names.start})."

    def take(self, result: Result) -> list[str]:
        """Write what can be written of a result now; gives the sentences of what could not be written."""
        if self.names is not None:  # files outlive the folder that the user stood in
            name = self.names.by_path[result.path]
            result = replace(result, poses=tuple(replace(pose, image=name) for pose in result.poses))
        self.finished += 1
        self.count += len(result.poses)
        if self.tables:
            self.poses += [self._row(pose, result.path) for pose in result.poses]
        errors = []
        for write in self._writers(result):
            try:
                write()
            except InputError as error:
                errors.append(str(error))
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save()
        return errors

    def _stated(self, ending: str) -> dict[str, Any]:
        """What a table states besides the poses."""
        if ending == DLC:
            pictures = [self._picture(path) for path in self.frames]
            return {"points": unique_names(self.points), "pictures": pictures, "scorer": self.model}
        if ending == ".csv":
            return {}
        ids = {} if self.ids is None else {"image_ids": self.ids.image_ids, "category_id": self.ids.category_id}
        return {"model": self.model, **ids}

    def _picture(self, path: Path) -> str:
        """What the tables call an image."""
        if self.ids is not None:
            return self.ids.pictures[path]
        return str(path) if self.names is None else self.names.by_path[path]

    def _row(self, pose: Pose, path: Path) -> Pose:
        """A pose as the tables have it, which have no room for densities."""
        row = replace(pose, density=None, names=self.points)
        return row if self.ids is None else replace(row, image=self._picture(path), category=self.ids.category)

    def _writers(self, result: Result) -> Iterator[Callable[[], None]]:
        """A function for each file that a result is written to; each may raise InputError."""
        if targets := self.pictures.get(result.path):

            def draw() -> None:
                drawn = draw_poses(result.path, result.poses)
                for target in targets:
                    save_picture(drawn, target)

            yield draw
        if (path := self.densities.get(result.path)) is not None:
            yield lambda: write_json(result.poses, path)
        if (sheet := self.panels.get(result.path)) is not None and any(pose.density for pose in result.poses):
            yield lambda: save_picture(draw_densities(result.path, result.poses), sheet)
        if (stages := self.explained.get(result.path)) is not None and any(p.placed.any() for p in result.poses):
            yield lambda: save_picture(draw_explanations(result.path, result.explanations), stages)

    def save(self) -> list[str]:
        """Write the tables, unless no image succeeded; gives the sentences of those that could not be written."""
        errors = []
        for path in self.tables if self.finished else ():
            try:
                ending = _ending(path)
                TABLES[ending](self.poses, path, **self._stated(ending))
            except InputError as error:
                errors.append(str(error))
        self.saved = time.monotonic()
        return errors


def plan_outputs(
    outputs: Sequence[str],
    paths: Sequence[Path],
    inputs: Sequence[Path],
    points: list[str],
    density: bool,
    explain: bool = False,
    names: PictureNames | None = None,
    ids: LabelIds | None = None,
) -> Outputs:
    """Decide every file name before anything is computed, and make the folders.

    outputs: what the user named: files, and folders that get a file of every kind.
    paths: the images.
    inputs: files that must not be overwritten.
    points: what the tables call the points where the labels of `ids` do not say it.
    density: the poses have densities, which are written too.
    explain: the results have explanations, which are drawn too.
    names: what the images are called in the tables; None keeps each pose's own name.
    ids: of labels, for the tables.

    Raises InputError for an output of no known kind, in a folder that does not exist, that would overwrite one of
    `inputs`, or that has no room for densities, explanations or pictures of several folders.
    """
    plan = Outputs(points if ids is None else ids.points, targets=list(outputs), names=names, ids=ids)
    for text in dict.fromkeys(outputs):
        path = Path(text)
        if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
            _plan_folder(plan, path, paths, density, explain)
        else:
            _plan_file(plan, path, text, paths)
    if density and not plan.pictures:
        raise InputError("--density needs a picture or a folder to be written to; add e.g. -o out/.")
    if explain and not plan.explained:
        raise InputError("--explain needs a folder to be written to; add e.g. -o out/.")
    if ids is not None and not plan.tables:
        raise InputError("--ids-from is for files of poses; add one, as in -o poses.json.")
    _check_clashes(plan, inputs)
    return plan


def _plan_folder(plan: Outputs, folder: Path, paths: Sequence[Path], density: bool, explain: bool) -> None:
    """Add the files of a folder that gets a file of every kind, and make it; arguments as in `plan_outputs`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {folder}: {error.strerror}; choose another.") from error
    for image, stem in zip(paths, unique_stems(paths), strict=True):
        plan.pictures.setdefault(image, []).append(folder / f"{stem}.png")
        if density:
            plan.densities[image] = folder / f"{stem}.density.json"
            plan.panels[image] = folder / f"{stem}_densities.png"
        if explain:
            plan.explained[image] = folder / f"{stem}_explained.png"
    plan.tables += [folder / "poses.json", folder / "poses.csv"]


def _plan_file(plan: Outputs, path: Path, text: str, paths: Sequence[Path]) -> None:
    """Add a file that the user named. text: its name as it was typed."""
    ending = _ending(path)
    if ending in PICTURES:
        if len(paths) != 1:
            raise InputError(f"{text} holds one picture, but {len(paths)} images were given; give a folder.")
        plan.pictures.setdefault(paths[0], []).append(path)
    elif ending in TABLES:
        plan.tables.append(path)
        if ending == DLC:
            plan.frames = in_frame_order(paths)
    else:
        known = ", ".join((*PICTURES, *TABLES))
        raise InputError(f"An output must end in {known}, or in / for a folder, but got {text}.")
    if not path.parent.is_dir():
        raise InputError(f"Cannot write {text}: there is no folder {path.parent}; make it first.")


def _ending(path: Path) -> str:
    """The end of an output's name that says what it is, in lower case: its suffix, but for DeepLabCut's tables two."""
    return DLC if path.name.lower().endswith(DLC) else path.suffix.lower()


def _check_clashes(plan: Outputs, inputs: Sequence[Path]) -> None:
    """Raise InputError where two outputs have one name, or one would overwrite an input."""
    drawn = [file for files in plan.pictures.values() for file in files]
    for sheets, option in ((plan.panels, "--density"), (plan.explained, "--explain")):
        if twice := {_identity(file) for file in drawn} & {_identity(file) for file in sheets.values()}:
            raise InputError(f"Two outputs would be called {min(twice)}; give that image another name or no {option}.")
    files = [*plan.tables, *plan.densities.values(), *plan.panels.values(), *plan.explained.values(), *drawn]
    by_identity = {_identity(path): path for path in inputs}
    for file in files:
        if (lost := by_identity.get(_identity(file))) is not None:
            raise InputError(f"The output {file} would overwrite the input {lost}; choose another place.")


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """A name for each image's outputs: its stem, with the suffix where stems are equal, and a number beyond that."""
    stems = [path.stem.casefold() for path in paths]  # "A" and "a" are one name on some file systems
    counts = Counter(stems)
    names = [path.stem if counts[stem] == 1 else path.name for path, stem in zip(paths, stems, strict=True)]
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # of each name the next number, so that thousands of equal names are quick
    for i, name in enumerate(names):
        while names[i].casefold() in taken:
            number = numbers.setdefault(name.casefold(), 2)
            names[i], numbers[name.casefold()] = f"{name}-{number}", number + 1
        taken.add(names[i].casefold())
    return names


def _identity(path: Path) -> str:
    """A text that is the same for all names of one file, on file systems without upper and lower case too."""
    return os.path.realpath(path).casefold()
