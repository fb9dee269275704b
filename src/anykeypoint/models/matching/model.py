"""A matcher as a whole: pictures and a prompt in, a pose out.

    features = encoder(crop)                    of the query, and of every example
    output   = head(features, prompt)           prompt: example features with heat maps, phrases, or both

The network is in `network`, what is asked of an object in `matcher_view` and `answering`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...example import Example
from ...geometry import Box
from ...images import ImageSource, read_picture
from ...io import made_folder
from ...library.lookup import as_category
from ...pose import Explanation, Identified, Pose
from ..arguments import Boxes, CategoryLike, for_each
from ..batched import ObjectQuery, PredictsMany
from ..folders import fill, write_folder
from ..precision import to_precision
from ..predicting import one_or_several
from ..seen_names import read_seen
from ..towers.image_encoder import ImageEncoder
from ..towers.place_words import place_width
from ..towers.text import TextEncoder, build_text_encoder
from ..towers.vision import build_encoder
from .answering import MatcherQuestion, answers, question_of
from .heads.base import EncoderSizes
from .heads.registry import head_class
from .inputs import cut
from .matcher_config import MatcherConfig
from .matcher_folder import MODEL_TYPE, as_published, read_config, save_text, todays_name
from .matcher_view import MatchView
from .naming import names_to_choose
from .network import MatchingNetwork


class MatchingModel(PredictsMany, MatchingNetwork):
    """Built by `build`, or loaded from a folder; see `MatchingNetwork` for its parts."""

    # --- folders -----------------------------------------------------------------------------------------------------

    def saved_tensors(self) -> dict[str, Tensor]:
        """The tensors of model.safetensors by their names there: those of `own_parts`, but of the image encoder only
        what is ours where it is a published one that was never tuned."""
        states = {part: module.state_dict() for part, module in self.own_parts.items()}
        if as_published(self.config):
            states["encoder"] = {f"model.{name}": tensor for name, tensor in self.encoder.kept_tensors().items()}
        return {f"{part}.{name}": value for part, state in states.items() for name, value in state.items()}

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write the folder that `from_pretrained` and `anykeypoint.load` read.

        dtype: the precision in which floating-point tensors are stored; None keeps theirs.
        """
        folder = made_folder(folder, "A model's folder")
        vision = self.config.vision if as_published(self.config) else self.encoder.saved_config()
        config = replace(self.config, vision=vision, text=save_text(self.config.text, folder))
        write_folder(folder, MODEL_TYPE, config.to_dict(), self.saved_tensors(), dtype)
        if self.seen_names is not None:
            self.seen_names.write(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> "MatchingModel":
        """The matcher of a folder; see `load`."""
        return load(folder, dtype)

    # --- pictures ----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, image: ImageSource, box: Box | None = None) -> MatchView:
        """Encode one object once; the view can be asked any number of times.

        image: what `images.read_picture` takes.
        box: x, y, w, h in image pixels; None takes the whole picture.
        """
        return self._views([(image, box)])[0]

    def _views(self, objects: Sequence[tuple[ImageSource, Box | None]]) -> list[MatchView]:
        """The views of several objects, each a picture and a box, encoded together."""
        pictures = [read_picture(image) for image, _ in objects]
        crops = [cut(picture, box, self.config) for picture, (_, box) in zip(pictures, objects, strict=True)]
        features = self.encode_pixels(np.stack([crop.pixels for crop in crops])).split(1)
        return [MatchView(self, *one) for one in zip(features, crops, pictures, strict=True)]

    @one_or_several
    def predict(
        self,
        image: ImageSource | Sequence[ImageSource],
        category: CategoryLike,
        box: Boxes = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        **options: Any,
    ) -> Pose | list[Any]:
        """Find a category's keypoints: `encode` and `MatchView.predict` in one call.

        image, box: of one object; for several boxes or pictures the poses are lists, see `arguments.for_each`.
        """
        known = as_category(category)
        return for_each(image, box, lambda one, at: self.encode(one, at).predict(known, example, words, **options))

    @torch.inference_mode()
    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Pose]:
        """One pose for each query, in order; all go through the image encoder (on a CPU in parts, see
        `network.CPU_PIXELS`), and through the head, together.

        Raises InputError where `predict` does for one of them.
        """
        asked: dict[tuple[Any, ...], MatcherQuestion] = {}  # objects that are asked the same share what it takes to ask
        questions = []
        for query in queries:
            key = (id(query.category), id(query.example), query.words, id(query.options))
            if key not in asked:
                asked[key] = question_of(self, query.category, **query.arguments)
            questions.append(asked[key])
        return answers(self, self._views([(query.image, query.box) for query in queries]), questions)

    def explain(
        self, image: ImageSource | Sequence[ImageSource], category: CategoryLike, box: Boxes = None, **options: Any
    ) -> Explanation | list[Any]:
        """How `predict` comes to its points: `encode` and `MatchView.explain` in one call; several as in `predict`."""
        known = as_category(category)
        return for_each(image, box, lambda one, at: self.encode(one, at).explain(known, **options))

    def identify(
        self,
        image: ImageSource,
        points: np.ndarray,
        *,
        box: Box | None = None,
        category: CategoryLike | None = None,
        called: None = None,
    ) -> Identified | list[Identified]:
        """Name the points of one picture out of a category's names: `encode` and `MatchView.identify` in one call."""
        known = names_to_choose(self.config, category, called)
        return self.encode(image, box).identify(points, known)

    def confidences_at(
        self,
        image: ImageSource,
        category: CategoryLike,
        temperatures: Sequence[float],
        box: Box | None = None,
        **asked: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points and confidences at several temperatures: `encode` and `MatchView.confidences_at` in one call."""
        return self.encode(image, box).confidences_at(category, temperatures, **asked)

    def presence_cues(
        self, image: ImageSource, category: CategoryLike, box: Box | None = None, **asked: Any
    ) -> np.ndarray:
        """The cues of presence: `encode` and `MatchView.presence_cues` in one call."""
        return self.encode(image, box).presence_cues(category, **asked)


def build(config: MatcherConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> MatchingModel:
    """A matcher with pretrained encoders and an untrained head, in eval mode.

    seed: of the head's random weights.
    dtype: precision of all parts but the text encoder, and but what `to_precision` leaves float32.

    Raises InputError where weights cannot be had, for a head that does not fit the encoders, and for a fusion with a
    frozen side, which must come from a trained matcher (`plugging.plug_in`).
    """
    if getattr(config.head, "frozen", False):
        raise InputError(
            f"frozen: true keeps a trained capex or graphcape in {config.name} as it is, but there is none; give "
            "one to start from (train --model and --start), or leave frozen out."
        )
    return _build(config, seed, dtype)


def _build(config: MatcherConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> MatchingModel:
    """`build`, also of what is filled with saved weights afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = build_encoder(config.image_encoder)
        text_encoder = None if config.text is None else build_text_encoder(config.text)
        model = assemble(config, encoder, text_encoder)
    for part in model.own_parts.values():
        to_precision(part, dtype)
    return model.eval()


def assemble(config: MatcherConfig, encoder: ImageEncoder, text_encoder: TextEncoder | None) -> MatchingModel:
    """A matcher of these encoders, with a new head that fits them."""
    kind = head_class(config.name)
    places = place_width() if config.place_words else 0
    sizes = EncoderSizes(
        channels=encoder.channels,
        groups=encoder.groups,
        text=None if text_encoder is None else text_encoder.dim + places,
        places=places,
        grid=config.side // encoder.map_stride,
        heatmap_cells=config.cells or 0,
    )
    head_config = kind.fit(config.head, sizes)
    example_encoder = build_encoder(config.image_encoder) if config.own_example_encoder else None
    head = kind(head_config)
    return MatchingModel(replace(config, head=head_config), encoder, head, text_encoder, example_encoder)


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> MatchingModel:
    """The matcher of a folder, in eval mode; its text encoder comes from where the config says.

    dtype: precision of all parts but the text encoder, and but what `to_precision` leaves float32.

    Raises InputError for a folder that holds no matcher, and listing unknown, missing and wrongly shaped tensors.
    """
    folder = Path(folder)
    model = _build(read_config(folder))  # its random weights are overwritten
    fill(folder, model.saved_tensors(), todays_name)
    model.seen_names = read_seen(folder)
    for part in model.own_parts.values():
        to_precision(part, dtype)
    return model
