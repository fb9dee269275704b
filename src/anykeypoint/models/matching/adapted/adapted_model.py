"""A matcher that was adapted to one category by some dozens of labelled pictures, and answers for it without examples.

    own    mean of the members' scores: templates on the frozen features (`templates`), each tuned on a part of the
           pictures
    start  logarithms of the probabilities of the matcher that it started from, with a few of the pictures as examples
    answer softmax of own_weight * log softmax(own) + start_weight * start: a product of experts

The weights were chosen on pictures that the members had not learnt from. With own_weight 0 the model is the matcher
with its examples, so that adapting costs nothing where it brings nothing.

Letters: B objects, M examples, K keypoints, C channels, h x w cells of features, r parts on a side of a cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....category import Category, plain_text
from ....crops.heatmaps import heat_targets
from ....errors import InputError
from ....example import Example
from ....geometry import CONFIDENCE_RADIUS, Box, Crop, visible_in
from ....images import ImageSource
from ....io import made_folder
from ....library.lookup import as_category
from ....pose import Pose
from ...arguments import Boxes, CategoryLike, check_density, check_options, check_words, for_each
from ...batched import ObjectQuery, PredictsMany
from ...cache import CachingModule
from ...folders import fill, read_settings, write_folder
from ...maps import cell_centres, peaks
from ...predicting import one_or_several_of_own
from ...towers.vision import build_encoder
from ...view import ObjectCrop, density_of
from ..heads.base import Prompt
from ..heads.registry import head_class
from ..inputs import cut
from ..matcher_config import MatcherConfig
from ..model import MatchingModel
from .adapted_config import AdaptedConfig
from .templates import Templates

MODEL_TYPE = "adapted"
# Standard deviations, as fractions of the crop, of the Gaussian that smooths maps to find a peak: of the whole answer,
# and of the matcher's own, whose cells are larger.
SMOOTHING, _START_SMOOTHING = 0.03, 0.07
_LEAST = 1e-8  # probability below which a cell of the matcher's map counts as impossible


class AdaptedModel(PredictsMany, CachingModule):
    """Asked by words alone: the names of its category's points, all or some of them.

    config: as in the folder.
    start: the matcher; its text encoder is left out, as it is asked by examples.
    example_features: [M, C, h, w] float16, of the matcher's examples.
    example_points: [M, K, 2] float32, fractions of the examples' crops; NaN where not labelled.
    """

    prompts = ("text",)

    def __init__(self, config: AdaptedConfig, start: MatchingModel) -> None:
        super().__init__()
        self.config = config
        self.start = start
        self.members = nn.ModuleList(Templates(config.templates) for _ in range(config.members))
        grid = start.config.side // start.encoder.map_stride
        shape = (config.examples, config.templates.channels, grid, grid)
        self.register_buffer("example_features", torch.zeros(shape, dtype=torch.float16))
        self.register_buffer("example_points", torch.full((config.examples, len(config.category), 2), torch.nan))

    @property
    def category(self) -> Category:
        """The category that it answers for."""
        return self.config.category

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.example_features.device

    def resize(self, image_size: int) -> None:
        """Refuses another size of crops with an InputError: the templates know the features of one size."""
        raise InputError(
            f"This model was adapted to crops of {self.start.config.side} pixels and takes no others, but "
            f"got {image_size}; leave the image size out."
        )

    # --- tensors -----------------------------------------------------------------------------------------------------

    def features(self, pixels: np.ndarray) -> Tensor:
        """Crops [B, S, S, 3] uint8 -> feature maps [B, C, h, w]."""
        return self.start.encode_pixels(pixels)

    def forward(self, features: Tensor) -> Tensor:
        """Feature maps [B, C, h, w] -> logarithms of the probabilities of `combined`."""
        config, fine = self.config, self.config.templates.fine
        own = start = None
        if config.own_weight:
            own = torch.stack([member(features) for member in self.members]).mean(dim=0)
        if config.start_weight:
            examples = (self.example_features.float(), self.example_points)
            start = start_scores(self.start, features, *examples, self.category)
        return combined(own, start, config.own_weight, config.start_weight, fine)

    def points(self, scores: Tensor) -> Tensor:
        """The points [..., K, 2], fractions of the crop, of what `forward` gives."""
        return points_of(scores) if self.config.own_weight else points_of_start(self.start, scores)

    # --- pictures ----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, image: ImageSource, box: Box | None = None) -> "AdaptedView":
        """Encode one object once; the view can be asked any number of times.

        image: what `images.read_picture` takes.
        box: x, y, w, h in image pixels; None takes the whole picture.
        """
        return self._views([(image, box)])[0]

    @torch.inference_mode()
    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Pose]:
        """One pose for each query, in order; all go through the networks together. InputError as of `predict`."""
        views = self._views([(query.image, query.box) for query in queries])
        return [view.predict(query.category, **query.arguments) for view, query in zip(views, queries, strict=True)]

    def _views(self, objects: Sequence[tuple[ImageSource, Box | None]]) -> "list[AdaptedView]":
        """The views of several objects, each a picture and a box, encoded together."""
        crops = [cut(image, box, self.start.config) for image, box in objects]
        grids = self(self.features(np.stack([crop.pixels for crop in crops]))).cpu().double().exp().numpy()
        return [AdaptedView(self, grid, crop) for grid, crop in zip(grids, crops, strict=True)]

    @one_or_several_of_own
    def predict(
        self,
        image: ImageSource | Sequence[ImageSource],
        category: CategoryLike | None = None,
        box: Boxes = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        **others: Any,
    ) -> Pose | list[Any]:
        """Where the points are, in original image pixels: `encode` and `AdaptedView.predict` in one call.

        image, box: of one object; for several boxes or pictures the poses are lists, see `arguments.for_each`.
        """
        options = {"example": example, "words": words, "density": density, **others}
        return for_each(image, box, lambda one, at: self.encode(one, at).predict(category, **options))

    def rows(self, category: Category) -> list[int]:
        """The number of each of a category's points among the model's own, by its name.

        Raises InputError for a point that the model was not adapted to.
        """
        own = self.category.keypoints
        names = [plain_text(point.name) for point in own]
        rows = []
        for point in category.keypoints:
            name = plain_text(point.name)
            found = [row for row, known in enumerate(names) if known == name]
            if len(found) > 1:
                found = [row for row in found if own[row].description == point.description]
            if len(found) != 1:
                raise InputError(
                    f"This model was adapted to {self.category.name!r} and does not know the point {point.name!r}; its "
                    f"points are {'; '.join(self.category.names)}."
                )
            rows += found
        return rows

    # --- folder ------------------------------------------------------------------------------------------------------

    def _saved(self) -> dict[str, Tensor]:
        """The tensors of model.safetensors by their names there."""
        own = {name: value for name, value in self.state_dict().items() if not name.startswith("start.")}
        return own | {f"start.{name}": value for name, value in self.start.saved_tensors().items()}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `load` reads."""
        folder = made_folder(folder, "A model's folder")
        write_folder(folder, MODEL_TYPE, self.config.to_dict(), self._saved(), None)


