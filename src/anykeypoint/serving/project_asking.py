"""What a page asks about one picture of a project while a person waits, and what to look for as the page says it."""

import base64
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..category import Category, Keypoint, check_edges
from ..errors import InputError, ReadingWarning
from ..labelling.background import UNNAMED, BackgroundAnswers
from ..labelling.project import Project
from ..labelling.records import ProjectPicture
from ..pose import unique_names
from .answering import Question
from .asking import of_library
from .picture_files import PictureFiles
from .project_schemas import CategoryChange, PointBody
from .refusals import Refusal

CELLS = 32  # cells on a side of a density as it is shown
NAMES = 3  # likeliest names that are given for a place
LISTED = 3  # points that a sentence names
WAIT = 120.0  # seconds for an answer of the model
FILES_BYTES = 256 * 2**20  # of decoded pictures that are kept for further questions


class Submits(Protocol):
    """What is needed of a service."""

    @property
    def default(self) -> str: ...

    @property
    def ready(self) -> bool: ...

    def submit(self, model: str, questions: Sequence[Any]) -> list[Any]: ...


def changed_category(body: CategoryChange, project: Project) -> tuple[Category, dict[str, str], list[str]]:
    """The category that a page says, new name -> old name of points that were renamed, and sentences about the words.

    Raises Refusal (422) where it is said in no way or in several, and for words that cannot be used.
    """
    given = [name for name in ("library", "text", "points") if getattr(body, name) is not None]
    if len(given) != 1:
        raise Refusal(422, "Say what to look for in one way: library, text or points.", given[1] if given else None)
    for name in ("skeleton", "base"):
        if getattr(body, name) is not None and body.points is None:
            raise Refusal(422, f"A {name} is given with points; leave it out.", name)
    before, noun = project.category, None if body.noun is None else " ".join(body.noun.split()) or None
    try:
        if body.library is not None:
            chosen = of_library(body.library, "points")
            return (chosen if noun is None else replace(chosen, noun=noun)), {}, _left_out(chosen, project)
        word = noun or (before.noun if before is not None else "object")
        if body.text is not None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ReadingWarning)
                chosen = Category.from_text(body.text, name=word, noun=word)
            notes = [str(one.message) for one in caught]
            return _with_edges(chosen, before, {}), {}, notes + _left_out(chosen, project)
        assert body.points is not None
        points, rows = _together(body.points, body.base, before)
        chosen = Category(word, _keypoints(points, before, project.named_points()), noun=word)
        names = unique_names(chosen.names)
        was = {name: one.was for name, one in zip(names, points, strict=True) if one.was}
        kept = _with_edges(chosen, before, was)
        if body.skeleton is None:
            return kept, was, []
        check_edges(body.skeleton, len(body.points), "The skeleton")
        own = [(rows.get(a), rows.get(b)) for a, b in body.skeleton]
        edges = [(a, b) for a, b in own if a is not None and b is not None]
        edges += [edge for edge in kept.skeleton if max(edge) >= len(rows)]  # of points that this window does not know
        return replace(chosen, skeleton=tuple(edges)), was, []
    except InputError as error:
        raise Refusal(422, str(error), given[0]) from None


def _left_out(chosen: Category, project: Project) -> list[str]:
    """A sentence where points that labels have are not looked for any longer, as one whose name was written anew."""
    labels = project.labels()
    marked = {name for label in labels.values() for name in label.points}
    gone = marked.intersection(project.point_names).difference(unique_names(chosen.names))
    names = [name for name in project.point_names if name in gone]
    if not names:
        return []
    count = len({project.picture(number).image_id for number, one in labels.items() if not gone.isdisjoint(one.points)})
    said = ", ".join(f"“{name}”" for name in names[:LISTED]) + (" …" if len(names) > LISTED else "")
    verb, them, theirs = ("is", "it", "that name") if len(names) == 1 else ("are", "them", "those names")
    where = f"{count} picture{'' if count == 1 else 's'}"
    return [
        f"{said} {verb} no longer looked for; what {where} had of {them} is kept, and comes back with {theirs}. "
        "To rename a point, write its new name in the list of points."
    ]


