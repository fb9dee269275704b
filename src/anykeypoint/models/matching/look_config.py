"""The options of a second look; what it does stands in `second_look`."""

from dataclasses import dataclass

from ...configs.checks import check_finite, check_positive, check_whole
from ...configs.strict import Config
from ...errors import InputError


@dataclass(frozen=True)
class SecondLook(Config):
    """The options of a second look, fitted on training kinds (see docs/models.md).

    size: side of a patch in pixels.
    side: side of a patch as a fraction of the longer side of the box.
    temperature: of the cosines.
    reach: standard deviation of the distance from the first answer, as a fraction of the longer side of the box.
    certainty: of the logistic function a constant, and the weight of how far from the example's point the best cell is
        matched back, as a fraction of the longer side of the example's box.
    """

    called = "The options of a second look"

    size: int = 160
    side: float = 0.3
    temperature: float = 0.025
    reach: float = 0.03
    certainty: tuple[float, float] = (3.7, -44.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "certainty", tuple(self.certainty))
        check_whole(self.size, "The size of a second look")
        for name in ("side", "temperature", "reach"):
            check_positive(getattr(self, name), f"The {name} of a second look")
        if len(self.certainty) != 2:
            raise InputError(f"The certainty of a second look must be two numbers, but got {list(self.certainty)}.")
        for value in self.certainty:
            check_finite(value, "The certainty of a second look")
