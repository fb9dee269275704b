"""What objects that were read and can be used look like a mistake all the same: one sentence for each kind.

Labels are taken as they are; `data check` judges the whole file more closely, and mends it.
"""

from collections import Counter
from collections.abc import Sequence

from ..dataset import LabelledObject
from .sentinels import is_sentinel


def doubts(objects: Sequence[LabelledObject]) -> tuple[str, ...]:
    """A sentence on labelled points at places such as (-1, -1), as tools write for points that are not labelled."""
    places: Counter[tuple[float, float]] = Counter()
    for item in objects:
        for x, y in item.points[item.points[:, 0] < 0].tolist():
            if is_sentinel(x, y):
                places[x, y] += 1
    if not places:
        return ()
    count, ((x, y), _) = sum(places.values()), places.most_common(1)[0]
    lie = f"{'s lie' if count > 1 else ' lies'} at {'places such as ' if len(places) > 1 else ''}({x:g}, {y:g})"
    how = "which is how tools say 'not labelled'; taken as labelled"
    return (f"{count} labelled point{lie}, {how}: mend the labels with `data check --fix`.",)
