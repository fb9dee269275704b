"""What `predict` of a model gives, as type checkers and editors see it: a pose for one object, lists for several."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, overload

import numpy as np

from ..example import Example
from ..images import ImageSource
from ..pose import Pose
from .arguments import CategoryLike

Examples = Example | Sequence[Example] | None


class Predict(Protocol):
    """`predict` of a model; which options there are, the model's own method says. See `arguments.for_each`."""

    @overload
    def __call__(
        self,
        image: ImageSource,
        category: CategoryLike,
        box: Sequence[float] | None = None,
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> Pose:
        """One object."""

    @overload
    def __call__(
        self,
        image: ImageSource,
        category: CategoryLike,
        box: Sequence[Sequence[float]],
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> list[Pose]:
        """Several objects of one picture."""

    @overload
    def __call__(
        self,
        image: ImageSource,
        category: CategoryLike,
        box: np.ndarray,
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> Any:
        """A pose for an array [4], a list for an array [N, 4]."""

    @overload
    def __call__(
        self,
        image: list[Any] | tuple[Any, ...],
        category: CategoryLike,
        box: Any = None,
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> list[Any]:
        """Several pictures: for each a pose, or a list where there are several boxes for it."""


class PredictOwn(Protocol):
    """`predict` of a model that has a category of its own, which may be left out."""

    @overload
    def __call__(
        self,
        image: ImageSource,
        category: CategoryLike | None = None,
        box: Sequence[float] | None = None,
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> Pose:
        """One object."""

    @overload
    def __call__(
        self,
        image: ImageSource,
        category: CategoryLike | None,
        box: Sequence[Sequence[float]],
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> list[Pose]:
        """Several objects of one picture."""

    @overload
    def __call__(self, image: ImageSource, *, box: Sequence[Sequence[float]], **options: Any) -> list[Pose]:
        """The same, of its own category."""

    @overload
    def __call__(
        self,
        image: ImageSource,
        category: CategoryLike | None,
        box: np.ndarray,
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> Any:
        """A pose for an array [4], a list for an array [N, 4]."""

    @overload
    def __call__(self, image: ImageSource, *, box: np.ndarray, **options: Any) -> Any:
        """The same, of its own category."""

    @overload
    def __call__(
        self,
        image: list[Any] | tuple[Any, ...],
        category: CategoryLike | None = None,
        box: Any = None,
        example: Examples = None,
        words: bool | None = None,
        **options: Any,
    ) -> list[Any]:
        """Several pictures: for each a pose, or a list where there are several boxes for it."""


def one_or_several(predict: Callable[..., Any]) -> Predict:
    """Mark a `predict` for type checkers; it stays as it is."""
    return predict


def one_or_several_of_own(predict: Callable[..., Any]) -> PredictOwn:
    """`one_or_several` for a model that has a category of its own."""
    return predict
