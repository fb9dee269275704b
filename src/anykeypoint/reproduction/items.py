"""How long training samples are: text tokens of the real question templates, before any data are at hand.

Tokens are counted by the model's tokenizer, which `networks.empty_model` replaces by a plain one (`pieces`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..category import Category
from ..instructions import Segment, Text
from ..models.generative.base import GenerativeModel
from ..models.generative.capellm import CapeLLM
from ..models.generative.kptllm import KptLLM
from ..training.generative.capellm_config import CapeLLMTrainConfig
from ..training.generative.generative_config import GenerativeTrainConfig
from ..training.generative.kptllm_config import KptLLMTrainConfig
from ..training.generative.rounds import grouped, pack
from ..training.generative.sequences import training_form
from ..training.generative.task_sequences import EXAMPLE_TASKS
from ..training.generative.writer import draw_description

DRAWS = 4  # number of times that the groups of a category are drawn for the means


@dataclass(frozen=True)
class ItemLengths:
    """Lengths of the samples of a training.

    items: number of samples of an epoch.
    text: mean number of text tokens of a sample.
    longest: number of text tokens of the longest one.
    answers: mean number of tokens that are learnt.
    crops: mean number of pictures that the image encoder sees for a sample.
    """

    items: float
    text: float
    longest: int
    answers: float
    crops: float = 1.0


@dataclass(frozen=True)
class _Drawn:
    """A drawn sample: its text tokens and those of them that are learnt, its pictures, and how many it stands for."""

    text: int
    answers: int
    crops: int
    weight: float


def item_lengths(model: GenerativeModel, recipe: GenerativeTrainConfig, objects: Mapping[Category, int]) -> ItemLengths:
    """The lengths of the samples of a training, if all keypoints of all objects are labelled and inside their crops.

    model: a CapeLLM or KptLLM, which may be without weights.
    recipe: how it is trained.
    objects: the number of objects of each category.
    """
    rng = np.random.default_rng(recipe.seed)
    draw = _capellm_samples if isinstance(model, CapeLLM) else _kptllm_samples
    samples = [sample for kind, count in objects.items() for sample in draw(model, recipe, kind, count, rng)]
    weights = np.array([sample.weight for sample in samples])

    def mean(name: str) -> float:
        return float(np.average([getattr(sample, name) for sample in samples], weights=weights))

    longest = max(sample.text for sample in samples)
    return ItemLengths(float(weights.sum()), mean("text"), longest, mean("answers"), mean("crops"))


def _capellm_samples(
    model: CapeLLM, recipe: CapeLLMTrainConfig, category: Category, count: int, rng: np.random.Generator
) -> Iterator[_Drawn]:
    """The samples of `count` objects of a category, from a few draws of the groups."""
    form, keypoints = training_form(model, recipe), list(range(len(category)))
    for _ in range(DRAWS):
        longest = len(keypoints) if recipe.item == "group" else recipe.pack
        groups = grouped(recipe.grouping, keypoints, recipe.rounds, longest, rng)
        sequences = [[group] for group in groups] if recipe.item == "group" else pack(groups, recipe.pack)
        for sequence in sequences:
            text = answers = 0
            for group in sequence:
                describe = [draw_description(recipe, rng) for _ in group]
                chosen = rng.integers(len(form.wordings), size=len(group)).tolist()
                more = _lengths(model, form.conversation(category, group, describe, wordings=chosen))
                text, answers = text + more[0], answers + more[1]
            yield _Drawn(text, answers, 1, count / DRAWS)


def _kptllm_samples(
    model: KptLLM, recipe: KptLLMTrainConfig, category: Category, count: int, rng: np.random.Generator
) -> Iterator[_Drawn]:
    """The samples of `count` objects of a category: every keypoint with every task of the recipe."""
    named = model.config.identify_first
    tasks = recipe.tasks.probabilities(model.form.tasks)
    drawn: list[_Drawn] = []
    for keypoint in range(len(category)):
        for task, probability in tasks.items():
            describe = draw_description(recipe, rng) if task in ("text", "both") else "detailed"
            options: dict[str, Any] = {"named": named}
            if task.startswith("misnamed"):
                options["given"] = category.keypoints[keypoint].name
            text, answers = _lengths(model, model.form.conversation(task, category, keypoint, describe, **options))
            text += task != "text"  # the prompt token
            crops = 2 if task in EXAMPLE_TASKS else 1
            drawn.append(_Drawn(text, answers, crops, probability * count * recipe.asks))
    if recipe.item == "group":
        yield from drawn
        return
    shares = [sample.weight / (count * recipe.asks) for sample in drawn]
    asked = len(category) * recipe.asks  # conversations of an object, in sequences of at most `pack`
    parts = -(-asked // recipe.pack)
    text, answers = (
        recipe.asks * sum(getattr(sample, name) * share for sample, share in zip(drawn, shares, strict=True)) / parts
        for name in ("text", "answers")
    )
    yield _Drawn(round(text), round(answers), max(sample.crops for sample in drawn), count * parts)


def _lengths(model: GenerativeModel, segments: Sequence[Segment]) -> tuple[int, int]:
    """The number of text tokens of a conversation, and of those that the model learns to write."""
    texts = model.tokenize([segment.text if isinstance(segment, Text) else "" for segment in segments])
    point = 1 if model.keypoint_token is not None else len(model.codec.encode_values(500, 500))
    counts = [len(ids) if isinstance(segment, Text) else point for segment, ids in zip(segments, texts, strict=True)]
    answers = sum(count for segment, count in zip(segments, counts, strict=True) if segment.answer)
    return sum(counts), answers
