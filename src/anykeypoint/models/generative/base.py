"""What CapeLLM and KptLLM share: an image encoder, a projection, and a decoder-only language model that reads both.

    tokens = encoder(image)            B N C
    visual = projection(tokens)        B N D
    prefix = [BOS ; text that an instruction form puts in front of the image ; visual]

Letters: B images, S crop side in pixels, N image tokens, C encoder width, D model width, K keypoints.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from ...category import Category
from ...decoding import DecodedPoints, Engine, Prefix
from ...decoding.codec import CoordinateCodec, bin_centres, mass_near
from ...density import Density
from ...density.presence import entropy_shares
from ...errors import InputError
from ...geometry import CONFIDENCE_RADIUS, Box, Crop
from ...images import ImageSource
from ...instructions import Instruction
from ...pose import Pose
from ..batched import ObjectQuery, PredictsMany
from ..foreign import foreign_sentence, warn_of_foreign
from ..loading import from_folder
from ..seen_names import SeenNames
from ..towers.image_encoder import ImageEncoder
from ..towers.language import ENGLISH
from ..view import ObjectCrop, cut_object
from . import storage
from .keypoint_token import KeypointToken

DENSITY_CELLS = 100  # number of cells on a side of a density, unless the caller gives another number


class GenerativeModel(PredictsMany, nn.Module):
    """Base of the models that write coordinates.

    config: the model's config, with `vision`, `language`, `answer`, `keypoint_token`, `spread`, `spaced`, `crop_scale`,
        `released_crop` and `strategy`.
    encoder: the image encoder.
    language: a causal language model of transformers.
    tokenizer: the language model's tokenizer.
    projection: image tokens ... C -> ... D.
    seen_names: the names that it was trained on; None where that is not known.

    A class sets `model_type`, the name of its kind in config.json, and `config_class`, the class of its config. Any
    further submodule of an heir is saved in full beside the projection.
    """

    model_type: ClassVar[str]
    config_class: ClassVar[type]
    seen_names: SeenNames | None = None
    batch = 4  # the language model answers one by one and takes long, so that answers come in small groups

    def __init__(
        self, config: Any, encoder: ImageEncoder, language: nn.Module, tokenizer: Any, projection: nn.Module
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.language = language
        self.tokenizer = tokenizer
        self.projection = projection
        self._foreign: set[str] = set()  # names that look like another language, already warned of
        self.codec = CoordinateCodec.learn(tokenizer, config.spaced)
        token = config.answer == "token"
        self.keypoint_token = None
        if token:
            self.keypoint_token = KeypointToken(language, config.keypoint_token == "written", config.spread)
        # Strings that the tokenizer turns into one token wherever they stand: special tokens and all others added.
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        self.control_tokens = sorted({*tokenizer.all_special_tokens, *added})

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        return next(self.projection.parameters()).device

    @property
    def writes_token(self) -> bool:
        """Whether the model writes <KEYPOINT> itself, instead of being given it as the answer."""
        return self.keypoint_token is not None and self.keypoint_token.output is not None

    def check_distribution(self) -> None:
        """InputError for a model that answers with <KEYPOINT>, which has no distribution."""
        if self.keypoint_token is not None:
            raise InputError(
                "This model answers with <KEYPOINT> and has no distribution of places; take a model that writes "
                "digits, or a matcher."
            )

    # --- folders ------------------------------------------------------------------------------------------------------

    @classmethod
    def build(cls, config: Any, seed: int = 0, dtype: torch.dtype = torch.float32, *, keep_half: bool = False) -> Self:
        """A new model in eval mode: pretrained encoder and language model, everything else random from the seed.

        config: of the class `config_class`.
        dtype, keep_half: precision of the language model, see `build_language`.
        """
        return storage.build(cls, config, seed, dtype, keep_half)

    @classmethod
    def read_config(cls, folder: str | Path) -> Any:
        """The config of a saved model of this kind; InputError where the folder holds none."""
        return storage.read_config(cls, Path(folder))

    def warn_of_language(self, category: Category) -> None:
        """Warn, once of each, of names that look like a language that the language model does not understand."""
        if self.config.language.name in ENGLISH:
            warn_of_foreign(category.names, f"the language model {self.config.language.name}", self._foreign)

    def doubts(self, category: Category) -> list[str]:
        """For each keypoint the sentence that is warned with if its name is in another language; "" otherwise."""
        reader = f"the language model {self.config.language.name}"
        english = self.config.language.name in ENGLISH
        return [foreign_sentence([name], reader) if english else "" for name in category.names]

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write the folder that `from_pretrained` and `anykeypoint.load` read.

        dtype: precision in which the tensors are stored; None keeps theirs.
        """
        storage.save(self, folder, dtype)

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> Self:
        """The model of a folder, in eval mode; InputError where the folder holds no model of this kind.

        dtype: precision of the language model.
        """
        return from_folder(folder, dtype, cls.model_type)

    def untrained(self) -> Self:
        """The same model before training: pretrained encoder and language model, everything else random."""
        precision = getattr(self.language, "layer_dtype", self.language.dtype)
        return type(self).build(self.config, seed=0, dtype=precision).to(self.device)

    def resize(self, image_size: int) -> None:
        """From now on take crops of `image_size` pixels a side, with the same weights (CapeLLM, Table 8).

        InputError for a size that the encoder cannot take.
        """
        self.encoder.grid(image_size)
        self.config = replace(self.config, vision=replace(self.config.vision, image_size=image_size))

    # --- tensors ------------------------------------------------------------------------------------------------------

    def project(self, features: Tensor) -> Tensor:
        """Image tokens of the encoder B N C -> visual tokens B N D in the precision of its embeddings."""
        precision = next(self.projection.parameters()).dtype
        return self.projection(features.to(precision)).to(self.language.dtype)

    def visual(self, pixels: Tensor) -> Tensor:
        """Normalised crops B 3 S S -> visual tokens B N D in the language model's precision."""
        return self.project(self.encoder(pixels))

    def with_start(self, visual: Tensor, before: str) -> Tensor:
        """Visual tokens B N D -> embeddings of [BOS ; before ; visual], B P D.

        before: text in front of the image, possibly empty. A tokenizer without BOS adds none.
        """
        bos = self.tokenizer.bos_token_id
        ids = [*([] if bos is None else [bos]), *(self.tokenize([before])[0] if before else [])]
        if not ids:
            return visual
        start = self.language.get_input_embeddings()(torch.tensor(ids, device=visual.device))
        return torch.cat([start.expand(len(visual), -1, -1), visual], dim=1)

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, without BOS."""
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def stops(self, form: Instruction) -> set[int]:
        """The tokens that end an answer of a form: the end-of-text, and the form's ending where it is one token."""
        ending = self.tokenize([form.ending])[0]
        return {*(ending if len(ending) == 1 else ()), *({self.tokenizer.eos_token_id} - {None})}

    # --- pictures -----------------------------------------------------------------------------------------------------

    def cut(self, image: ImageSource, box: Box | None) -> ObjectCrop:
        """Cut one object out of a picture, at this model's scale and size, as the released code does if it says so.

        box: x, y, w, h in image pixels; None takes the whole picture.
        """
        config = self.config
        return cut_object(image, box, config.crop_scale, config.vision.image_size, config.released_crop)

    def normalised(self, cuts: Sequence[ObjectCrop]) -> Tensor:
        """The crops of B objects -> B 3 S S as the encoder takes them."""
        pixels = np.stack([cut.pixels for cut in cuts])
        return self.encoder.normalise(torch.from_numpy(pixels).to(self.device))

    def views(self, cuts: Sequence[ObjectCrop]) -> "Iterator[Any]":
        """The views of several objects, whose crops go through the image encoder together."""
        raise NotImplementedError

    @torch.inference_mode()
    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Pose]:
        """One pose for each query, in order: the image encoder sees them together, the language model one by one.

        Raises InputError where `predict` does for one of them.
        """
        views = self.views([self.cut(query.image, query.box) for query in queries])
        return [view.predict(query.category, **query.arguments) for view, query in zip(views, queries, strict=True)]


