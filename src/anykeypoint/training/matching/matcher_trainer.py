"""Training of the matchers on episodes: a query whose keypoints are given by text, by examples or by both."""

import math
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ...category import Category
from ...crops.batches import Episode, collate
from ...crops.heatmaps import heat_centres
from ...data.episodes import EpisodeConfig, EpisodeSampler
from ...data.pairs import too_small
from ...errors import InputError
from ...forms.dataset import Dataset
from ...forms.phrases import words_of
from ...models.matching.heads.base import Prompt
from ...models.matching.model import MatchingModel
from ...models.matching.parts.losses import mean_over_layers
from ...models.precision import float32_parts
from .. import loop
from ..episode_trainer import EpisodeTrainer
from ..trainer import MicroBatch, StepPlan
from .feature_cache import FULL, CachedFeatureSampler, FixedCropSampler, compute_features, shared_folder
from .matcher_batch import EpisodePrompt, MatcherBatch, matcher_batch
from .matcher_config import MatcherTrainConfig
from .phrase_draws import drawn_phrases
from .phrase_table import PhraseTable, phrase_table


def train(
    model: MatchingModel,
    data: Dataset,
    config: MatcherTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
    features: Path | None = None,
) -> MatchingModel:
    """Train a matcher in place, see `loop.run` for `out` and what follows it. Returns the model.

    With features "cached" those of the image encoder are kept in `out/features`, or in a folder of `features` that
    runs with the same encoder and the same crops share. Raises InputError when nothing is
    trainable, and where model, data and recipe do not fit each other.
    """
    loop.run(MatcherTrainer(model, data, config, quiet, features), out, on_step, stop_after, quiet)
    return model


