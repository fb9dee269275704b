"""A model and its adapter by names, for tools that run in Python."""

from collections.abc import Sequence
from typing import Any

from ...category import Category
from ...errors import InputError
from ...example import marked_category, read_marked, to_example
from ...library.lookup import as_category
from ...models.arguments import CategoryLike
from ...models.shipped import DEFAULT
from .tool_adapter import Correction, ToolAdapter


def open_adapter(
    model: str = DEFAULT,
    *,
    category: CategoryLike | None = None,
    keypoints: str | None = None,
    noun: str | None = None,
    example: str | Sequence[str] = (),
    detect: str | None = None,
    device: str = "auto",
) -> tuple[Any, ToolAdapter]:
    """A loaded model and the adapter for one category.

    model: as `anykeypoint.load` takes it.
    category, keypoints: what to find, one of them: a category, its name in the library or its file; or the points in
        words, as in "nose; left ear tip: the tip of the left ear".
    noun: the word for the object, with keypoints.
    example: "PICTURE:FILE", or several, as for `anykeypoint predict`; alone, its points are what is found.
    detect: words of objects to detect first, as in "dog; cat"; None takes the whole picture as one object.
    device: as `anykeypoint.load` takes it.
    Raises InputError for what these refuse.
    """
    from ...detection.registry import load as load_detector
    from ...detection.search import Search
    from ...models.loading import load

    marked = [read_marked(text) for text in ([example] if isinstance(example, str) else example)]
    if (category is not None) + (keypoints is not None) != 1 and not (marked and category is keypoints is None):
        raise InputError("Say what to find in one way: category, keypoints, or the points of an example.")
    if category is not None:
        chosen: Category = as_category(category)
    elif keypoints is not None:
        chosen = Category.from_text(keypoints, name=noun or "object", noun=noun or "object")
    else:
        chosen = marked_category(marked, noun)
    search = None if detect is None else Search(load_detector("yolov3-tiny", device), detect)
    examples = [Correction(to_example(one, chosen), b"") for one in marked]
    return load(model, device=device), ToolAdapter(chosen, search, examples)
