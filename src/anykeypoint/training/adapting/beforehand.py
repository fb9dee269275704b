"""What is checked, read and told before a model is adapted, for Python and for the command line."""

from collections.abc import Callable
from pathlib import Path

from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...forms.left_out import check_left
from ...forms.registry import read
from ...io import as_path, check_folder, made_folder
from ...models.folders import model_type
from ...models.loading import find
from ...models.shipped import DEFAULT
from .one_category import of_category


def objects_for(
    data: str,
    out: str | Path,
    start: str,
    say: Callable[[str], None],
    images: Path | None = None,
    category: str | None = None,
    allow_missing: bool = False,
    strict: bool = False,
) -> list[LabelledObject]:
    """The objects of labels that a model is adapted to; all that can be refused without loading a model is.

    data, images, allow_missing, strict: as of `forms.registry.read`.
    out: the folder of the new model, which is made; no model may be in it.
    start: the matcher to start from: a shipped one, a folder or a hub id.
    say: is called with a sentence for each thing that was left out of the labels or supplied.
    category: its name or id, where the labels have several.

    Raises InputError where a model is in the folder or none can be written there, for a start of another kind, and
    where the labels cannot be used, have no object, or are of several categories of which none is chosen.
    """
    folder = as_path(out, "The folder of the new model")
    if (folder / "config.json").exists():
        raise InputError(f"{folder} holds a model already; give another folder, or remove it.")
    check_folder(folder)
    if (kind := model_type(find(start))) not in (None, "matcher"):
        raise InputError(
            f"Adapting starts from a matcher, such as {DEFAULT}, but {start} is of type {kind}; give another."
        )
    dataset = read(data, images, allow_missing=allow_missing, strict=strict)
    check_left(dataset, data, "to adapt to", say)
    objects = of_category(dataset.objects, category)
    made_folder(folder, "The folder of the new model")  # what cannot be made is refused now, not when all is computed
    return objects
