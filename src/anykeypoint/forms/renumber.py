"""Ids from 1 without gaps, for tools that take an id for a place in a list."""

from dataclasses import replace

from .dataset import Dataset


def renumber(data: Dataset) -> tuple[Dataset, dict[int, int]]:
    """A data set whose ids count from 1, and old id -> new id of its categories.

    Categories keep their order, and those without an object are left out; objects keep theirs. Ultralytics takes a
    category's id less 1 as its class.
    """
    used = {item.category_id for item in data.objects}
    kept = [identity for identity in data.categories if identity in used]
    ids = {old: new for new, old in enumerate(kept, start=1)}
    objects = [
        replace(item, id=number, category_id=ids[item.category_id]) for number, item in enumerate(data.objects, start=1)
    ]
    return replace(data, objects=objects, categories={ids[old]: data.categories[old] for old in kept}), ids
