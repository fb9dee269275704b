"""Poses as the table that DeepLabCut's `analyze_videos` writes, which tools for behaviour read; it is never read here.

The pictures of a folder are the frames of a video. Header lines are those of DeepLabCut's labels (`dlc`); then comes a
row for each frame, called by its number from 0, with x and y in image pixels and a likelihood for each point. What is
not known is NaN in letters: pandas takes a first row of empty cells for the name of the index, and all frames would
move up by one.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io import write_bytes
from .dlc import table_text
from .poses import TableFields
from .reading import natural_key
from .writing import encoded

_COORDS = ("x", "y", "likelihood")


def in_frame_order(pictures: Iterable[Path]) -> list[Path]:
    """Pictures as the frames of a video: by their names, "frame2" before "frame10".

    Raises InputError where they lie in several folders, as a table is of one video.
    """
    ordered = sorted(pictures, key=lambda path: natural_key(path.name))
    folders = sorted({os.path.abspath(path.parent) for path in ordered})
    if len(folders) > 1:
        raise InputError(
            f"A table of DeepLabCut is of one video, but the pictures lie in {len(folders)} folders, such as "
            f"{folders[0]} and {folders[1]}; predict each by itself."
        )
    return ordered


def predictions_text(poses: Iterable[TableFields], points: Sequence[str], pictures: Sequence[str], scorer: str) -> str:
    """The table of poses, each with the same points.

    points: their names, no two alike.
    pictures: what the poses call the pictures (`image`), in the order of the frames, those without a pose too.
    scorer: the name of the model.

    The likelihood of a point is its confidence, and 0 where it is not present; its place stays. Where the confidence
    is unknown, it alone is NaN; of a point without a place all three are. Where a picture has several poses, these are
    the individuals object1, object2, ... in their order in each picture: nothing says which of them is which animal.
    """
    found: dict[str, list[TableFields]] = defaultdict(list)
    for pose in poses:
        found[pose.image].append(pose)
    most = max(map(len, found.values()), default=1)
    rows = []
    for frame, picture in enumerate(pictures):
        cells = np.full((most, len(points), len(_COORDS)), np.nan)
        for i, pose in enumerate(found[picture]):
            placed = np.isfinite(pose.xy).all(axis=1)
            likelihood = np.where(pose.present, pose.confidence, 0.0)
            cells[i, placed] = np.column_stack([pose.xy, likelihood])[placed]
        rows.append([frame, *("NaN" if np.isnan(value) else value for value in cells.ravel().tolist())])
    return table_text(scorer, points, _COORDS, most, rows)


def write_predictions(
    poses: Iterable[TableFields], path: str | Path, points: Sequence[str], pictures: Sequence[str], scorer: str
) -> None:
    """Write `predictions_text` in UTF-8. Raises InputError if the file cannot be written."""
    write_bytes(path, encoded(predictions_text(poses, points, pictures, scorer)))
