"""A few-shot baseline as a model: a backbone and a method, asked with examples; and as a folder.

A folder holds config.json and model.safetensors with all weights, the backbone's among them.

Letters: B episodes, S examples, K keypoints, C channels, h x w cells.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...configs.strict import known_fields
from ...crops.batches import EpisodeBatch
from ...density import Density
from ...errors import InputError
from ...example import Example
from ...geometry import MATCHER_CROP, Box, square_crop, visible_in
from ...images import ImageSource, crop_pixels, read_image
from ...pose import Pose, with_uncertainty
from ..cache import CachingModule, pixels_key
from ..folders import fill, read_settings, write_folder
from ..towers.backbones import Backbone, BackboneConfig, build_backbone
from ..view import regrid
from .finetune import FineTune, FineTuneConfig
from .maml import MAML, MAMLConfig
from .maps import Adapted, Episodes
from .protonet import ProtoNet, ProtoNetConfig

MODEL_TYPE = "few_shot"
METHODS = {"protonet": (ProtoNetConfig, ProtoNet), "maml": (MAMLConfig, MAML), "finetune": (FineTuneConfig, FineTune)}


@dataclass(frozen=True)
class FewShotConfig:
    """A baseline. method: one of METHODS, with its own options; None takes them as they come."""

    method: str = "protonet"
    options: ProtoNetConfig | MAMLConfig | FineTuneConfig | None = None
    backbone: BackboneConfig = field(default_factory=lambda: BackboneConfig("resnet50", image_size=MATCHER_CROP[1]))
    crop_scale: float = MATCHER_CROP[0]  # crop side over the box's longer side

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"A few-shot method must be one of {', '.join(METHODS)}, but got {self.method!r}.")
        kind = METHODS[self.method][0]
        if self.options is None:
            object.__setattr__(self, "options", kind())
        if not isinstance(self.options, kind):
            raise InputError(f"The options of {self.method} must be a {kind.__name__}, but got {self.options!r}.")
        if type(self.crop_scale) not in (int, float) or not 0 < self.crop_scale < float("inf"):
            raise InputError(f"crop_scale must be a finite number above 0, but got {self.crop_scale!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "FewShotConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        values = known_fields(cls, data, "The options of a few-shot model")
        if values.get("options") is not None and values.get("method", "protonet") in METHODS:
            values["options"] = METHODS[values.get("method", "protonet")][0].from_dict(values["options"])
        if "backbone" in values:
            values["backbone"] = BackboneConfig.from_dict(values["backbone"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        own = {"options": self.options.to_dict(), "backbone": self.backbone.to_dict()}
        return {"method": self.method, **own, "crop_scale": self.crop_scale}


class FewShotModel(CachingModule):
    """See above. Asked with examples alone; names and descriptions are never read."""

    prompts = ("example",)
    cache_size = 8  # number of lists of examples whose fitted method is kept

    def __init__(self, config: FewShotConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self.name = config.method
        self.backbone = backbone
        self.method = METHODS[config.method][1](config.options, backbone.channels)

    def resize(self, image_size: int) -> None:
        """Look at objects in so many pixels a side from now on; InputError for a size that the backbone cannot take."""
        self.backbone = self.backbone.resized(image_size)
        self.config = replace(self.config, backbone=replace(self.config.backbone, image_size=image_size))
        self.cache.clear()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    # --- asking -------------------------------------------------------------------------------------------------------

    def predict(
        self,
        image: ImageSource,
        category: Category,
        box: Box | None = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        **others: Any,
    ) -> Pose:
        """Where the category's keypoints are, in original image pixels, in the category's order.

        box: x, y, w, h in image pixels; None takes the whole picture. example: one or more; what the method learns from
        the last lists of them is kept. A keypoint that none of them shows inside its crop is absent. words: not
        used, as what any other model is asked with besides. density: also each keypoint's distribution over the cells
        of the map, or over so many a side. The confidence is the probability, by that distribution, that the point lies
        within a tenth of the crop of the answer. Raises InputError where the examples do not fit the category.
        """
        if others:
            raise InputError(f"A few-shot baseline has no choice of {next(iter(others))}; leave it out.")
        adapted = self.fit(example, len(category))
        picture = read_image(image)
        box = (0.0, 0.0, *map(float, picture.size)) if box is None else box
        crop = square_crop(box, self.config.crop_scale)
        found = adapted.locate(self._look(crop_pixels(picture, crop, self.backbone.config.image_size)[None]))
        points = found.points[0].double().cpu().numpy()
        pose = Pose(
            names=category.names,
            xy=crop.to_image(points),
            confidence=found.confidence[0].double().cpu().numpy(),
            present=~np.isnan(points).any(axis=1),
            box=tuple(box),
            image_size=picture.size,
            skeleton=category.skeleton,
            category=category.name,
            image=str(image) if isinstance(image, str | Path) else "",
        )
        if not density:
            return pose
        grids = found.density[0].double().cpu().numpy()
        if density is not True:
            grids = np.stack([regrid(grid, density) for grid in grids])
        grids /= grids.sum(axis=(1, 2), keepdims=True)
        shown = {key: Density(crop, grids[i]) for i, key in enumerate(pose.keys) if pose.present[i]}
        return with_uncertainty(replace(pose, density=shown))

    def fit(self, examples: Example | Sequence[Example] | None, count: int) -> Adapted:
        """What the method learns from examples of `count` keypoints each; it is kept for when they come again.

        Raises InputError unless each has so many and a point or more of them lies in an example's crop.
        """
        examples = [examples] if isinstance(examples, Example) else list(examples or ())
        if not examples:
            raise InputError("A few-shot model needs one or more examples, but got none.")
        cuts = []
        for shown in examples:
            if len(shown) != count:
                raise InputError(f"The example has {len(shown)} points, but {count} are asked for; give one for each.")
            picture = read_image(shown.image)
            crop = square_crop(shown.box or (0.0, 0.0, *map(float, picture.size)), self.config.crop_scale)
            cuts.append((crop_pixels(picture, crop, self.backbone.config.image_size), crop.normalise(shown.points)))
        cuts.sort(key=_key)  # many steps would make much of what their order rounds off
        pixels, points = map(list, zip(*cuts, strict=True))
        visible = visible_in(np.stack(points).reshape(-1, 2)).reshape(len(points), count)
        if not visible.any():
            raise InputError("An example must show one point or more near its box, but all lie outside of its crop.")
        return self.cache.get(b"".join(map(_key, cuts)), lambda: self._learn(pixels, points, visible))

    def _learn(self, pixels: list[np.ndarray], points: list[np.ndarray], visible: np.ndarray) -> Adapted:
        maps = self._look(np.stack(pixels))
        with torch.inference_mode(False):  # fitting takes gradients, whoever asks
            places = torch.from_numpy(np.stack(points)).float().to(self.device)
            return self.method.fit(maps, places, torch.from_numpy(visible).to(self.device))

    def _look(self, pixels: np.ndarray) -> Tensor:
        """Crops uint8 N S S 3 -> maps N C h w without a gradient, each as it would be alone."""
        with torch.inference_mode(False), torch.no_grad():
            crops = torch.from_numpy(pixels).to(self.device)
            return torch.cat([self.backbone(self.backbone.normalise(crop[None])) for crop in crops])

    # --- training -----------------------------------------------------------------------------------------------------

    def meet(self, categories: Iterable[tuple[str, int]]) -> None:
        """Get ready to be trained on categories, names and numbers of keypoints: a fine-tuned head gets rows for them.

        Raises InputError where it has rows already, but not for one of these.
        """
        if not isinstance(self.method, FineTune):
            return
        categories = tuple(dict.fromkeys(categories))
        if not self.method.config.known:
            self.method.know(categories)
            self.config = replace(self.config, options=self.method.config)
        for category in categories:
            self.method.rows_of(category)

    def learnable(self, batch: EpisodeBatch) -> np.ndarray:
        """(B,) bool: which of the episodes have something to learn from."""
        shown, query = batch.examples.visible.any(axis=1), batch.query.visible
        return (shown | query if isinstance(self.method, FineTune) else shown & query).any(axis=1)

    def loss(self, batch: EpisodeBatch) -> Tensor:
        """The method's loss on a batch of episodes; gradients reach the backbone where it is tuned."""
        return self.method.loss(self.episodes(batch))

    def episodes(self, batch: EpisodeBatch) -> Episodes:
        """A batch of pictures as maps; InputError where they are of another size than the backbone's."""
        side, own = batch.query.pixels.shape[1], self.backbone.config.image_size
        if side != own:
            raise InputError(
                f"This model looks at crops of {own} pixels, but the episodes have {side}; draw that size."
            )
        shots = batch.examples.pixels.shape[1]
        pixels = np.concatenate([batch.examples.pixels.reshape(-1, side, side, 3), batch.query.pixels])
        maps = self.backbone(self.backbone.normalise(torch.from_numpy(pixels).to(self.device)))
        examples, query = maps.split([len(pixels) - len(batch.query.pixels), len(batch.query.pixels)])

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(self.device)

        return Episodes(
            examples.unflatten(0, (-1, shots)),
            tensor(batch.examples.points).float(),
            tensor(batch.examples.visible),
            query,
            tensor(batch.query.points).float(),
            tensor(batch.query.visible),
            tuple((category.name, len(category)) for category in batch.categories),
        )

    # --- folder -------------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `load` reads."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = replace(self.config, backbone=self.backbone.saved_config())
        write_folder(folder, MODEL_TYPE, config.to_dict(), self.state_dict(), None)


def build(config: FewShotConfig, seed: int = 0) -> FewShotModel:
    """A baseline in eval mode whose random weights come from the seed; raises InputError as `build_backbone`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FewShotModel(config, build_backbone(config.backbone)).eval()


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> FewShotModel:
    """The baseline of a folder, in eval mode; InputError for one that holds none, or other tensors than it should.

    dtype: float32 alone, as the steps that a method takes on examples are too small for less.
    """
    if dtype != torch.float32:
        raise InputError(f"A few-shot baseline computes in float32, but got {str(dtype).removeprefix('torch.')}.")
    folder = Path(folder)
    model = build(FewShotConfig.from_dict(read_settings(folder, MODEL_TYPE)))
    fill(folder, model.state_dict())
    return model


def _key(cut: tuple[np.ndarray, np.ndarray]) -> bytes:
    """The same for the same pixels S S 3 and points K 2 of an example."""
    return pixels_key(cut[0]) + cut[1].tobytes()