@dataclass(frozen=True)
class AdaptedView:
    """An adapted model's view of one object.

    probabilities: [K, n, n] of all points of the model's category, over cells that tile the crop; rows = y.
    cut: where the crop lies in the picture.
    """

    model: AdaptedModel = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    cut: ObjectCrop

    @property
    def crop(self) -> Crop:
        """The square that was cut out, in image pixels."""
        return self.cut.crop

    @property
    def box(self) -> Box:
        """The object's box in image pixels."""
        return self.cut.box

    def predict(
        self,
        category: CategoryLike | None = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        **others: Any,
    ) -> Pose:
        """Where the points are, in original image pixels, in the category's order.

        category: names some or all of the points that the model was adapted to; None takes all of them.
        example: refused, as the model has learnt its points.
        words: None or True; the names alone tell the points apart.
        density: also give each point's probabilities as a density; True has the cells of the answer, a number so many
            cells on a side.

        The confidence is the probability within a tenth of the crop of the point. Raises InputError for a point that
        the model was not adapted to.
        """
        check_options("An adapted model", others, ("words", "density"))
        if example is not None or check_words(words) is False:
            raise InputError("An adapted model answers by the names of its points; leave example and words out.")
        chosen, density = self.model.category if category is None else as_category(category), check_density(density)
        grids = self.probabilities[self.model.rows(chosen)]
        places = self.model.points(torch.from_numpy(grids).log())
        xy, confidence, densities = self.cut.to_image(places.numpy()), np.full(len(chosen), np.nan), {}
        for k, grid in enumerate(grids):
            guess = density_of(self.crop, grid)
            confidence[k] = guess.mass_within(xy[k], CONFIDENCE_RADIUS * self.crop.side)
            if density:
                densities[k] = guess if density is True else density_of(self.crop, grid, density)
        return self.cut.pose(chosen, places.numpy(), confidence, densities if density else None)


