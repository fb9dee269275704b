"""CapeLLM: an image encoder, one linear layer, and a decoder-only language model that writes a keypoint's coordinates.

    tokens = encoder(image)            Eq. 1   B N C
    visual = tokens @ W                Eq. 2   B N D
    input  = [BOS ; visual ; question] Eq. 3
    answer = " [0.123,0.456]"          Eq. 4-6, through the codec

Letters: B images, S crop side in pixels, N image tokens, P prefix tokens, C encoder width, D model width, T tokens,
V vocabulary, K keypoints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...category import Category
from ...configs.checks import check_flag, check_whole, plain
from ...decoding import DecodedPoints, Engine, Prefix
from ...density.presence import PRESENT_FROM
from ...errors import InputError
from ...geometry import Box
from ...images import ImageSource
from ...instructions import Instruction, Point, Text, check_describe, instruction
from ...library.lookup import as_category
from ...pose import Pose
from ..arguments import Boxes, CategoryLike, check_density, check_options, for_each
from ..predicting import one_or_several
from ..towers.image_encoder import ImageEncoder
from ..view import ObjectCrop
from . import storage
from .base import GenerativeModel, confidences, confidences_at, densities, distribution_cues
from .capellm_config import CapeLLMConfig

OPTIONS = ("strategy", "density", "describe", "cumulative", "order", "seed", "presence")  # of `CapeLLMView.predict`
FIRST_TOKENS = 64  # largest number of tokens of an answer that the model writes in a first round, its ending included


class CapeLLM(GenerativeModel):
    """The model (Fig. 2).

    config: what makes it one CapeLLM.
    encoder: the image encoder.
    language: a causal language model of transformers.
    tokenizer: the language model's tokenizer.
    """

    model_type = "capellm"
    config_class = CapeLLMConfig

    def __init__(self, config: CapeLLMConfig, encoder: ImageEncoder, language: nn.Module, tokenizer: Any) -> None:
        projection = nn.Linear(encoder.dim, language.config.hidden_size)
        super().__init__(config, encoder, language, tokenizer, projection)
        self.instruction = instruction(config.instruction)

    # --- tensors ------------------------------------------------------------------------------------------------------

    def prefix(self, pixels: Tensor, form: Instruction | None = None) -> Tensor:
        """Embeddings of [BOS ; before ; visual], B P D (Eq. 1, 2); without BOS where the tokenizer has none.

        pixels: B 3 S S, normalised crops.
        form: the conversation form, whose `before` stands in front of the image; None takes the model's own.
        """
        return self.with_start(self.visual(pixels), (form or self.instruction).before)

    def embed(self, tokens: Tensor) -> Tensor:
        """Token ids of any shape ... -> embeddings ... D. KEYPOINT is among them where the model answers with it."""
        table = self.language.get_input_embeddings()
        return table(tokens) if self.keypoint_token is None else self.keypoint_token.embed(table, tokens)

    def forward(self, input_ids: Tensor, pixels: Tensor, image_token: int, has_image: Tensor, **kwargs: Any) -> Tensor:
        """Logits B T V of whole sequences in which consecutive `image_token` stand for the visual tokens.

        input_ids: B T.
        pixels: one normalised crop 3 S S per true entry of has_image, stacked.
        image_token: the id that stands for one visual token.
        has_image: B bool; a sequence without an image is read as plain text, as the released model does.
        kwargs: arguments of the language model, such as attention_mask and position_ids.

        Raises InputError where the number of image tokens is not that of the visual tokens.
        """
        table = self.language.get_input_embeddings()
        embeddings = table(input_ids.clamp(max=table.num_embeddings - 1))
        place = (input_ids == image_token) & has_image[:, None]
        visual = self.visual(pixels)
        if int(place.sum()) != visual.shape[0] * visual.shape[1]:
            raise InputError(
                f"The sequences hold {int(place.sum())} image tokens, but {len(visual)} crops give "
                f"{visual.shape[0] * visual.shape[1]}; write one run of {visual.shape[1]} per image."
            )
        embeddings = embeddings.masked_scatter(place[..., None], visual)
        return self.language(inputs_embeds=embeddings, use_cache=False, **kwargs).logits

    # --- pictures -----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, image: ImageSource, box: Box | None = None) -> "CapeLLMView":
        """Encode one object once; the view can then be asked for any number of categories.

        image: what `images.read_picture` takes.
        box: x, y, w, h in image pixels; None takes the whole picture.
        """
        return next(self.views([self.cut(image, box)]))

    def views(self, cuts: Sequence[ObjectCrop]) -> "Iterator[CapeLLMView]":
        """See `GenerativeModel.views`."""
        engine = Engine(self.language, self.codec, temperature=self.config.temperature.text)
        for cut, prefix in zip(cuts, self.prefix(self.normalised(cuts)).split(1), strict=True):
            yield CapeLLMView(self, cut, engine, engine.read(prefix))

    @one_or_several
    def predict(
        self, image: ImageSource | Sequence[ImageSource], category: CategoryLike, box: Boxes = None, **options: Any
    ) -> Pose | list[Any]:
        """Find a category's keypoints: `encode`, then `CapeLLMView.predict`, with its options.

        image, box: of one object; for several boxes or pictures the poses are lists, see `arguments.for_each`.
        """
        known = as_category(category)
        return for_each(image, box, lambda one, at: self.encode(one, at).predict(known, **options))

    def confidences_at(
        self,
        image: ImageSource,
        category: CategoryLike,
        temperatures: Sequence[float],
        box: Box | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points and confidences at several temperatures: `encode` and `CapeLLMView.confidences_at` in one call."""
        return self.encode(image, box).confidences_at(category, temperatures)

    def presence_cues(self, image: ImageSource, category: CategoryLike, box: Box | None = None) -> np.ndarray:
        """The cues of presence: `encode` and `CapeLLMView.presence_cues` in one call."""
        return self.encode(image, box).presence_cues(category)

    def questions(
        self, category: Category, describe: str = "detailed", first: Sequence[Sequence[int]] = ()
    ) -> list[list[int]]:
        """The tokenised question about each keypoint, to follow the image prefix.

        describe: how descriptions are given, one of `instructions.DESCRIBE`.
        first: the tokens of the answers of the form's first rounds; without them these are the true answers.

        Raises InputError where the model's conversation form does not answer with points.
        """
        form = self.instruction
        if not form.answers_points:
            raise InputError(
                f"The instruction form {form.name!r} asks for words about a given place and finds none; it is for "
                "training only."
            )
        prompts = [form.prompt(category, i, describe, special=self.control_tokens) for i in range(len(category))]
        return [[token for piece in self._pieces(prompt, first) for token in piece] for prompt in prompts]

    def first_question(self, category: Category, first: Sequence[Sequence[int]]) -> list[int]:
        """The tokenised text in front of the answer of the form's next first round.

        first: the tokens of the answers of the rounds before it.
        """
        prompt = self.instruction.prompt(category, 0, "removed", special=self.control_tokens)
        answers = [i for i, segment in enumerate(prompt) if segment.answer]  # each with an ending behind it
        place = answers[2 * len(first)]
        return [token for piece in self._pieces(prompt[:place], first) for token in piece]

    def _pieces(self, segments: Sequence[Any], first: Sequence[Sequence[int]]) -> list[list[int]]:
        """The token ids of each segment, those of the first rounds' answers replaced by these where there are any."""
        pieces = self.tokenize([segment.text for segment in segments])
        answers = [i for i, segment in enumerate(segments) if segment.answer][: 2 * len(first) : 2]
        for place, ids in zip(answers, first, strict=True):
            pieces[place] = list(ids)
        return pieces

    def turns(
        self,
        category: Category,
        order: Sequence[int],
        describe: str = "detailed",
        first: Sequence[Sequence[int]] = (),
    ) -> list[list[int]]:
        """The tokenised questions of one conversation, for `Engine.answer_in_turn`.

        From the second on, each starts with the ending of the previous answer.

        order: indices of the keypoints in the order of the conversation.
        describe, first: as in `questions`.
        """
        turns: list[list[int]] = [[]]
        segments = self.instruction.conversation(category, order, describe, special=self.control_tokens)
        texts = [Text("") if isinstance(segment, Point) else segment for segment in segments]
        for segment, ids in zip(segments, self._pieces(texts, first), strict=True):
            if isinstance(segment, Point):
                turns.append([])
            else:
                turns[-1] += ids
        return turns[:-1]


