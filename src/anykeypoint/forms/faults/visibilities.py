"""What a file's visibilities may mean other than COCO's 0, 1 and 2: notes, as only a person can know it.

Some tools write 0 for a hidden point that has a place, and others 1 for every point that is visible.
"""

from collections.abc import Mapping

import numpy as np

from ..reading import plain_number
from .changes import known_value
from .sentinels import is_sentinel

_MANY = 10  # number of points from which it is no coincidence that none is visible


def visibility_notes(document: Mapping[str, list]) -> list[str]:
    """A sentence for each way in which the visibilities of a COCO document are likely to mean something else."""
    placed = hidden = visible = 0
    for entry in document["annotations"]:
        values = known_value(entry, "keypoints")
        if not isinstance(values, list) or len(values) % 3:
            continue
        table = np.array([plain_number(value) for value in values]).reshape(-1, 3)
        hidden, visible = hidden + int((table[:, 2] == 1).sum()), visible + int((table[:, 2] == 2).sum())
        rest = table[(table[:, 2] == 0) & np.isfinite(table).all(axis=1) & table[:, :2].any(axis=1), :2]
        placed += sum(not is_sentinel(x, y) for x, y in rest.tolist())
    notes = []
    if placed:
        what = "a place and the visibility 0, which means 'not labelled'"
        notes.append(f"{placed} points have {what}: they are not used.")
    if hidden >= _MANY and not visible:
        notes.append(
            f"No point has the visibility 2, which means 'visible': the {hidden} points with 1 are read as hidden."
        )
    return notes
