"""Pictures in, poses out: which files a user means, and a model's predictions for them, some files at a time."""

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from ..category import Category
from ..detection.search import Search
from ..errors import InputError, PredictionFailed, first_line
from ..geometry import Box, check_overlap
from ..images import IN_SUBFOLDERS, SUFFIXES, UprightPicture, list_pictures, read_picture
from ..models.batched import HELD_PIXELS, BatchPredictor, ObjectQuery
from ..pose import Explanation, Pose
from .box_files import Boxes
from .many import OneByOne, answer, in_batches

REACH = 0.05  # share of a picture's side that a box may reach beyond it before its numbers are doubted

_log = logging.getLogger(__name__)


class Predictor(Protocol):
    """What is needed of a model here; `explain` takes the same arguments and gives an Explanation."""

    def predict(self, image: Any, category: Category, box: Box | None = None, **options: Any) -> Pose: ...


@dataclass(frozen=True)
class Result:
    """What became of one file.

    path: the file.
    poses: one per box; empty where there is an error.
    error: one sentence that says why there are no poses; None where all went well.
    explanations: one per pose, where they were requested.
    note: one sentence about a picture in which a detector found nothing, or about given boxes that are corners by their
        looks, which is no error.
    """

    path: Path
    poses: tuple[Pose, ...] = ()
    error: str | None = None
    explanations: tuple[Explanation, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class FoundImages:
    """The picture files that the arguments of a command line mean.

    paths: the files, each once, in the order of the arguments.
    missing: for each argument without a picture a Result whose error says why.
    passed_over: for each folder a sentence about the files in it that are not among `paths`.
    """

    paths: tuple[Path, ...]
    missing: tuple[Result, ...] = ()
    passed_over: tuple[str, ...] = ()


def find_all_images(
    sources: Iterable[str | Path], recursive: bool = False, outputs: Iterable[str | Path] = ()
) -> FoundImages:
    """What `find_images` finds for each of the arguments; one without a picture costs no other.

    recursive: also take the pictures in subfolders of folders.
    outputs: files and folders that are written to; with `recursive`, pictures in such folders are passed over, as they
        are drawings of a run before.
    Raises InputError, that of the first argument, if none of them means a picture.
    """
    found: list[Path] = []
    missing: list[Result] = []
    passed_over: list[str] = []
    written = [Path(output).resolve() for output in outputs if Path(output).is_dir()] if recursive else []
    for source in sources:
        try:
            images = find_images(source, recursive)
            kept = [path for path in images if not any(path.resolve().is_relative_to(folder) for folder in written)]
            if len(kept) < len(images) and Path(source).resolve() not in written:
                passed_over.append(f"{source}: {len(images) - len(kept)} pictures in the output folder passed over.")
                images = kept
            found += images
        except InputError as error:
            missing.append(Result(Path(source), error=str(error)))
            continue
        if Path(source).is_dir() and (besides := list_pictures(source, recursive).passed_over):
            takes = "" if recursive or IN_SUBFOLDERS not in besides else "; --recursive takes those in subfolders"
            passed_over.append(f"{source}: {besides}{takes}.")
    if not found and missing:
        raise InputError(str(missing[0].error))
    first: dict[str, Path] = {}  # by its place, as one file may be given by several paths
    for path in found:
        first.setdefault(os.path.abspath(path), path)
    return FoundImages(tuple(first.values()), tuple(missing), tuple(passed_over))


def find_images(source: str | Path, recursive: bool = False) -> list[Path]:
    """The picture files that one argument of the command line means, sorted by name.

    source: one of
        a file, of any name: whether it is a picture turns out when it is read;
        a folder: the pictures directly in it, without hidden files and files without a picture's suffix;
        a pattern with * ? [ ]: every file that fits it, where ** crosses folders.
    recursive: of a folder also the pictures in its subfolders.
    Raises InputError if there is no such file.
    """
    text = str(source)
    path = Path(source)
    try:
        if path.is_dir():
            listed = list_pictures(path, recursive)
            if not listed.pictures:
                besides = f"; {listed.passed_over}" if listed.passed_over else ""
                way = "give --recursive" if IN_SUBFOLDERS in listed.others else "name the files"
                raise InputError(f"The folder {text} has no pictures ({' '.join(SUFFIXES)}){besides}; {way}.")
            return list(listed.pictures)
        if path.exists():
            return [path]
        if glob.has_magic(text):
            fitting = sorted(Path(name) for name in glob.iglob(text, recursive=True) if Path(name).is_file())
            if not fitting:
                raise InputError(f"No file fits the pattern {text}; check it.")
            return fitting
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot look for pictures at {text!r}: {first_line(error)}.") from error
    if "://" in text:
        raise InputError(f"{text} is a URL, and pictures are never fetched; save it to a file and give its path.")
    raise InputError(f"There is no file or folder {text!r}{_near_file(path)}; check the path.")


def _near_file(path: Path) -> str:
    """The part of a sentence that names files beside a missing one with nearly its name; "" where there is none."""
    try:
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError:
        return ""
    near = get_close_matches(path.name, beside, n=3, cutoff=0.85)  # high, as the suffix is the same in most of them
    return f" (near: {', '.join(near)})" if near else ""


def predict_files(
    model: Predictor,
    paths: Iterable[Path],
    category: Category,
    boxes: Boxes | Search | None = None,
    explain: bool = False,
    max_pixels: int | None = None,
    **options: Any,
) -> Iterator[Result]:
    """The model's predictions for each file: one Result per path, in order.

    Files are taken in groups, whose objects go through the model together and whose results then follow: as many files
    as the model's `batch`, or fewer with more objects or pixels (`models.batched`).

    model: the model.
    paths: the picture files.
    category: the keypoints to predict.
    boxes: where the objects are. None takes the whole picture. With boxes from `read_boxes` each box of a file gives a
        pose; a file that they do not name is an error, because its objects may be anywhere, and one with an empty list
        has no poses. With a Search a detector finds the boxes, the most certain first; a file in which it finds none
        has no poses and a note.
    explain: call `model.explain` instead, whose Explanation holds the pose; the results have both.
    max_pixels: a picture of more pixels is read shrunk (`images.read_picture`); points stay those of the file.
    options: further keyword arguments of `model.predict` (strategy, density, describe).

    A file that cannot be read or predicted, for whatever reason, becomes a Result with an error, and the next file
    follows. Raises InputError at once, before the first file, if the boxes do not fit the paths.
    """
    paths = list(paths)
    if isinstance(boxes, Boxes):
        assigned: Sequence[Sequence[Box | None] | Search | None] = boxes.assign(paths)
    else:
        assigned = [[None] if boxes is None else boxes] * len(paths)
    asked = OneByOne(model.explain) if explain else in_batches(model)
    return _predicted(asked, paths, assigned, category, max_pixels, options)


@dataclass(frozen=True)
class _Planned:
    """A file before its objects are asked about.

    picture: None where there is an error.
    boxes: of its objects, each with what a detector says of it.
    error, note: as of `Result`.
    """

    path: Path
    picture: UprightPicture | None = None
    boxes: Sequence[tuple[Box | None, dict[str, Any]]] = ()
    error: str | None = None
    note: str | None = None


def _predicted(
    model: BatchPredictor,
    paths: Sequence[Path],
    places: Sequence[Sequence[Box | None] | Search | None],
    category: Category,
    max_pixels: int | None,
    options: dict[str, Any],
) -> Iterator[Result]:
    """The Results of files, as many of which are planned together as fill a batch.

    places: of each file its boxes (None is the whole picture), a detector, or None for no boxes given.
    """
    group: list[_Planned] = []
    for path, where in zip(paths, places, strict=True):
        group.append(_planned(path, where, max_pixels))
        pixels = sum(one.picture.pixels.width * one.picture.pixels.height for one in group if one.picture is not None)
        if max(len(group), sum(len(one.boxes) for one in group)) >= model.batch or pixels >= HELD_PIXELS:
            yield from _asked(model, group, category, options)
            group = []
    yield from _asked(model, group, category, options)


def _planned(path: Path, places: Sequence[Box | None] | Search | None, max_pixels: int | None) -> _Planned:
    """A file, read, with its boxes; places: as in `_predicted`."""
    try:
        if places is None:
            raise InputError(f"The box file does not name {path}; add its box, or an empty list if it shows no object.")
        picture = read_picture(path, max_pixels)
        if isinstance(places, Search):
            detections, missed = places.find(picture)
            boxes = [(one.box, {"box_score": one.score, "box_word": one.word}) for one in detections]
            note = None if detections else f"{path}: {missed}"
        else:
            boxes, note = [(box, {}) for box in places], _corners(path, places, picture.size)
        for box, _ in boxes:
            if box is not None:
                check_overlap(box, picture.size, str(path))
        return _Planned(path, picture, boxes, note=note)
    except Exception as error:
        return _Planned(path, error=_sentence(path, error))


def _corners(path: Path, boxes: Sequence[Box | None], size: tuple[int, int]) -> str | None:
    """A sentence about boxes that reach out of a picture of `size` as x,y,w,h, and lie in it as two corners."""
    (width, height), most = size, 1 + REACH
    odd = [
        (x, y, w, h)
        for x, y, w, h in (box for box in boxes if box is not None)
        if (x + w > most * width or y + h > most * height) and 0 <= x < w <= width and 0 <= y < h <= height
    ]
    if not odd:
        return None
    first = ",".join(f"{value:g}" for value in odd[0])
    return (
        f"{path}: {len(odd)} of {len(boxes)} boxes (the first is {first}) reach out of the picture of {width} x "
        f"{height} pixels as x,y,w,h, as which they were taken, but lie in it as x1,y1,x2,y2; if they are "
        "that, give x,y,w,h."
    )


def _asked(
    model: BatchPredictor, group: Sequence[_Planned], category: Category, options: dict[str, Any]
) -> Iterator[Result]:
    """The Results of some files, whose objects are asked about together."""
    queries = [ObjectQuery(one.picture, category, box, options=options) for one in group for box, _ in one.boxes]
    answers = iter(answer(model, queries))
    for one in group:
        if one.error is not None:
            yield Result(one.path, error=one.error)
            continue
        found = [(next(answers), detected) for _, detected in one.boxes]
        if errors := [each for each, _ in found if isinstance(each, InputError)]:
            yield Result(one.path, error=_sentence(one.path, errors[0]))
            continue
        poses, explanations = [], []
        for each, detected in found:
            poses.append(replace(getattr(each, "pose", each), image=str(one.path), **detected))
            if isinstance(each, Explanation):
                explanations.append(replace(each, pose=poses[-1]))
        yield Result(one.path, tuple(poses), explanations=tuple(explanations), note=one.note)


def _sentence(path: Path, error: Exception) -> str:
    """What a file's Result says of an error; one bad file must not stop the rest, whatever its fault."""
    if isinstance(error, PredictionFailed) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # logged where it was caught
    elif isinstance(error, InputError):
        return str(error) if path.name in str(error) else f"{path}: {error}"
    else:
        _log.debug("Prediction on %s failed", path, exc_info=error)
    return f"Prediction on {path} failed: {type(error).__name__}: {first_line(error)}."
