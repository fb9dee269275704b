"""Which objects of a data set are measured, and by what names their categories go."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from ..geometry import overlaps_picture
from ..images import picture_size

NOT_DRAWN = "over the maximum per category"
NO_SIDE = "a box of a single pixel, which makes no crop"
BESIDE = "a box outside the picture"
SEVERAL = "another labelled object in the picture"


def with_box(dataset: Dataset) -> Dataset:
    """The objects whose box has a longer side; the rest are counted in `skipped`, as nothing can be measured on them.

    MP-100's CapeLLM rules keep boxes of a single pixel, of which no side is left (`mp100.clean_box`).
    """
    kept = [item for item in dataset.objects if max(item.box[2:]) > 0]
    left_out = len(dataset.objects) - len(kept)
    skipped = {**dataset.skipped, NO_SIDE: left_out} if left_out else dataset.skipped
    return replace(dataset, objects=kept, skipped=skipped)


def in_picture(dataset: Dataset) -> Dataset:
    """The objects of whose box the picture shows a part; the rest are counted in `skipped`."""
    kept = [item for item in dataset.objects if shows(item)]
    left_out = len(dataset.objects) - len(kept)
    skipped = {**dataset.skipped, BESIDE: left_out} if left_out else dataset.skipped
    return replace(dataset, objects=kept, skipped=skipped)


def shows(item: LabelledObject) -> bool:
    """Whether a picture shows a part of an object's box; so it is said where the picture's size cannot be read."""
    size = picture_size(item.image)
    return size is None or overlaps_picture(item.box, size)


def alone_in_picture(dataset: Dataset) -> Dataset:
    """The objects whose picture has no other labelled object; the rest are counted in `skipped`.

    Of COCO's people it is the single-person subset (fusion paper, Sec. 4.4). Objects that do not count as labelled,
    such as crowds and people without a labelled point, may be in the picture.
    """
    counts = Counter(item.image for item in dataset.objects)
    kept = [item for item in dataset.objects if counts[item.image] == 1]
    left_out = len(dataset.objects) - len(kept)
    skipped = {**dataset.skipped, SEVERAL: left_out} if left_out else dataset.skipped
    return replace(dataset, objects=kept, skipped=skipped)


def select(objects: Sequence[LabelledObject], max_per_category: int | None, seed: int = 0) -> list[LabelledObject]:
    """The first objects of each category in a seeded shuffle, in their own order.

    max_per_category: number of objects of a category at most; None takes all.
    The choice depends on the objects' ids, not on their order; a larger maximum keeps all objects of a smaller one.
    """
    if max_per_category is None:
        return list(objects)
    if max_per_category < 1:
        raise InputError(f"The number of objects per category must be 1 or more, but got {max_per_category}.")
    by_category: dict[int, list[int]] = {}
    for item in objects:
        by_category.setdefault(item.category_id, []).append(item.id)
    chosen: set[int] = set()
    for key, ids in by_category.items():
        ids.sort()
        random.Random(f"{seed}:{key}").shuffle(ids)
        chosen.update(ids[:max_per_category])
    return [item for item in objects if item.id in chosen]


def category_labels(dataset: Dataset, objects: Sequence[LabelledObject]) -> list[str]:
    """The category name of each object, with the category's id where two share a name, as MP-100's two faces do."""
    names = [category.name for category in dataset.categories.values()]
    return [
        item.category.name if names.count(item.category.name) == 1 else f"{item.category.name} ({item.category_id})"
        for item in objects
    ]
