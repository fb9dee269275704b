"""The config of an adapted model: what it started from, its category, and how the parts of its answer are weighted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ....category import Category
from ....configs.checks import check_positive, check_whole
from ....configs.strict import Config
from ....errors import InputError
from ..matcher_config import MatcherConfig
from .templates import TemplateConfig


@dataclass(frozen=True)
class AdaptedConfig(Config):
    """Everything that makes one adapted model.

    start: the matcher that it started from.
    category: the one category that it answers for.
    templates: sizes of each member's templates.
    members: number of members, whose scores are averaged.
    examples: number of labelled pictures that the matcher has as its examples; 0 where it has no part in the answer.
    own_weight, start_weight: what the logarithms of the members' and the matcher's probabilities are multiplied by in
        the answer; both 0 is no answer.
    """

    called = "The options of an adapted model"

    start: MatcherConfig
    category: Category
    templates: TemplateConfig
    members: int = 4
    examples: int = 5
    own_weight: float = 1.0
    start_weight: float = 0.5

    def __post_init__(self) -> None:
        check_whole(self.members, "An adapted model's members")
        check_whole(self.examples, "An adapted model's examples", least=0)
        for name in ("own_weight", "start_weight"):
            check_positive(getattr(self, name), f"An adapted model's {name}", zero=True)
        if not self.own_weight and not self.start_weight:
            raise InputError("An adapted model must have an own_weight or a start_weight above 0, but both are 0.")
        if self.start_weight and not self.examples:
            raise InputError("An adapted model with a start_weight above 0 must have examples, but it has none.")
        if self.templates.points != len(self.category):
            raise InputError(
                f"An adapted model's templates are for {self.templates.points} points, but {self.category.name!r} has "
                f"{len(self.category)}; give a model folder as it was saved."
            )

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON holds them; `from_dict` reads them back."""
        return {**super().to_dict(), "category": self.category.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """See `Config.from_dict`."""
        if isinstance(data, Mapping) and isinstance(data.get("category"), Mapping):
            data = {**data, "category": Category.from_dict(data["category"], "An adapted model's category")}
        return super().from_dict(data)
