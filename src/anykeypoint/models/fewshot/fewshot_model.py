"""A few-shot baseline as a model: an image encoder and a method, asked by examples; and its folder.

A folder holds config.json and model.safetensors with all weights, those of the encoder among them.

Letters: B episodes, S examples, K keypoints, C channels, h x w cells.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...configs.checks import check_positive
from ...configs.strict import Config
from ...crops.batches import EpisodeBatch
from ...density.presence import PRESENT_FROM, Presence, entropy_shares
from ...density.temperature import Temperature, tempered
from ...errors import InputError
from ...example import Example
from ...geometry import MATCHER_CROP, Box, visible_in
from ...images import ImageSource
from ...io import made_folder
from ...library.lookup import as_category
from ...pose import Pose
from ..arguments import Boxes, CategoryLike, check_density, check_options, check_words, for_each
from ..batched import ObjectQuery, PredictsMany
from ..cache import CachingModule, pixels_key
from ..examples import as_examples, check_examples, check_inside
from ..folders import fill, read_settings, write_folder
from ..predicting import one_or_several
from ..towers.image_encoder import ImageEncoder
from ..towers.vision import build_encoder
from ..towers.vision_config import VisionConfig
from ..view import ObjectCrop, cut_object, density_of
from .method import Adapted, Episodes, Located
from .registry import method_class

MODEL_TYPE = "few_shot"


@dataclass(frozen=True)
class FewShotConfig(Config):
    """Everything that makes one baseline.

    method: one of `registry.METHODS`.
    options: config of the method; None takes its defaults.
    vision: the image encoder; one that is read without a `tuning` is tuned fully.
    crop_scale: side of a crop over the longer side of the box.
    temperature: of its distributions by examples, see `density.temperature`.
    presence: whether a point is there, by each kind of prompt, see `density.presence`.
    """

    called = "The options of a few-shot model"
    former_keys: ClassVar[Mapping[str, str]] = {"backbone": "vision"}

    method: str = "protonet"
    options: Config | None = None
    vision: VisionConfig = field(
        default_factory=lambda: VisionConfig("resnet50", image_size=MATCHER_CROP[1], tuning="full")
    )
    crop_scale: float = MATCHER_CROP[0]
    temperature: Temperature = field(default_factory=Temperature)
    presence: Presence = field(default_factory=Presence)

    def __post_init__(self) -> None:
        kind = method_class(self.method).config_class
        if self.options is None:
            object.__setattr__(self, "options", kind())
        if not isinstance(self.options, kind):
            raise InputError(f"The options of {self.method} must be a {kind.__name__}, but got {self.options!r}.")
        check_positive(self.crop_scale, "crop_scale")
        self.temperature.check(("example",))
        self.presence.check(("example",))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read the form of `to_dict`, or of version 0.1.0; unknown keys are refused."""
        if isinstance(data, Mapping) and isinstance(options := data.get("options"), Mapping):
            kind = method_class(data.get("method", cls.method)).config_class
            data = {**data, "options": kind.from_dict(options)}
        if isinstance(data, Mapping):
            vision = {key: data[key] for key in ("vision", "backbone") if isinstance(data.get(key), Mapping)}
            data = {**data, **{key: VisionConfig.from_dict(one, tuning="full") for key, one in vision.items()}}
        return super().from_dict(data)