class MatcherTrainer(EpisodeTrainer):
    """The trainer of a matcher; see `Trainer` for the methods."""

    def __init__(
        self,
        model: MatchingModel,
        data: Dataset,
        config: MatcherTrainConfig,
        quiet: bool = False,
        shared_features: Path | None = None,
    ) -> None:
        """Raises InputError where config and model differ.

        quiet: no progress on stderr while features are computed.
        shared_features: folder of the features that several runs share; None keeps them in the run's own folder.
        """
        self.model, self.data, self.config, self.quiet = model, data, config, quiet
        self.shared_features = shared_features
        if model.config.takes_text:
            model.config = replace(model.config, phrases=words_of(data, config.phrases))
        dropout = config.modality_dropout
        if (dropout.words_only or dropout.example_only) and "both" not in model.prompts:
            raise InputError(
                f"modality_dropout leaves out words or the example, but {model.config.name} takes one of them only; "
                "leave it out."
            )
        if config.phrase_draws and not model.config.takes_text:
            raise InputError(f"phrase_draws are for matchers that read text, not {model.config.name}; leave it out.")
        if config.prompts_per_picture > 1 and not (model.head.many_prompts and "both" in model.prompts):
            raise InputError(
                f"prompts_per_picture {config.prompts_per_picture} is for the head evidence, not {model.config.name}; "
                "leave it out."
            )
        if config.features == "cached" and model.config.vision.tuning != "frozen":
            raise InputError("features 'cached' need an image encoder that stays as it is; set its tuning to frozen.")
        if config.features == "cached" and model.config.own_example_encoder:
            raise InputError("features 'cached' are of one image encoder; set own_example_encoder to false.")

    def prepare(self, accelerator: Accelerator, out: Path) -> StepPlan:
        self.model.to(accelerator.device)
        self.table = self._table(accelerator, out / "phrases")
        self.model.head.prepare(self._phrases)
        self.episodes = self._sampler(accelerator, out / "features")
        if "text" not in self.model.prompts and not self.quiet:
            self.note_left_out(accelerator)
        return self.plan(accelerator)

    def loss_names(self, step: int) -> tuple[str, ...]:
        return ("loss", *self.model.head.loss_names, *(("names",) if self.config.contrast else ()))

    def load(self, numbers: range, step: int) -> MicroBatch:
        sizes = [len(self.data.objects[self.episodes.pair(number).query].category) for number in numbers]
        kept = [self._kept_keypoints(number, size) for number, size in zip(numbers, sizes, strict=True)]
        prompts = [
            self.prompts(number, len(rows), self.episodes.is_alone(number))
            for number, rows in zip(numbers, kept, strict=True)
        ]
        with ThreadPoolExecutor(min(len(numbers), os.cpu_count() or 1)) as pool:  # reads and crops pictures in parallel
            episodes = pool.map(
                self.episodes.episode, numbers, [any(prompt.example for prompt in each) for each in prompts]
            )
            cut = [_only(episode, rows) for episode, rows in zip(episodes, kept, strict=True)]
        stacked, points = collate(cut), None
        if self.model.head.reads_points:
            shown, drawn = stacked.examples, self.model.config
            points = heat_centres(shown.points, shown.visible, drawn.sigma, drawn.cells)
        batch = matcher_batch(stacked, [prompt for each in prompts for prompt in each], points)
        skipped = int((~batch.labelled.any(dim=1)).unflatten(0, (len(numbers), -1)).all(dim=1).sum())
        return self.micro_batch(batch, numbers, skipped)

    def losses(self, batch: MatcherBatch, step: int) -> dict[str, Tensor]:
        batch, model = batch.to(self.model.device), self.model
        query = self._features(batch.query)
        examples = phrases = None
        if len(batch.with_examples):
            given = self._features(batch.examples, examples=True)
            examples = given.new_zeros(len(batch.valid), *given.shape[1:]).index_copy(0, batch.with_examples, given)
        if any(prompt.text for prompt in batch.prompts):
            phrases = self._phrase_features(batch)
        prompt = Prompt(
            example_features=examples,
            heatmaps=None if examples is None else batch.example_heatmaps,
            example_points=None if examples is None else batch.example_points,
            example_visible=None if examples is None else batch.example_visible,
            phrases=phrases,
            has_text=None if phrases is None else batch.has_text,
            skeletons=[category.skeleton for category in batch.categories],
        )
        output = model.match(query, batch.valid, prompt)
        weight = self.config.heat_weight
        terms = model.losses(output, batch.points, batch.heatmaps, batch.labelled, batch.valid, weight)
        if self.config.layer_loss == "mean":
            terms = mean_over_layers(terms)
        if self.config.contrast:
            names = model.head.naming_loss(output, batch.points, batch.labelled, batch.valid)
            terms = {**terms, "names": self.config.contrast * names}
        return {"loss": sum(terms.values()), **{name: term.detach() for name, term in terms.items()}}

    def prompts(self, number: int, keypoints: int, alone: bool = False) -> tuple[EpisodePrompt, ...]:
        """Draw all prompts of an episode; the arguments are those of `prompt`."""
        first = self.prompt(number, keypoints, alone)
        if self.config.prompts_per_picture == 1:
            return (first,)
        worded = np.random.default_rng([self.config.seed, 10, number]).random() < 0.5
        words, example = replace(first, text=True, example=False), replace(first, text=bool(worded), example=True)
        return (words, words if alone else example)

    def prompt(self, number: int, keypoints: int, alone: bool = False) -> EpisodePrompt:
        """Draw the prompts of an episode.

        number: number of the episode in the run.
        keypoints: number of keypoints of the episode.
        alone: the query's category has no other object, so only words can ask for its points.
        """
        config, model = self.config, self.model.config
        rng = np.random.default_rng([config.seed, 4, number])
        modality, describe = rng.random(2)
        words_only, example_only = config.modality_dropout.words_only, config.modality_dropout.example_only
        form, voice = config.phrase_draws.draw(config.seed, number) if config.phrase_draws else ("name", 0)
        chosen = None
        if config.support_points_fraction is not None:
            count = max(1, math.floor(round(keypoints * config.support_points_fraction, 6)))
            chosen = np.isin(np.arange(keypoints), rng.choice(keypoints, count, replace=False))
        return EpisodePrompt(
            text=model.takes_text and (alone or not words_only <= modality < words_only + example_only),
            example=model.takes_examples and modality >= words_only and not alone,
            described=bool(describe < config.describe),
            keypoints=chosen,
            form=form,
            voice=voice,
        )

    def _kept_keypoints(self, number: int, keypoints: int) -> np.ndarray:
        """The indices of the keypoints that an episode keeps, of so many that its category has."""
        most = self.config.most_keypoints
        if not 0 < most < keypoints:
            return np.arange(keypoints)
        return np.sort(np.random.default_rng([self.config.seed, 8, number]).choice(keypoints, most, replace=False))

    def _table(self, accelerator: Accelerator, folder: Path) -> PhraseTable | None:
        """The vectors of all phrases that episodes may draw; None where the recipe draws none."""
        draws, model = self.config.phrase_draws, self.model
        if draws is None:
            return None
        share = self.config.describe if model.config.described else 0.0
        described = [with_description for with_description in (False, True) if share != 1 - with_description]
        phrases = draws.all_phrases(self.categories(), described)
        return phrase_table(model.text_encoder, phrases, folder, accelerator, self.quiet)

    def _phrases(self) -> Tensor:
        """Text features of all phrases of the data's keypoints, each phrase once, P D."""
        if self.table is not None:
            return self.model.beside_places(self.table.vectors, self.table.phrases)
        asked = self.model.phrase
        points = {(point, item.category.noun) for item in self.data.objects for point in item.category.keypoints}
        by_text = {phrase.text: phrase for phrase in (asked(point, noun=noun) for point, noun in points)}
        texts = sorted(by_text)
        vectors = self.model.text_encoder.phrases(texts)
        return self.model.beside_places(vectors, [by_text[text] for text in texts])

    def _phrase_features(self, batch: MatcherBatch) -> Tensor:
        """Text features of the keypoints, B K D; zeros in episodes without text and in padding."""
        features = torch.zeros(*batch.has_text.shape, self.model.phrase_width, device=batch.query.device)
        for row, (category, prompt) in enumerate(zip(batch.categories, batch.prompts, strict=True)):
            if prompt.text:
                with torch.autocast(batch.query.device.type, enabled=False):  # in full precision, as in prediction
                    features[row, : len(category)] = self._category_phrases(category, prompt)
        return features

    def _category_phrases(self, category: Category, prompt: EpisodePrompt) -> Tensor:
        """Text features of a category's keypoints, K D, in the form that was drawn."""
        if self.table is None:
            return self.model.phrases(category, prompt.described)
        described = prompt.described and self.model.config.described
        phrases = drawn_phrases(category, prompt.form, prompt.voice, described)
        return self.model.beside_places(self.table.vectors_of(phrases), phrases)

    def _features(self, crops: Tensor, examples: bool = False) -> Tensor:
        """Image features ... C h w.

        crops: pixels ... S S 3 uint8, or features ... C h w float16 that were computed before.
        examples: whether the crops are of examples, for which a model may have an image encoder of its own.
        """
        if crops.dtype != torch.uint8:
            return crops.float()
        flat = self.model.encoder.normalise(crops.flatten(0, -4))
        return self.model.features(flat, examples).unflatten(0, crops.shape[:-3])

    def _note_alone(self, accelerator: Accelerator) -> None:
        """Say on stderr which categories have too few objects for an example and are asked for by words alone."""
        shots = self.config.shots
        small = [self.data.categories[key].name for key, count in too_small(self.data, shots, 1).items() if count]
        if small and accelerator.is_main_process and not self.quiet:
            print(
                f"{len(small)} categories have too few objects for an example and are trained by words alone: "
                f"{', '.join(small[:5])}{' ...' if len(small) > 5 else ''}",
                file=sys.stderr,
            )

    def _sampler(self, accelerator: Accelerator, folder: Path) -> EpisodeSampler:
        """The sampler of the run's episodes; with features "cached" they are computed here, into `folder`."""
        config, model = self.config, self.model.config
        drawn = EpisodeConfig(
            shots=config.shots,
            sampling=config.sampling,
            small=config.small,
            crop_scale=model.crop_scale,
            size=model.vision.image_size,
            released_crop=model.released_crop,
            sigma=model.sigma,
            cells=model.cells,
            heatmaps=not self.model.head.reads_points,
            example_pixels=model.takes_examples,
            seed=config.seed,
            augment=config.augment,
        )
        alone = "text" in self.model.prompts  # a category of one object can be asked for by words
        if alone and model.takes_examples:
            self._note_alone(accelerator)
        if not config.versions:
            return EpisodeSampler(self.data, drawn, alone)
        sampler = FixedCropSampler(self.data, drawn, config.versions, alone)
        if config.features == "live":
            return sampler

        encoder = self.model.encoder

        @torch.no_grad()
        def features(crops: np.ndarray) -> Tensor:
            with accelerator.autocast(), float32_parts(encoder):
                return self._features(torch.from_numpy(crops).to(self.model.device))

        precision = FULL if encoder.stays_float32 else config.precision
        if self.shared_features is not None:
            folder = shared_folder(self.shared_features, sampler, encoder, precision)
        maps = compute_features(sampler, encoder, features, folder, accelerator, self.quiet, precision)
        return CachedFeatureSampler(self.data, drawn, maps, alone)


def _only(episode: Episode, keypoints: np.ndarray) -> Episode:
    """The episode with these keypoints alone; the same object where they are all."""
    return episode if len(keypoints) == len(episode.category) else episode.only(keypoints)
