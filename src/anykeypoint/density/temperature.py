"""Temperature: one number that makes the distributions of a trained model as wide as its errors are.

At temperature T a distribution p becomes p^(1/T), normalised again: T above 1 widens it, T below 1 narrows it, and 1
leaves it as it is, to the bit. It is fitted on labelled objects that the model was not trained on
(`anykeypoint calibrate`) and kept in the model's config. Confidences, densities, and all that is computed from these
are those of the distribution at its temperature. Points are read from the distribution as the model gives it, so that
no temperature moves them.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..configs.checks import check_positive
from ..configs.strict import Config
from ..errors import InputError


@dataclass(frozen=True)
class Temperature(Config):
    """The temperatures of a model, one for each kind of prompt, as its certainty differs between them.

    text: of predictions from words.
    example: of predictions from examples.
    both: of predictions from words and examples together.
    """

    called = "The temperatures of a model"

    text: float = 1.0
    example: float = 1.0
    both: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = check_positive(getattr(self, field.name), f"A model's temperature by {field.name}")
            object.__setattr__(self, field.name, value)

    def of(self, prompt: str) -> float:
        """The temperature for a kind of prompt: "text", "example" or "both"."""
        return getattr(self, prompt)

    def check(self, prompts: Collection[str]) -> None:
        """InputError for a temperature other than 1 of a prompt that the model does not take.

        prompts: the kinds that it takes; none where its answers have no distribution.
        """
        for field in fields(self):
            if field.name not in prompts and self.of(field.name) != 1:
                known = f"has {' and '.join(prompts)}" if prompts else "has no distribution, so none"
                raise InputError(
                    f"The temperature by {field.name} is {self.of(field.name):g}, but this model {known}; leave it out."
                )


def tempered(probabilities: Tensor, temperature: float, dims: int = 1) -> Tensor:
    """Distributions at a temperature: p^(1/T), normalised; the very same tensor where T is 1.

    probabilities: [...], from 0 up; they need not sum to 1.
    temperature: T, above 0.
    dims: number of last dimensions that a distribution is over.
    """
    if temperature == 1:
        return probabilities
    values = probabilities.flatten(-dims)
    logs = values.clamp(min=torch.finfo(values.dtype).tiny).log() / temperature
    return logs.softmax(dim=-1).view(probabilities.shape)