class FewShotModel(PredictsMany, CachingModule):
    """Asked by examples alone; names and descriptions are never read. What the last examples taught is kept."""

    prompts = ("example",)
    batch = 1  # each crop is computed as if it were alone
    cache_size = 8  # number of lists of examples whose adapted method is kept

    def __init__(self, config: FewShotConfig, encoder: ImageEncoder) -> None:
        super().__init__()
        self.config = config
        self.name = config.method
        self.encoder = encoder
        self.method = method_class(config.method)(config.options, encoder.channels)

    def resize(self, image_size: int) -> None:
        """From now on, take crops of so many pixels a side; InputError for a size that the encoder cannot take."""
        self.encoder = self.encoder.resized(image_size)
        self.config = replace(self.config, vision=replace(self.config.vision, image_size=image_size))
        self.cache.clear()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    # --- prediction --------------------------------------------------------------------------------------------------

    @one_or_several
    def predict(
        self,
        image: ImageSource | Sequence[ImageSource],
        category: CategoryLike,
        box: Boxes = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        presence: float = PRESENT_FROM,
        **others: Any,
    ) -> Pose | list[Any]:
        """Where the category's keypoints are, in original image pixels, in the category's order.

        image, box: of one object, the whole picture where the box is None; for several boxes or pictures the poses are
            lists, see `arguments.for_each`.
        category: names the keypoints (see `library.lookup.as_category`).
        example: one or several. A keypoint that none of them shows inside its crop has no place.
        words: not used; other kinds of models have it.
        density: also give each keypoint's distribution: True over the cells of the map, a number over so many a side.
        presence: the presence from which a point is present; its place is the same in any case.

        The confidence is the probability, by that distribution, within a tenth of the crop of the point. Raises
        InputError where the examples do not fit the category.
        """
        check_options("A few-shot baseline", others, ("example", "words", "density", "presence"))
        known, density = as_category(category), check_density(density)
        check_words(words)
        adapted = self.fit(example, known)
        return for_each(
            image, box, lambda one, at: self._located(adapted, self._cut(one, at), known, density, presence)
        )

    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Pose]:
        """One pose for each query, in order, one after another; InputError as of `predict`."""
        found: list[Any] = []
        for query in queries:
            found.append(self.predict(query.image, query.category, query.box, **query.arguments))
        return found

    def confidences_at(
        self,
        image: ImageSource,
        category: CategoryLike,
        temperatures: Sequence[float],
        box: Box | None = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The points [K, 2] in image pixels, and their confidences [T, K] at each of T temperatures, as `predict`'s."""
        adapted, cut = self.fit(example, as_category(category)), self._cut(image, box)
        features = self._features(cut.pixels[None])
        located = [adapted.locate(features, temperature) for temperature in temperatures]
        points = cut.to_image(located[0].points[0].cpu().double().numpy())
        return points, np.stack([one.confidence[0].cpu().double().numpy() for one in located])

    def presence_cues(
        self,
        image: ImageSource,
        category: CategoryLike,
        box: Box | None = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
    ) -> np.ndarray:
        """The cues [K, 2] of presence, see `density.presence`; NaN for keypoints that no example shows."""
        adapted = self.fit(example, as_category(category))
        return _cues(adapted.locate(self._features(self._cut(image, box).pixels[None])))

    def _located(
        self, adapted: Adapted, crop: ObjectCrop, category: Category, density: bool | int, least: float
    ) -> Pose:
        """The pose of one object. adapted: what the method learnt from the examples."""
        located = adapted.locate(self._features(crop.pixels[None]), self.config.temperature.example)
        points = located.points[0].cpu().double().numpy()
        confidence = located.confidence[0].cpu().double().numpy()
        own = self.config.temperature.example
        presence = self.config.presence.of("example", _cues(located, own))
        if not density:
            return crop.pose(category, points, confidence, None, presence, least)
        grids = located.density[0].cpu().double().numpy()
        present = np.flatnonzero(~np.isnan(points).any(axis=1)).tolist()
        densities = {k: density_of(crop.crop, grids[k], density) for k in present}
        return crop.pose(category, points, confidence, densities, presence, least)

    def fit(self, examples: Example | Sequence[Example] | None, category: Category) -> Adapted:
        """What the method learns from examples of a category, from the cache where it is there.

        Raises InputError unless each has the category's points, none of them outside its picture, and one or more of
        them lie in an example's crop.
        """
        given = [] if examples is None else as_examples(examples)
        if not given:
            raise InputError("A few-shot model needs one or more examples, but got none.")
        cuts = []
        for one in check_examples(given, category):
            crop = self._cut(one.image, one.box)
            check_inside(one, crop.image_size)
            cuts.append((crop.pixels, crop.crop.normalise(one.points)))
        cuts.sort(key=_key)  # their order changes rounding, which many gradient steps amplify
        pixels, points = map(list, zip(*cuts, strict=True))
        visible = visible_in(np.stack(points).reshape(-1, 2)).reshape(len(points), len(category))
        if not visible.any():
            raise InputError("An example must show one point or more near its box, but all lie outside of its crop.")
        return self.cache.get(b"".join(map(_key, cuts)), lambda: self._fit(pixels, points, visible))

    def _cut(self, image: ImageSource, box: Box | None) -> ObjectCrop:
        size = self.encoder.config.image_size or 0  # the config of an encoder has it
        return cut_object(image, box, self.config.crop_scale, size)

    def _fit(self, pixels: list[np.ndarray], points: list[np.ndarray], visible: np.ndarray) -> Adapted:
        maps = self._features(np.stack(pixels))
        with torch.inference_mode(False):  # fitting takes gradients, also inside a caller's inference mode
            places = torch.from_numpy(np.stack(points)).float().to(self.device)
            return self.method.fit(maps, places, torch.from_numpy(visible).to(self.device))

    def _features(self, pixels: np.ndarray) -> Tensor:
        """Crops [N, S, S, 3] uint8 -> maps [N, C, h, w] without a gradient, each computed as if it were alone."""
        with torch.inference_mode(False), torch.no_grad():
            crops = torch.from_numpy(pixels).to(self.device)
            return torch.cat([self.encoder.map(self.encoder.normalise(crop[None])) for crop in crops])

    # --- training ----------------------------------------------------------------------------------------------------

    def meet(self, categories: Iterable[tuple[str, int]]) -> None:
        """Prepare for training on categories, given by name and number of keypoints; see `FewShotMethod.meet`."""
        options = self.method.meet(tuple(dict.fromkeys(categories)))
        self.config = replace(self.config, options=options)

    def learnable(self, batch: EpisodeBatch) -> np.ndarray:
        """[B] bool, the episodes that have something to learn from."""
        return self.method.learnable(batch.examples.visible.any(axis=1), batch.query.visible).any(axis=1)

    def loss(self, batch: EpisodeBatch) -> Tensor:
        """The method's loss on a batch of episodes; gradients reach the image encoder where it is tuned."""
        return self.method.loss(self.episodes(batch))

    def episodes(self, batch: EpisodeBatch) -> Episodes:
        """A batch of pictures as maps; InputError where they are of another size than the encoder's."""
        side, own = batch.query.pixels.shape[1], self.encoder.config.image_size
        if side != own:
            raise InputError(
                f"This model looks at crops of {own} pixels, but the episodes have {side}; draw that size."
            )
        shots = batch.examples.pixels.shape[1]
        pixels = np.concatenate([batch.examples.pixels.reshape(-1, side, side, 3), batch.query.pixels])
        maps = self.encoder.map(self.encoder.normalise(torch.from_numpy(pixels).to(self.device)))
        examples, query = maps.split([len(pixels) - len(batch.query.pixels), len(batch.query.pixels)])

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(self.device)

        return Episodes(
            examples=examples.unflatten(0, (-1, shots)),
            points=tensor(batch.examples.points).float(),
            visible=tensor(batch.examples.visible),
            query=query,
            query_points=tensor(batch.query.points).float(),
            query_visible=tensor(batch.query.visible),
            categories=tuple((category.name, len(category)) for category in batch.categories),
        )

    # --- folder ------------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `load` reads."""
        folder = made_folder(folder, "A model's folder")
        config = replace(self.config, vision=self.encoder.saved_config())
        write_folder(folder, MODEL_TYPE, config.to_dict(), self.state_dict(), None)


def _cues(located: Located, temperature: float = 1.0) -> np.ndarray:
    """The cues [K, 2] of presence; there are no scores. temperature: that the densities are at."""
    grids = tempered(located.density[0].cpu().double(), 1 / temperature, dims=2).numpy()
    placed = np.isfinite(located.points[0].cpu().numpy()).all(axis=1)
    entropies = np.full(len(grids), np.nan)
    entropies[placed] = entropy_shares(grids[placed])
    return np.column_stack([entropies, np.full(len(grids), np.nan)])


def build(config: FewShotConfig, seed: int = 0) -> FewShotModel:
    """A baseline in eval mode; seed: of its random weights. Raises InputError where weights cannot be had."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FewShotModel(config, build_encoder(config.vision)).eval()


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> FewShotModel:
    """The baseline of a folder, in eval mode.

    dtype: float32 alone, as the gradient steps on examples are too small for coarser precisions.

    Raises InputError for another dtype, for a folder that holds no baseline, and for other tensors than it should hold.
    """
    if dtype != torch.float32:
        raise InputError(f"A few-shot baseline computes in float32, but got {str(dtype).removeprefix('torch.')}.")
    folder = Path(folder)
    model = build(FewShotConfig.from_dict(read_settings(folder, MODEL_TYPE)))
    fill(folder, model.state_dict(), todays_name)
    return model


def todays_name(name: str) -> str:
    """The name of a tensor in today's folders, of a name in a folder of version 0.1.0 or of today."""
    former = "backbone.encoder."
    return f"encoder.{name.removeprefix(former)}" if name.startswith(former) else name


def _key(cut: tuple[np.ndarray, np.ndarray]) -> bytes:
    """A key that is equal for equal pixels [S, S, 3] and points [K, 2] of an example."""
    return pixels_key(cut[0]) + cut[1].tobytes()
