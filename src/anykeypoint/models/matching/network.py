"""A matcher's network and its config: what all of its parts compute, given tensors, and the examples that it keeps.

    features = encoder(crop)                    of the query, and of every example
    output   = head(features, prompt)           prompt: example features with heat maps, phrases, or both

The matchers differ in their head (`heads.registry`). Training uses the same tensors and methods; `model.MatchingModel`
has what is done with pictures and folders.

Letters: B objects, M examples, K keypoints, S crop side in pixels, C channels, h x w cells of features, D channels of a
phrase.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ...category import Category, Keypoint
from ...errors import InputError
from ...example import Example
from ..cache import CachingModule
from ..seen_names import SeenNames
from ..towers.image_encoder import ImageEncoder
from ..towers.place_words import place_width, place_words
from ..towers.text import TextEncoder
from .heads.base import HEATMAP_WEIGHT, HeadOutput, MatchingHead, Prompt
from .inputs import EncodedExample
from .matcher_config import MatcherConfig
from .phrasing import UNKNOWN, Phrase, phrase_of
from .second_look import ExamplePatches, example_patches

# Pixels that go through an image encoder at once on a CPU: 2 crops of 320 x 320, or 10 patches of 160 x 160. Fewer
# leave cores idle; the first maps of more are so large that their memory is asked of the system anew each time.
CPU_PIXELS = 2**18


class MatchingNetwork(CachingModule):
    """The features of the last examples are kept, by their pixels.

    config: with the widths of this very head.
    encoder: the image encoder.
    head: as `heads.registry` has it for the config's name.
    text_encoder: frozen; None where the head takes no text.
    example_encoder: the image encoder of examples; None where one encoder serves both.
    seen_names: the names that it was trained on; None where that is not known.
    """

    seen_names: SeenNames | None = None
    own_words = False  # whether `identify` names points without a category

    def __init__(
        self,
        config: MatcherConfig,
        encoder: ImageEncoder,
        head: MatchingHead,
        text_encoder: TextEncoder | None = None,
        example_encoder: ImageEncoder | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.example_encoder = example_encoder
        self.head = head
        self.text_encoder = text_encoder

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.head.parameters()).device

    @property
    def prompts(self) -> tuple[str, ...]:
        """The kinds of prompt that the matcher takes, of "text", "example", "both"; "identify" with "text"."""
        return (*self.config.prompts, "identify") if self.config.takes_text else self.config.prompts

    @property
    def own_parts(self) -> dict[str, nn.Module]:
        """All parts but the text encoder, by name."""
        parts = {"encoder": self.encoder, "example_encoder": self.example_encoder, "head": self.head}
        return {name: part for name, part in parts.items() if part is not None}

    def resize(self, image_size: int) -> None:
        """From now on, take crops of so many pixels a side, with the same weights.

        Raises InputError for a size that the image encoder cannot take.
        """
        resized = {name: part.resized(image_size) for name, part in self.own_parts.items() if name != "head"}
        for name, encoder in resized.items():
            setattr(self, name, encoder)
        self.config = self.config.resized(image_size)
        self.cache.clear()

    @property
    def variant(self) -> dict[str, str]:
        """Choices of the head that change the answers, for results; see `MatchingHead.variant`."""
        return self.head.variant

    def answer_by(self, answer: str) -> None:
        """From now on, answer in another of the ways that the head has (DLF: text, image, mean, confidence).

        Raises InputError for another head, and for an unknown way.
        """
        self.head.answer_by(answer)
        self.config = replace(self.config, head=self.head.config)

    # --- tensors -----------------------------------------------------------------------------------------------------

    def features(self, pixels: Tensor, examples: bool = False, details: bool = False) -> Tensor:
        """Normalised crops [..., 3, S, S] -> feature maps [..., C, h, w].

        examples: whether the crops are examples, which may have an image encoder of their own.
        details: whether they are patches of a second look, see `ImageEncoder.details`.
        """
        encoder = self.example_encoder if examples and self.example_encoder is not None else self.encoder
        return (encoder.details if details else encoder.map)(pixels.flatten(0, -4)).unflatten(0, pixels.shape[:-3])

    def phrases(self, category: Category, described: bool = True) -> Tensor:
        """The vectors [K, D] of a category's keypoints.

        described: whether descriptions are read, if the config says so.

        Raises InputError for a matcher without a text encoder.
        """
        if self.text_encoder is None:
            raise InputError(f"{self.config.name} has no text encoder and reads no words; show it an example.")
        phrases = [self.phrase(point, described, category.noun) for point in category.keypoints]
        return self.beside_places(self.text_encoder.phrases([phrase.text for phrase in phrases]), phrases)

    @property
    def phrase_width(self) -> int:
        """The channels D of a phrase."""
        return self.text_encoder.dim + (place_width() if self.config.place_words else 0)

    def phrase(self, point: Keypoint, described: bool = True, noun: str = UNKNOWN) -> Phrase:
        """What stands for a keypoint: its phrase where the data set has one, otherwise its name in the config's form.

        described: whether the description is read, if the config says so. noun: of the category.
        """
        return phrase_of(point, noun, self.config.form, described and self.config.described)

    def warn_of_language(self, category: Category) -> None:
        """Warn, once of each, of names that the text encoder does not understand: another language, misspelt words."""
        if self.text_encoder is not None:
            names = [self.phrase(point).name for point in category.keypoints]
            self.text_encoder.warn_of(names, self._seen_words)

    def doubts(self, category: Category) -> list[str]:
        """For each keypoint the sentence that is warned with if its words seem not to be understood; "" otherwise."""
        phrases = [self.phrase(point, noun=category.noun) for point in category.keypoints]
        if self.text_encoder is None:
            return [""] * len(phrases)
        return [self.text_encoder.doubt(one.name, one.text, self._seen_words) for one in phrases]

    @property
    def _seen_words(self) -> frozenset[str]:
        return frozenset() if self.seen_names is None else self.seen_names.words

    def beside_places(self, vectors: Tensor, phrases: Sequence[Phrase]) -> Tensor:
        """The text encoder's vectors [P, ...] with those of the position words beside them, if the config has these."""
        if not self.config.place_words:
            return vectors
        return torch.cat([vectors, place_words([phrase.name for phrase in phrases]).to(vectors)], dim=1)

    def forward(
        self, pixels: Tensor, valid: Tensor, prompt: Prompt, example_pixels: Tensor | None = None
    ) -> HeadOutput:
        """`match` from normalised crops.

        pixels: [B, 3, S, S], of the queries.
        example_pixels: [B, M, 3, S, S], of the examples, whose features are put into the prompt; None leaves the prompt
            as it is.
        """
        if example_pixels is not None:
            prompt = replace(prompt, example_features=self.features(example_pixels, examples=True))
        return self.match(self.features(pixels), valid, prompt)

    def match(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput:
        """Find K keypoints in each of B queries; see `MatchingHead.forward`.

        query: [B, C, h, w], feature maps.
        valid: [B, K] bool, the slots that hold a keypoint that is queried.

        Raises InputError for a prompt that this matcher does not take.
        """
        self.check_prompt(prompt.example_features is not None, prompt.phrases is not None)
        marked = (
            prompt.heatmaps if prompt.example_points is None or not self.head.reads_points else prompt.example_points
        )
        if prompt.example_features is not None and marked is None:
            raise InputError("Examples need their heat maps, B M K N N; pass heatmaps too.")
        return self.head(query, valid, prompt if self.head.float32_prompts else prompt.cast(query.dtype))

    def losses(
        self,
        output: HeadOutput,
        target_points: Tensor,
        target_heatmaps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heatmap_weight: float = HEATMAP_WEIGHT,
    ) -> dict[str, Tensor]:
        """The parts of the loss; see `MatchingHead.losses`."""
        return self.head.losses(output, target_points, target_heatmaps, labelled, valid, heatmap_weight)

    def check_prompt(self, examples: bool, text: bool) -> None:
        """InputError unless the matcher takes a prompt with, or without, examples and text."""
        given = {(True, True): "both", (True, False): "example", (False, True): "text"}.get((examples, text))
        if given in self.prompts:
            return
        name = self.config.name
        if not self.config.takes_text:
            raise InputError(
                f"{name} has no text encoder and cannot be asked by words; ask with an example alone."
                if text
                else f"{name} needs an example of the category; pass one or more as example."
            )
        if not self.config.takes_examples:
            raise InputError(
                f"{name} reads words and looks at no example; leave the example out."
                if examples
                else f"{name} is asked by words alone; ask with words."
            )
        raise InputError(f"{name} needs words or an example; pass an example, or ask with words.")

    def example_features(self, example: EncodedExample) -> Tensor:
        """The feature map [1, C, h, w] of an example's crop, from the cache where it is there."""
        return self.cache.get(example.key, lambda: self.encode_pixels(example.pixels[None], examples=True))

    def example_patches(self, example: Example, encoded: EncodedExample) -> ExamplePatches:
        """What a second look needs of an example, from the cache where it is there.

        encoded: the example as `inputs.encode_example` gives it; its visible points have patches.
        """
        look, encode = self.config.look, partial(self.encode_pixels, examples=True, details=True)
        key = (encoded.key, example.points.tobytes(), example.box, look)
        return self.cache.get(key, lambda: example_patches(example, encoded.visible, look, encode))

    def encode_pixels(self, pixels: np.ndarray, examples: bool = False, details: bool = False) -> Tensor:
        """The features [P, C, h, w] of crops or patches, in the precision of the head's layers.

        pixels: [P, S, S, 3], see `ImageEncoder.normalise`.
        examples, details: see `features`.
        """
        size = len(pixels)
        if self.device.type == "cpu":
            size = max(1, CPU_PIXELS // (pixels.shape[1] * pixels.shape[2]))
        parts = []
        for start in range(0, len(pixels), size):
            some = torch.from_numpy(pixels[start : start + size]).to(self.device)
            parts.append(self.features(self.encoder.normalise(some), examples, details))
        return torch.cat(parts).to(next(self.head.parameters()).dtype)
