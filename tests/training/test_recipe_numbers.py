"""Every number of a recipe is checked where the recipe is read, before anything is loaded or trained."""

from dataclasses import MISSING, fields, is_dataclass

import pytest

from anykeypoint.configs.strict import Config
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.errors import InputError
from anykeypoint.training.adapting.adapt_config import AdaptConfig
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.kptllm_config import TaskWeights
from anykeypoint.training.matching.matcher_config import ModalityDropout
from anykeypoint.training.matching.phrase_draws import PhraseDraws
from anykeypoint.training.trainable import FAMILIES

RECIPES = {family.recipe for family in FAMILIES.values()}
CONFIGS = [*sorted(RECIPES, key=lambda kind: kind.__name__), AdaptConfig, AugmentConfig]
CONFIGS += [GuideConfig, TaskWeights, ModalityDropout, PhraseDraws]


def _numbers(kind: type[Config]) -> list[str]:
    """The fields whose default is a number, a flag excepted."""
    return [
        field.name for field in fields(kind) if field.default is not MISSING and type(field.default) in (int, float)
    ]


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_no_number_of_a_recipe_is_below_zero_or_no_number(kind, value):
    assert is_dataclass(kind)
    for name in _numbers(kind):
        with pytest.raises(InputError, match=name):
            kind(**{name: value})


@pytest.mark.parametrize("kind", sorted(RECIPES, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_a_moving_average_that_grows_is_refused(kind):
    """A decay of 1 would save the weights before the training, and one above 1 weights that grow without end."""
    for decay in (1.0, 1.5):
        with pytest.raises(InputError, match="ema must be at least 0 and below 1"):
            kind(ema=decay)


@pytest.mark.parametrize("layers", [(-1,), (0, -2)])
def test_guided_layers_are_counted_from_zero(layers):
    with pytest.raises(InputError, match="whole number from 0"):
        GuideConfig(layers=layers)