def confidences(decoded: DecodedPoints) -> np.ndarray:
    """K float64: the probability that x lies within CONFIDENCE_RADIUS of the decoded x, times the same of y given x."""
    values = decoded.values.double() / 1000
    confidence = torch.ones(len(values))
    for axis, distribution in enumerate((decoded.x, decoded.y)):
        centres = bin_centres(distribution.shape[1])
        confidence *= mass_near(distribution, centres, values[:, axis].float(), CONFIDENCE_RADIUS)
    return confidence.double().clamp(0, 1).numpy()


def distribution_cues(decoded: DecodedPoints, codec: CoordinateCodec, temperature: float) -> np.ndarray:
    """The cues K 2 of presence, as `density.presence` has them: entropies at temperature 1; there are no scores.

    temperature: that decoded's distributions are at.
    """
    sums, most = np.zeros(len(decoded.values)), 0.0
    for distribution in (decoded.x, decoded.y):
        own = codec.tempered(distribution, 1 / temperature).cpu().double().numpy()
        sums, most = sums + entropy_shares(own) * np.log(own.shape[1]), most + np.log(own.shape[1])
    return np.column_stack([sums / most, np.full(len(sums), np.nan)])


def confidences_at(decoded: DecodedPoints, codec: CoordinateCodec, temperatures: Sequence[float]) -> np.ndarray:
    """`confidences` at each of T temperatures: T K float64.

    decoded: at temperature 1. Of a keypoint with one question these are the confidences that a model of that
        temperature gives; of several questions the temperature is here of their mixture, there of each.
    """
    given = (
        replace(decoded, x=codec.tempered(decoded.x, temperature), y=codec.tempered(decoded.y, temperature))
        for temperature in temperatures
    )
    return np.stack([confidences(one) for one in given])


def densities(
    engine: Engine,
    prefix: Prefix,
    crop: Crop,
    questions: Mapping[int, Sequence[Sequence[int]]],
    cells: bool | int,
) -> dict[int, Density] | None:
    """The joint distribution of each keypoint; None where `cells` is False.

    engine, prefix: as in `Engine.density`.
    crop: where the prefix's picture lies.
    questions: index of a keypoint -> its tokenised questions, of whose distributions the mean is taken.
    cells: number of cells on a side; True takes DENSITY_CELLS.
    """
    if not cells:
        return None
    cells = DENSITY_CELLS if cells is True else cells
    found = {}
    for k, group in questions.items():
        grids = [engine.density(prefix, question, cells=cells)[0].double() for question in group]
        grid = torch.stack(grids).mean(0)
        # Sums of float32 products may exceed 1 by a rounding error.
        found[k] = Density(crop, (grid / max(1.0, float(grid.sum()))).numpy())
    return found