def start_scores(
    start: MatchingModel, features: Tensor, examples: Tensor, points: Tensor, category: Category
) -> Tensor:
    """Logarithms of a matcher's probabilities [B, K, h, w], asked by examples alone.

    features: [B, C, h, w], maps of the queries.
    examples: [M, C, h, w], maps of the examples.
    points: [M, K, 2], fractions of the examples' crops. A point that none of them shows is equally likely everywhere.
    """
    config, count = start.config, len(features)
    size, sigma, cells = config.side, config.sigma or 0, config.cells or 0
    targets = [
        heat_targets(one * size, visible_in(one), sigma, cells, size / cells) for one in points.cpu().double().numpy()
    ]
    heatmaps = torch.from_numpy(np.stack([maps for maps, _ in targets])).to(features)
    visible = torch.from_numpy(np.stack([maps.any(axis=(1, 2)) for maps, _ in targets])).to(features.device)
    prompt = Prompt(
        example_features=examples.to(features).expand(count, -1, -1, -1, -1),
        heatmaps=heatmaps.expand(count, -1, -1, -1, -1),
        example_visible=visible.expand(count, -1, -1),
        skeletons=[category.skeleton] * count,
    )
    shown = visible.any(dim=0)
    output = start.match(features, torch.ones(count, len(category), dtype=torch.bool, device=features.device), prompt)
    scores = output.probabilities.float().clamp(min=_LEAST).log()
    return scores.where(shown[:, None, None], 0)


def combined(own: Tensor | None, start: Tensor | None, own_weight: float, start_weight: float, fine: int) -> Tensor:
    """Logarithms of the probabilities [B, K, h * r, w * r] of the whole answer; [B, K, h, w] of the matcher alone.

    own: [B, K, h * r, w * r], scores of the members; None where their weight is 0.
    start: [B, K, h, w], of `start_scores`; None where its weight is 0.
    fine: r.
    """
    parts = []
    if own is not None:
        parts.append(own_weight * own.flatten(2).log_softmax(dim=-1).view_as(own))
    if start is not None:
        if own is not None:
            start = F.interpolate(start, scale_factor=fine, mode="bicubic", align_corners=False)
        parts.append(start_weight * start)
    total = sum(parts)
    return total.flatten(2).log_softmax(dim=-1).view_as(total)


def points_of(scores: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """The points [..., 2], fractions of the crop, of logarithms of probabilities [..., n, n]."""
    grid = scores.shape[-2], scores.shape[-1]
    probabilities = scores.exp().flatten(-2)
    return peaks(probabilities, grid, cell_centres(*grid, like=probabilities), smoothing)[0]


def points_of_start(start: MatchingModel, scores: Tensor) -> Tensor:
    """The points [..., K, 2] of `start_scores`, read as the matcher reads them, or as `points_of` does where it reads
    none."""
    read = start.head.read(scores.exp())
    return points_of(scores, _START_SMOOTHING) if read is None else read


def without_words(config: MatcherConfig) -> MatchingModel:
    """An untrained matcher of this config without its text encoder, in eval mode, to be filled with saved weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoders = [build_encoder(config.image_encoder) for _ in range(1 + bool(config.own_example_encoder))]
        head = head_class(config.name)(config.head)
        return MatchingModel(config, encoders[0], head, None, *encoders[1:]).eval()


def started(start: MatchingModel) -> MatchingModel:
    """A loaded matcher as the part of an adapted model: without its text encoder, and with all that its folder needs
    in its config."""
    config = replace(start.config, vision=start.encoder.saved_config(), text=None)
    own = start.config.image_encoder
    if own.tuning == "frozen" and own.source is None:
        config = replace(config, vision=own)
    return MatchingModel(config, start.encoder, start.head, None, start.example_encoder).eval()


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> AdaptedModel:
    """The adapted model of a folder, in eval mode.

    dtype: float32 alone.

    Raises InputError for another dtype, for a folder that holds none, and for other tensors than it should hold.
    """
    if dtype != torch.float32:
        raise InputError(f"An adapted model computes in float32, but got {str(dtype).removeprefix('torch.')}.")
    folder = Path(folder)
    config = AdaptedConfig.from_dict(read_settings(folder, MODEL_TYPE))
    model = AdaptedModel(config, without_words(config.start)).eval()
    fill(folder, model._saved())
    return model
