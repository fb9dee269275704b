"""What a model does not understand of the words that a person wrote, as the page shows it beside each point."""

import threading
import warnings
from typing import Any

from ..category import Category
from ..errors import InputError
from ..pose import unique_names


class WordDoubts:
    """The sentences of the last category; a page asks for them every second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[Any, Category | None, dict[str, str]] = (None, None, {})

    def of(self, model: Any, category: Category | None) -> dict[str, str]:
        """By the unique name of a point, why it is not understood, it seems; the points that are, are not in it.

        model: None where it is not loaded yet, and nothing is known.
        """
        if model is None or category is None:
            return {}
        with self._lock:
            if self._last[0] is not model or self._last[1] != category:
                self._last = (model, category, _doubts(model, category))
            return self._last[2]


def written_doubts(model: Any, text: str) -> list[dict[str, str]]:
    """The same of points as they are written, one a line: name and doubt of each that is not understood.

    While a text cannot be read, as with a name twice, there are none; it is refused when it is used.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is said when the points are used
            category = Category.from_text(text)
    except InputError:
        return []
    return [] if model is None else [{"name": name, "doubt": text} for name, text in _doubts(model, category).items()]


def _doubts(model: Any, category: Category) -> dict[str, str]:
    asked = getattr(model, "doubts", None)  # a model that reads no words has none
    sentences = [""] * len(category) if asked is None else asked(category)
    return {name: text for name, text in zip(unique_names(category.names), sentences, strict=True) if text}
