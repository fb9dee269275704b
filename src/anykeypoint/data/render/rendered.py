"""Writing of rendered objects as a COCO file with its pictures and licences. The same seed gives the same bytes."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...forms.skeletons import with_base
from ...io import check_new_folder
from .archives import archives, fetch_models, licence_text
from .assembly import CANVAS, assemble
from .engine import Renderer, mujoco_module
from .kinds import Kind, known_kind, known_kinds
from .picture import DRAWN, OVERSAMPLE, Rendered, render

ANNOTATIONS, IMAGES, LICENCES = "annotations.json", "images", "LICENCES.md"
LEAST_SIZE, MOST_SIZE = 64, CANVAS // OVERSAMPLE


def write_rendered(
    folder: str | Path,
    count: int,
    seed: int = 0,
    kinds: Sequence[str] = (),
    size: int = 320,
    progress: Callable[[Sequence, str], Iterable] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Render objects, one to a picture, and write them as a COCO file. Returns the path of the JSON file.

    The pictures are PNG files under `images/`, and `images[].group` is the kind, as all pictures of a kind are of one
    model. The pictures are spread evenly over the kinds. A category's entry has the keypoints' names and, besides what
    COCO has, their `descriptions`. `LICENCES.md` says where the models come from and has the licences' texts.
    Raises InputError for a folder that is not empty, counts below 1, another size than LEAST_SIZE to MOST_SIZE, unknown
    kinds, and where MuJoCo or its library to draw with is missing.

    folder: the folder, new or empty.
    count: number of pictures.
    seed: seed of all that is drawn at random.
    kinds: names of the kinds to render; all of them without any.
    size: side of a picture in pixels.
    progress: called with the numbers of the pictures and a title; gives the numbers, and shows how far they are.
    report: called with a line of text before each download.
    """
    folder = Path(folder)
    chosen = {name: known_kind(name) for name in kinds} or known_kinds()
    _check(folder, count, size)
    mujoco_module()
    sources = {name: fetch_models(name, report) for name in sorted({kind.archive for kind in chosen.values()})}
    (folder / IMAGES).mkdir(parents=True)
    plan = _plan(list(chosen), count)
    images, annotations, names = [], [], []
    drawn: tuple[str, Any, Renderer] | None = None
    for index in range(count) if progress is None else progress(range(count), "rendering"):
        name, turn = plan[index]
        kind = chosen[name]
        if drawn is None or drawn[0] != name:
            if drawn is not None:
                drawn[2].close()
            model = assemble(kind, name, sources[kind.archive] / archives()[kind.archive].folder)
            drawn = name, model, Renderer(model.model, size * OVERSAMPLE, frozenset({DRAWN}))
            names.append(name)
        rng = np.random.default_rng([seed, *name.encode(), turn])
        made = render(drawn[1], drawn[2], size, rng)
        file = f"{name}_{turn:04d}.png"
        made.image.save(folder / IMAGES / file)
        images.append({"id": index + 1, "file_name": file, "width": size, "height": size, "group": name})
        annotations.append(_annotation(made, index + 1, len(names)))
    if drawn is not None:
        drawn[2].close()
    used = {name: chosen[name] for name in names}
    (folder / LICENCES).write_text(_licences(used, sources), encoding="utf-8")
    data = {
        "info": with_base({"description": "Rendered 3-D models; see LICENCES.md for their sources.", "seed": seed}),
        "licenses": [{"id": i, "name": archives()[source].licence, "url": ""} for i, source in enumerate(sources, 1)],
        "images": images,
        "annotations": annotations,
        "categories": [_category(kind, key) for key, kind in enumerate(used.values(), 1)],
    }
    path = folder / ANNOTATIONS
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return path


def _check(folder: Path, count: int, size: int) -> None:
    """Raise InputError for a request that cannot be carried out."""
    if count < 1:
        raise InputError(f"A data set needs 1 or more pictures, but got {count}.")
    if not LEAST_SIZE <= size <= MOST_SIZE:
        raise InputError(f"A rendered picture's side must be {LEAST_SIZE} to {MOST_SIZE} pixels, but got {size}.")
    check_new_folder(folder)


def _plan(names: Sequence[str], count: int) -> list[tuple[str, int]]:
    """For each picture its kind and its number among the pictures of the kind, those of a kind in a row.

    Where there are fewer pictures than kinds, these are spread over the list.
    """
    if count < len(names):
        names = [names[i * len(names) // count] for i in range(count)]
    share, more = divmod(count, len(names))
    return [(name, turn) for i, name in enumerate(names) for turn in range(share + (i < more))]


def _category(kind: Kind, key: int) -> dict[str, Any]:
    """The entry of a kind in `categories`, with the id `key`."""
    category = kind.category
    entry = {
        "id": key,
        "name": category.name,
        "supercategory": "rendered",
        "keypoints": category.names,
        "descriptions": [point.description for point in category.keypoints],
        "skeleton": [],
        "pairs": [list(pair) for pair in category.pairs or ()],
    }
    return {**entry, "alone": list(category.unpaired)} if category.unpaired else entry


def _annotation(made: Rendered, key: int, category: int) -> dict[str, Any]:
    """The entry of an object in `annotations`; `key` is its id and that of its picture."""
    rows = [
        [round(float(x), 2), round(float(y), 2), int(v)] for (x, y), v in zip(made.points, made.visibility, strict=True)
    ]
    return {
        "id": key,
        "image_id": key,
        "category_id": category,
        "bbox": [round(value, 2) for value in made.box],
        "area": round(made.area, 2),
        "iscrowd": 0,
        "num_keypoints": int((made.visibility > 0).sum()),
        "keypoints": [value for row in rows for value in row],
    }


def _licences(kinds: dict[str, Kind], sources: dict[str, Path]) -> str:
    """The text of LICENCES.md: for each package its kinds and its licence."""
    parts = ["# Licences\n\nThe pictures were rendered from 3-D models of these Python packages.\n"]
    for source, folder in sources.items():
        archive = archives()[source]
        there = [f"- {name}: {kind.file}" for name, kind in kinds.items() if kind.archive == source]
        head = f"## {archive.requirement} ({archive.licence})\n\nSHA-256 of the wheel: {archive.sha256}"
        parts.append(f"{head}\n\n" + "\n".join(there) + f"\n\n```\n{licence_text(source, folder)}\n```\n")
    return "\n".join(parts)
