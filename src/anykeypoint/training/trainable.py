"""The kinds of models that can be trained, and which of them a YAML file describes."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from ..configs.checks import near_names
from ..configs.yaml_files import from_mapping, load_yaml
from ..errors import InputError
from ..forms.dataset import Dataset
from ..forms.phrases import FILE, LIBRARY
from ..models.fewshot import fewshot_model as fewshots
from ..models.folders import model_type
from ..models.generative.capellm import CapeLLM, CapeLLMConfig
from ..models.generative.image_text import ImageTextNamer
from ..models.generative.image_text_config import ImageTextConfig
from ..models.generative.kptllm import KptLLM
from ..models.generative.kptllm_config import KptLLMConfig
from ..models.loading import from_folder
from ..models.matching.heads.registry import head_class
from ..models.matching.matcher_config import MatcherConfig
from ..models.matching.matcher_folder import MODEL_TYPE, read_config
from ..models.matching.model import build as build_matcher
from ..models.matching.plugging import plug_in
from .fewshot import fewshot_trainer
from .fewshot.fewshot_config import FewShotTrainConfig
from .generative import capellm_trainer, image_text_trainer, kptllm_trainer
from .generative.capellm_config import CapeLLMTrainConfig
from .generative.image_text_config import ImageTextTrainConfig
from .generative.kptllm_config import KptLLMTrainConfig
from .matching import matcher_trainer
from .matching.matcher_config import MatcherTrainConfig


@dataclass(frozen=True)
class Family:
    """A kind of model that can be trained.

    keys: names of the options in a YAML file that describes such a model.
    described: called with such a file's mapping and the file's name; gives the model's config.
    recipe: class of the config of a training.
    build: called with a model's config and a seed, and where a recipe has `frozen_precision` with keep_half=; gives a
        new model.
    train: called with a model, the data, a recipe, the folder of the run, which it writes, and quiet=.
    starts_from: whether a new model can start from a saved one of this `model_type`; None where it cannot from any.
    shares_features: whether `train` takes features=, a folder of image features that several runs share.
    started: called with a new model's config, the loaded model that it starts from, and a seed.
    skipped: what it means that a crop or an episode of a training was skipped.
    """

    keys: frozenset[str]
    described: Callable[[dict, str], Any]
    recipe: type
    build: Callable[..., Any]
    train: Callable[..., Any]
    skipped: str
    starts_from: Callable[[str | None], bool] | None = None
    started: Callable[[Any, Any, int], Any] | None = None
    shares_features: bool = False


def _train_capellm(model: Any, data: Dataset, config: CapeLLMTrainConfig, out: Path, quiet: bool = False) -> None:
    weights = getattr(data, "weights", None)
    capellm_trainer.train(model, data.objects, config, out, weights=weights, quiet=quiet)


def _is_capellm(kind: str | None) -> bool:
    return kind not in SAVED


def _keys(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))


CAPELLM = Family(
    _keys(CapeLLMConfig),
    lambda data, origin: from_mapping(CapeLLMConfig, data, origin),
    CapeLLMTrainConfig,
    CapeLLM.build,
    _train_capellm,
    "crops were skipped: no labelled point was inside",
    _is_capellm,
    capellm_trainer.from_capellm,
)
MATCHER = Family(
    MatcherConfig.keys(),
    lambda data, origin: MatcherConfig.from_dict(data),
    MatcherTrainConfig,
    build_matcher,
    matcher_trainer.train,
    "episodes had nothing to learn from: no keypoint of the query was visible",
    lambda kind: kind == MODEL_TYPE,
    plug_in,
    shares_features=True,
)
FEW_SHOT = Family(
    fewshots.FewShotConfig.keys(),
    lambda data, origin: fewshots.FewShotConfig.from_dict(data),
    FewShotTrainConfig,
    fewshots.build,
    fewshot_trainer.train,
    "episodes had nothing to learn from: no keypoint of the examples was visible",
)
KPTLLM = Family(
    _keys(KptLLMConfig) | {"preset"},
    lambda data, origin: KptLLMConfig.from_dict(data),
    KptLLMTrainConfig,
    KptLLM.build,
    kptllm_trainer.train,
    "crops were skipped: nothing that a task needs was inside",
    _is_capellm,
    kptllm_trainer.from_capellm,
)
IMAGE_TEXT = Family(
    _keys(ImageTextConfig),
    lambda data, origin: from_mapping(ImageTextConfig, data, origin),
    ImageTextTrainConfig,
    ImageTextNamer.build,
    image_text_trainer.train,
    "points were skipped: they lay outside the crop",
)
FAMILIES = {
    "a matcher": MATCHER,
    "a few-shot baseline": FEW_SHOT,
    "a CapeLLM": CAPELLM,
    "a KptLLM": KPTLLM,
    "an image-text model": IMAGE_TEXT,
}
SAVED = {
    MODEL_TYPE: MATCHER,
    fewshots.MODEL_TYPE: FEW_SHOT,
    KptLLM.model_type: KPTLLM,
    ImageTextNamer.model_type: IMAGE_TEXT,
    "llava": IMAGE_TEXT,
}


def model_for(family: Family, config: Any, start: Path | None, recipe: Any) -> Any:
    """The model that a training begins with; the recipe says how its frozen weights are kept, see `_kept`.

    config: of a new model; None where the saved one is trained further.
    start: folder of the saved model, which a new one is built on; None for none.
    """
    if start is None:
        return family.build(config, recipe.seed, **_kept(recipe))
    model = saved_model(start, recipe)
    return model if config is None else family.started(config, model, recipe.seed)


def saved_model(folder: Path, recipe: Any) -> Any:
    """The model of a folder for a training; the recipe says how its frozen weights are kept, see `_kept`."""
    return from_folder(folder, **_kept(recipe))


def keeps_features(family: Family, recipe: Any) -> bool:
    """Whether a training keeps image features in a folder that several runs can share."""
    return family.shares_features and recipe.features == "cached"


def shared_features(family: Family, recipe: Any, folder: Path | None) -> dict[str, Path]:
    """What `Family.train` takes for a folder of features that several runs share; {} for None.

    Raises InputError for a folder where the recipe keeps no features.
    """
    if folder is None:
        return {}
    if not keeps_features(family, recipe):
        raise InputError("--features is for a matcher whose recipe has features: cached; leave it out.")
    return {"features": folder}


def _kept(recipe: Any) -> dict[str, bool]:
    """What loads a model without float32 copies of weights that its training keeps in half precision anyway."""
    return {"keep_half": True} if getattr(recipe, "frozen_precision", "fp32") == "bf16" else {}


EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"  # YAML files that come with the package


def find_yaml(given: Path) -> Path:
    """The YAML file that `train` was given: a file, or the name of one in `experiments/`.

    Raises InputError, with near names, where it is neither.
    """
    named = EXPERIMENTS / f"{given.name.removesuffix('.yaml')}.yaml"
    if given.exists() or (len(given.parts) == 1 and not named.is_file() and given.suffix):
        return given
    if len(given.parts) == 1 and named.is_file():
        return named
    known = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml") if not path.stem.endswith("_tables"))
    raise InputError(
        f"There is no file {given}{near_names(given.name, known)}; give a YAML file, or the name of one that comes "
        f"with the package: {', '.join(known)}."
    )


def recipe_of(data: Any) -> Any:
    """The recipe in a YAML file that is one, or that has a model and its recipe."""
    return data["recipe"] if isinstance(data, dict) and set(data) == {"model", "recipe"} else data


def further(start: Path) -> dict[str, Any]:
    """The recipe for training a saved model further where none is given; {}, its family's defaults, for no matcher.

    start: the model's folder.
    """
    if model_type(start) != MODEL_TYPE:
        return {}
    given, config = load_yaml(EXPERIMENTS / "further.yaml"), read_config(start)
    if "both" not in config.prompts:
        del given["modality_dropout"]
    if config.vision.tuning != "frozen" or config.own_example_encoder:
        given["features"] = "live"
    return given


def parts(data: Any, origin: str) -> tuple[Any, Any]:
    """The description of a model and the recipe in a YAML file.

    data: the file's content: a mapping with `model` and `recipe`, or a description alone, for which the recipe is {}.
    origin: the file's name, for messages.
    """
    if not isinstance(data, dict):
        raise InputError(f"{origin} must be a mapping of settings, but got {data!r}.")
    if not data:
        raise InputError(f"{origin} is empty; describe a model in it, or leave it out.")
    if set(data) == {"model", "recipe"}:
        return data["model"], data["recipe"]
    return data, {}


def family_of(described: Any, origin: str) -> Family:
    """The first kind of model that has all keys of a description.

    The order is CapeLLM, matcher, few-shot baseline, KptLLM, image-text model.

    described: the description of a model, as `parts` gives it.
    origin: the file's name, for messages.

    Raises InputError, listing the keys of every kind, where no kind has them all.
    """
    if not isinstance(described, dict):
        raise InputError(f"{origin} must describe a model by a mapping of settings, but got {described!r}.")
    for family in (CAPELLM, MATCHER, FEW_SHOT, KPTLLM, IMAGE_TEXT):
        if described.keys() <= family.keys:
            return family
    known = "; ".join(f"{what} has {', '.join(sorted(family.keys))}" for what, family in FAMILIES.items())
    apart = [
        pair for pair in combinations(described, 2) if not any(family.keys >= {*pair} for family in FAMILIES.values())
    ]
    unknown = [key for key in described if not any(key in family.keys for family in FAMILIES.values())]
    near = near_names(unknown[0], set().union(*(family.keys for family in FAMILIES.values()))) if unknown else ""
    odd = f"the unknown key {unknown[0]!r}{near}" if unknown else f"{apart[0][0]!r} beside {apart[0][1]!r}"
    raise InputError(f"{origin} has {odd}; {known}.")


def with_phrases(recipe: Any, phrases: str) -> Any:
    """The recipe with other `phrases`; InputError for one of a model that reads no phrases."""
    if not isinstance(recipe, MatcherTrainConfig):
        raise InputError(f"--phrases is for matchers that read text, such as capex, flf and dlf, but got {phrases!r}.")
    return replace(recipe, phrases=phrases)


def wanted_phrases(recipe: Any, new: Any, start: Path | None = None) -> str | None:
    """Whose words `forms.registry.read` is to read the training data with.

    They are the recipe's, otherwise those that the model to start from was trained in, otherwise those that models of
    its kind were published with.

    recipe: of any family; only a matcher's names phrases.
    new: config of a new model; None where a saved one is trained further.
    start: folder of the model to start from.
    """
    if not isinstance(recipe, MatcherTrainConfig):
        return LIBRARY
    saved = None if start is None else read_config(start)
    config = saved if new is None else new
    if not config.takes_text and recipe.phrases not in (None, LIBRARY):
        raise InputError(f"{config.name} reads no text, but its recipe has phrases: {recipe.phrases}; leave it out.")
    if recipe.phrases is not None:
        return recipe.phrases
    trained = None if saved is None else saved.phrases
    if trained is not None:
        return None if trained == FILE else trained
    return None if head_class(config.name).file_phrases and not config.described else LIBRARY