def _together(
    points: Sequence[PointBody], base: Sequence[str] | None, before: Category | None
) -> tuple[list[PointBody], dict[int, int]]:
    """The points of a change together with what another window changed since, and where each of `points` is in them.

    base: as in a `CategoryChange`. before: the category that the project has now.
    """
    now = [] if before is None else unique_names(before.names)
    gone = set(() if base is None or before is None else base).difference(now)
    stay = [place for place, one in enumerate(points) if one.was not in gone]
    given = [points[place] for place in stay]
    if base is not None and before is not None:
        others = zip(now, before.keypoints, strict=True)
        given += [
            PointBody(name=point.name, description=point.description, was=name)
            for name, point in others
            if name not in base
        ]
    return given, {place: row for row, place in enumerate(stay)}


def _keypoints(given: Sequence[PointBody], before: Category | None, labelled: set[str]) -> tuple[Keypoint, ...]:
    """The points of a change. One that stays as it is keeps what else is known of it; a new one that has no name yet
    gets one that no label has, as what was said of an earlier "point 5" is not said of this one.

    labelled: the names that labels have.
    """
    known = {} if before is None else dict(zip(unique_names(before.names), before.keypoints, strict=True))
    taken, points = {name.casefold() for name in (*known, *labelled)}, []
    for one in given:
        point, old = Keypoint(one.name.strip(), one.description.strip()), known.get(one.was or "")
        if old is not None and (old.name, old.description) == (point.name, point.description):
            point = old
        elif one.was is None and point.name not in known and UNNAMED.fullmatch(point.name):
            number = int(point.name.split()[1])
            while f"point {number}" in taken:
                number += 1
            point = replace(point, name=f"point {number}")
        taken.add(point.name.casefold())
        points.append(point)
    return tuple(points)


def _with_edges(category: Category, before: Category | None, was: dict[str, str]) -> Category:
    """The category with the edges of the one before between points that are still there."""
    if before is None:
        return category
    names = unique_names(category.names)
    rows = {was.get(name, name): row for row, name in enumerate(names)}
    olds = unique_names(before.names)
    edges = [(rows.get(olds[a]), rows.get(olds[b])) for a, b in before.skeleton]
    return replace(category, skeleton=tuple((a, b) for a, b in edges if a is not None and b is not None))


def densities_of(
    service: Submits, background: BackgroundAnswers, files: PictureFiles, picture: ProjectPicture
) -> dict[str, Any]:
    """Where each point of a picture may be, as a page draws it: [N, N] bytes by name, and the square that they tile."""
    _ready(background)
    read = files.read(background.project.check_file(picture))
    box = background.project.label(picture.id).box
    asked = background.prompt(picture.id)
    given = asked["example"]
    shown = [files.read(Path(one.image)) for one in given]
    question = Question(
        read.picture,
        read.key,
        asked["category"],
        box=box,
        examples=tuple(replace(one, image=each.picture) for one, each in zip(given, shown, strict=True)),
        example_keys=tuple(each.key for each in shown),
        words=asked["words"],
        options=(("density", CELLS),),
    )
    pose = _asked(service, question)
    grids, crop = {}, None
    for name, density in (pose.density or {}).items():
        scaled = np.round(255 * density.grid / density.grid.max()).astype(np.uint8)
        grids[name], crop = base64.b64encode(scaled.tobytes()).decode(), density.crop
    square = None if crop is None else [crop.x, crop.y, crop.side]
    return {"crop": square, "cells": CELLS, "densities": grids}


def name_at(
    service: Submits,
    background: BackgroundAnswers,
    files: PictureFiles,
    picture: ProjectPicture,
    place: tuple[float, float],
) -> dict[str, Any]:
    """The likeliest names of a place in a picture, each with its probability, best first."""
    category = _ready(background)
    read, box = files.read(background.project.check_file(picture)), background.project.label(picture.id).box
    question = Question(read.picture, read.key, category, box=box, points=np.array([place], dtype=np.float64))
    found = _asked(service, question)[0]
    if found.probabilities is None:
        return {"names": [{"name": found.name, "probability": found.confidence}]}
    best = sorted(found.probabilities.items(), key=lambda item: -item[1])[:NAMES]
    return {"names": [{"name": name, "probability": share} for name, share in best]}


def _ready(background: BackgroundAnswers) -> Category:
    category, loaded = background.project.category, background.model()
    if loaded is None:
        raise Refusal(503, "The model is being loaded; try again in a moment.", Retry_After="2")
    if category is None:
        raise Refusal(422, "Say which points to look for first.")
    return category


def _asked(service: Submits, question: Question) -> Any:
    (future,) = service.submit(service.default, [question])
    try:
        return future.result(WAIT)
    except TimeoutError:
        future.cancel()  # nobody waits for it any more
        raise Refusal(503, "The model takes too long for this answer; try again later.", Retry_After="10") from None
