"""What the models that write coordinates share: an encoder, a projection and a decoder-only LLM that reads both.

    tokens = encoder(image)            B N C
    visual = projection(tokens)        B N D
    prefix = [BOS ; what a form puts in front of the image ; visual]

Letters: B images, S crop side in pixels, N image tokens, C encoder width, D model width, T tokens, K keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from ...category import Category
from ...decoding import DecodedPoints, Engine, Prefix
from ...decoding.codec import CoordinateCodec, bin_centres, mass_near
from ...geometry import Box, Crop, square_crop
from ...images import ImageSource, crop_pixels, read_image
from ...pose import Density, Pose, with_uncertainty
from ..towers.vision import VisionEncoder
from .keypoint_token import KeypointToken

CONFIDENCE_RADIUS = 0.1  # of the crop
GRID = 100  # cells on a side of a density, unless another number is asked for
ANSWERS = ("text", "token")


class GenerativeModel(nn.Module):
    """`language` is a causal LM of transformers, `tokenizer` its own. config: of the model, with `vision`, `language`,
    `answer`, `spaced` and `crop_scale`. What a model has beside these parts is saved with it, whole."""

    model_type: ClassVar[str]  # of its folders

    def __init__(
        self, config: Any, encoder: VisionEncoder, language: nn.Module, tokenizer: Any, projection: nn.Module
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.language = language
        self.tokenizer = tokenizer
        self.projection = projection
        self.codec = CoordinateCodec.learn(tokenizer, config.spaced)
        token = config.answer == "token"
        self.keypoint_token = KeypointToken(language.get_input_embeddings().weight) if token else None
        # What the tokenizer cuts out of any text as one token: those with a role (BOS, ...) and all others added.
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        self.control_tokens = sorted({*tokenizer.all_special_tokens, *added})

    @property
    def device(self) -> torch.device:
        return next(self.projection.parameters()).device

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write the folder that `from_pretrained` and `anykeypoint.load` read."""
        from . import storage as folders

        folders.save(self, folder, dtype)

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> Self:
        """The model of a folder."""
        from . import storage as folders

        return folders.load(folder, dtype, cls.model_type)

    def untrained(self) -> Self:
        """The same model before any training of ours: pretrained towers, all else random."""
        from . import storage as folders

        return folders.build(self.config, seed=0, dtype=self.language.dtype).to(self.device)

    def resize(self, image_size: int) -> None:
        """Look at objects in so many pixels a side from now on, with the same weights (CapeLLM, Table 8).

        InputError for a size that the encoder cannot take.
        """
        self.encoder.grid(image_size)
        self.config = replace(self.config, vision=replace(self.config.vision, image_size=image_size))

    # --- tensors ------------------------------------------------------------------------------------------------------

    def project(self, features: Tensor) -> Tensor:
        """The encoder's tokens B N C -> visual tokens B N D in the language model's precision."""
        precision = next(self.projection.parameters()).dtype
        return self.projection(features.to(precision)).to(self.language.dtype)

    def visual(self, pixels: Tensor) -> Tensor:
        """Normalised crops B 3 S S -> visual tokens B N D in the language model's precision."""
        return self.project(self.encoder(pixels))

    def begun(self, visual: Tensor, before: str) -> Tensor:
        """Visual tokens B N D -> [BOS ; before ; visual], without BOS where the tokenizer has none."""
        bos = self.tokenizer.bos_token_id
        ids = [*([] if bos is None else [bos]), *(self.tokenize([before])[0] if before else [])]
        if not ids:
            return visual
        start = self.language.get_input_embeddings()(torch.tensor(ids, device=visual.device))
        return torch.cat([start.expand(len(visual), -1, -1), visual], dim=1)

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, without BOS."""
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    # --- pictures -----------------------------------------------------------------------------------------------------

    def look(self, image: ImageSource, box: Box | None) -> "Sight":
        """Cut one object out of a picture, as `View.predict` speaks of it."""
        picture = read_image(image)
        box = (0.0, 0.0, float(picture.width), float(picture.height)) if box is None else box
        crop = square_crop(box, self.config.crop_scale)
        pixels = crop_pixels(picture, crop, self.config.vision.image_size)
        name = str(image) if isinstance(image, str) or hasattr(image, "__fspath__") else ""
        return Sight(pixels, crop, tuple(box), picture.size, name)

    def normalised(self, pixels: np.ndarray) -> Tensor:
        """A crop S S 3 uint8 -> 1 3 S S as the encoder takes it."""
        return self.encoder.normalise(torch.from_numpy(pixels)[None].to(self.device))


@dataclass(frozen=True)
class Sight:
    """A crop's pixels S S 3 uint8, where it lies, and in which picture. image_size: width, height."""

    pixels: np.ndarray
    crop: Crop
    box: Box
    image_size: tuple[int, int]
    image: str

    def pose(self, category: Category, points: np.ndarray, confidence: np.ndarray, **more: Any) -> Pose:
        """Points K 2, fractions of the crop, as a pose in image pixels; those that are NaN are absent."""
        return Pose(
            names=category.names,
            xy=self.crop.to_image(points),
            confidence=confidence,
            present=np.isfinite(points).all(axis=1),
            box=self.box,
            image_size=self.image_size,
            skeleton=category.skeleton,
            category=category.name,
            image=self.image,
            **more,
        )


def confidences(answers: DecodedPoints) -> np.ndarray:
    """K float64: the probability that a point lies within a tenth of the crop of its answer, in x and, given that x,
    in y."""
    values = answers.values.double() / 1000
    confidence = torch.ones(len(values))
    for axis, distribution in enumerate((answers.x, answers.y)):
        centres = bin_centres(distribution.shape[1])
        confidence *= mass_near(distribution, centres, values[:, axis].float(), CONFIDENCE_RADIUS)
    return confidence.double().clamp(0, 1).numpy()


def with_densities(
    pose: Pose,
    crop: Crop,
    engine: Engine,
    prefix: Prefix,
    questions: Mapping[int, Sequence[Sequence[int]]],
    cells: bool | int,
) -> Pose:
    """The pose with the joint distribution of each keypoint that was asked about, on so many cells a side.

    questions: of each keypoint those whose equal mixture it is. cells: True takes GRID; False leaves the pose as it is.
    """
    if not cells:
        return pose
    cells = GRID if cells is True else cells
    densities = {}
    for k, group in questions.items():
        grids = [engine.density(prefix, question, cells=cells)[0].double() for question in group]
        grid = torch.stack(grids).mean(0)
        # Sums of float32 products may pass 1 by a rounding error.
        densities[pose.keys[k]] = Density(crop, (grid / max(1.0, float(grid.sum()))).numpy())
    return with_uncertainty(replace(pose, density=densities))