@dataclass(frozen=True)
class CapeLLMView:
    """One object in one picture, encoded.

    model: the model that encoded it.
    cut: the object's crop.
    engine: decodes behind the prefix.
    prefix: the crop's visual tokens in the language model.
    """

    model: CapeLLM = field(repr=False)
    cut: ObjectCrop
    engine: Engine = field(repr=False)
    prefix: Prefix = field(repr=False)

    @torch.inference_mode()
    def predict(
        self,
        category: CategoryLike,
        strategy: str | None = None,
        density: bool | int = False,
        describe: str = "detailed",
        cumulative: bool = False,
        order: Sequence[int] | None = None,
        seed: int = 0,
        presence: float = PRESENT_FROM,
        **others: Any,
    ) -> Pose:
        """Find the category's keypoints, in original image pixels and in the category's order.

        category: K keypoints.
        strategy: how numbers are chosen, see `decoding.Strategy`; None takes the model's own.
        density: also give the joint distribution of each keypoint, on that many cells a side (True: 100). It is always
            that of the keypoint's question by itself.
        describe: how descriptions are given, one of `instructions.DESCRIBE`.
        cumulative: ask in one conversation, in which every question follows all earlier answers (Sec. 4.3).
        order: indices of the keypoints in the order of that conversation; None takes the category's order.
        seed: of strategies that draw.
        presence: the presence from which a point is present; its place is the same in any case.

        The confidence is the probability that x lies within 0.1 of the crop of the answer, times the same of y given
        x. A model that answers with <KEYPOINT> has no distribution: see `KeypointToken.locate` for its confidence. A
        point for which it does not write the token has no place. Raises InputError for options that a <KEYPOINT> answer
        does not have, and for an order that is none.
        """
        check_options("CapeLLM", others, OPTIONS)
        category, density = as_category(category), check_density(density)
        seed = check_whole(plain(seed), "A seed", least=0)
        cumulative = check_flag(plain(cumulative), "Whether it is asked cumulatively")
        strategy_name = self.model.config.strategy if strategy is None else strategy
        check_describe(describe)
        self.model.warn_of_language(category)
        first = self.first_answers(category) if self._writes_first else []
        questions = self.model.questions(category, describe, first)
        if self.model.keypoint_token is not None:
            if strategy is not None or density or cumulative or order is not None:
                raise InputError(
                    "This model answers with <KEYPOINT>, not digits; ask without strategy, density and cumulative."
                )
            token = self.model.keypoint_token
            found = token.locate(
                self.model.language, self.prefix, questions, stops=self.model.stops(self.model.instruction)
            )
            return self.cut.pose(category, found.points.numpy(), found.confidence.numpy())
        if cumulative:
            order = _checked_order(order, len(category))
            turns = self.model.turns(category, order, describe, first)
            decoded = self.engine.answer_in_turn(self.prefix, turns, strategy_name, seed).at(np.argsort(order).tolist())
        elif order is not None:
            raise InputError("An order is for cumulative reasoning only; ask with cumulative, or leave the order out.")
        else:
            decoded = self.engine.answer(self.prefix, questions, strategy_name, seed)
        grids = densities(self.engine, self.prefix, self.cut.crop, {k: [q] for k, q in enumerate(questions)}, density)
        points, sure = decoded.places, confidences(decoded)
        there = self.model.config.presence.of("text", self._cues(decoded))
        return self.cut.pose(category, points, sure, grids, there, presence)

    @torch.inference_mode()
    def confidences_at(self, category: CategoryLike, temperatures: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """The points K 2 in image pixels, and their confidences T K at each of T temperatures; as of `predict`.

        Raises InputError for a model that answers with <KEYPOINT>, which has no distribution.
        """
        model, questions = self.model, self._plain_questions(as_category(category))
        decoded = replace(self.engine, temperature=1.0).answer(self.prefix, questions, model.config.strategy)
        points = self.cut.to_image(decoded.places)
        return points, confidences_at(decoded, model.codec, temperatures)

    @torch.inference_mode()
    def draw_points(self, category: CategoryLike, seeds: Sequence[int], strategy: str = "sampling") -> np.ndarray:
        """The points of `predict` with each of N seeds, N K 2 in image pixels; the questions are read once.

        strategy: one that draws, see `decoding.Strategy`.

        Raises InputError as `predict` does, and for a model that answers with <KEYPOINT>, which has no distribution.
        """
        questions = [[question] for question in self._plain_questions(as_category(category))]
        drawn = self.engine.answers_of_seeds(self.prefix, questions, strategy, seeds)
        return np.stack([self.cut.to_image(one.places) for one in drawn])

    @torch.inference_mode()
    def presence_cues(self, category: CategoryLike) -> np.ndarray:
        """The cues K 2 of the presence of `predict`, see `density.presence`; InputError as of `confidences_at`."""
        questions = self._plain_questions(as_category(category))
        return self._cues(self.engine.answer(self.prefix, questions, self.model.config.strategy))

    def _plain_questions(self, category: Category) -> list[list[int]]:
        """The questions about a category without options; InputError for a model that answers with <KEYPOINT>."""
        self.model.check_distribution()
        return self.model.questions(category, first=self.first_answers(category) if self._writes_first else [])

    def _cues(self, decoded: DecodedPoints) -> np.ndarray:
        return distribution_cues(decoded, self.model.codec, self.engine.temperature)

    @property
    def _writes_first(self) -> bool:
        """Whether the model writes the answers of its form's first rounds itself."""
        return self.model.config.first_rounds == "written"

    @torch.inference_mode()
    def first_answers(self, category: Category) -> list[tuple[int, ...]]:
        """The tokens of the model's own answers to the first rounds of its form, without their endings.

        Each is written greedily, with at most FIRST_TOKENS tokens, behind the rounds before it.
        """
        model = self.model
        ending = model.tokenize([model.instruction.ending])[0]
        answers: list[tuple[int, ...]] = []
        for _ in model.instruction.first:
            question = model.first_question(category, answers)
            (one,) = self.engine.write(self.prefix, [question], ending, FIRST_TOKENS, model.tokenizer.eos_token_id)
            answers.append(one.ids)
        return answers


def load(folder: str | Path, dtype: torch.dtype = torch.float32, keep_half: bool = False) -> CapeLLM:
    """The CapeLLM of a folder that this library saved; see `storage.load`."""
    return storage.load(CapeLLM, folder, dtype, keep_half)


def _checked_order(order: Sequence[int] | None, count: int) -> list[int]:
    """The order of a conversation about `count` keypoints; InputError unless it has each index once."""
    order = list(range(count)) if order is None else order
    order = list(order) if isinstance(order, Sequence | np.ndarray) else [order]
    if not all(isinstance(i, int | np.integer) for i in order) or sorted(order) != list(range(count)):
        raise InputError(f"The order must name each keypoint from 0 to {count - 1} once, but got {order}.")
    return order
