"""Which objects of a data set are measured, and what their categories are called."""

import random
from collections.abc import Sequence

from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject

NOT_DRAWN = "over the maximum per category"


def select(objects: Sequence[LabelledObject], most: int | None, seed: int = 0) -> list[LabelledObject]:
    """The first `most` objects of each category in a seeded shuffle, in their own order; all for None.

    The choice depends on the objects' ids, not on their order, and a larger `most` keeps all of a smaller one.
    """
    if most is None:
        return list(objects)
    if most < 1:
        raise InputError(f"The number of objects per category must be 1 or more, but got {most}.")
    by_category: dict[int, list[int]] = {}
    for item in objects:
        by_category.setdefault(item.category_id, []).append(item.id)
    chosen: set[int] = set()
    for key, ids in by_category.items():
        ids.sort()
        random.Random(f"{seed}:{key}").shuffle(ids)
        chosen.update(ids[:most])
    return [item for item in objects if item.id in chosen]


def label_objects(dataset: Dataset, objects: Sequence[LabelledObject]) -> list[str]:
    """Each object's category by name; with its id where two categories share a name, as MP-100's two faces do."""
    names = [category.name for category in dataset.categories.values()]
    return [
        item.category.name if names.count(item.category.name) == 1 else f"{item.category.name} ({item.category_id})"
        for item in objects
    ]
