"""One object in one picture, encoded by KptLLM: the name of the keypoint at a point, and the point of a keypoint.

All questions about an image share its prefix and are branches behind it. Prompt tokens are rows of a table; a question
contains PROMPT - r for row r.

Letters: N image tokens, C encoder width, D model width, K keypoints, M examples, R prompt tokens, P points to name.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...configs.checks import check_text, check_whole, plain
from ...decoding import DecodedPoints, Engine, Prefix
from ...density.presence import PRESENT_FROM
from ...errors import InputError
from ...example import Example
from ...geometry import visible_in
from ...images import read_picture
from ...instructions import check_describe
from ...library.lookup import as_category
from ...pose import Identified, Pose
from ..arguments import CategoryLike, check_density, check_options, check_touched, check_words
from ..cache import pixels_key
from ..examples import check_examples, check_inside, check_shown
from ..found_names import likeliest, log_touched
from ..view import ObjectCrop
from .base import confidences, confidences_at, densities, distribution_cues
from .kptllm_network import PROMPT, KptLLMNetwork
from .kptllm_questions import ExampleTokens, KeypointQuestion

MOST_EXAMPLES = 32  # largest number of examples in one call
OPTIONS = ("example", "words", "strategy", "density", "describe", "seed", "presence")  # of `KptLLMView.predict`
NAME_TOKENS = 32  # largest number of tokens of a name that the model writes, its ending included


@dataclass(frozen=True)
class KptLLMView:
    """One object in one picture, encoded.

    model: the model that encoded it.
    cut: the object's crop.
    features: 1 N C, the encoder's features of the crop.
    engine: decodes behind the prefix.
    prefix: the crop's visual tokens in the language model.
    """

    model: KptLLMNetwork = field(repr=False)
    cut: ObjectCrop
    features: Tensor = field(repr=False)
    engine: Engine = field(repr=False)
    prefix: Prefix = field(repr=False)

    # --- naming points ------------------------------------------------------------------------------------------------

    @overload
    def identify(
        self, points: tuple[float, float], category: CategoryLike | None = None, called: str | None = None
    ) -> Identified: ...

    @overload
    def identify(
        self, points: np.ndarray, category: CategoryLike | None = None, called: str | None = None
    ) -> list[Identified]: ...

    @torch.inference_mode()
    def identify(
        self, points: Any, category: CategoryLike | None = None, called: str | None = None
    ) -> Identified | list[Identified]:
        """Name the keypoints at P points.

        points: (P, 2) in original image pixels; a single (x, y) gives a single result. A point outside the box's crop
            is processed like any other, although the model does not get the pixels there.
        category: None lets the model write a name of its own, of at most NAME_TOKENS tokens. With a category, the most
            probable of its names is given, with the probability of each name: the softmax over log p of the names as
            answers or, for a model whose config says so (naming: found), `models.found_names`.
        called: the name that the user calls the points by, right or wrong, for models that were trained with the task
            misnamed (docs/recipes.md); the answer has the name that the model finds right. What is said counts in
            written names alone, so that they are weighed as answers in any case.

        Raises InputError for points outside the picture, and for `called` where the model's task form has no misnamed.
        """
        places, single = check_touched(points, self.cut.image_size)
        category = None if category is None else as_category(category)
        if not len(places):
            return []
        model = self.model
        if category is not None and called is None and model.config.naming == "found":
            answers = self._found_names(self.cut.crop.normalise(places), category)
            return answers[0] if single else answers
        normalised = torch.from_numpy(self.cut.crop.normalise(places)).float().to(model.device)
        engine = self._engine(model.prompt_tokens(self.features, normalised[None])[0])
        question = self._naming_question(called)
        questions = [[PROMPT - row, *question] for row in range(len(places))]
        ending = model.tokenize([model.form.identify.ending])[0]
        if category is None:
            written = engine.write(self.prefix, questions, ending, NAME_TOKENS, model.tokenizer.eos_token_id)
            answers = [Identified(model.text(one.ids), math.exp(one.log_prob)) for one in written]
        else:
            names = list(dict.fromkeys(category.names))
            candidates = [[*model.name_tokens(name), *ending] for name in names]
            scores = engine.score(self.prefix, questions, candidates)
            answers = [likeliest(row, names) for row in scores.numpy()]
        return answers[0] if single else answers

    def _found_names(self, places: np.ndarray, category: Category) -> list[Identified]:
        """The names of P points [P, 2], fractions of the crop, by where the model finds each of the category's names.

        A name's distribution is that of x times that of y at its likeliest x: enough to tell names apart, and as quick
        as `predict`.
        """
        questions, _, engine, _ = self._asked(category, [], True, "detailed", self.model.config.temperature.of("text"))
        (found,) = self._decoded(engine, questions, "mode", [0])
        x, y = found.x.numpy(), found.y.numpy()
        return [likeliest(log_touched(x, at[0]) + log_touched(y, at[1]), category.names) for at in places]

    def _naming_question(self, called: str | None) -> list[int]:
        """The tokens of the question for a point's name, which the user calls it by or not."""
        if called is None:
            return self.model.question("identify")
        if "misnamed" not in self.model.form.tasks:
            raise InputError(
                f"The task form {self.model.form.name!r} has no misnamed, so the model cannot be told what the point "
                "is called; leave called out."
            )
        return self.model.question("misnamed", given=check_text(called, "What the point is called"))

    # --- finding keypoints --------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def predict(
        self,
        category: CategoryLike,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        strategy: str | None = None,
        density: bool | int = False,
        describe: str = "detailed",
        seed: int = 0,
        presence: float = PRESENT_FROM,
        **others: Any,
    ) -> Pose:
        """Find the category's keypoints, in original image pixels and in the category's order.

        category: K keypoints.
        example: one, or up to MOST_EXAMPLES, with points in the category's order.
        words: whether the keypoints' names and descriptions are read; None reads them. A keypoint without a point in
            any example has no place where they are not read.
        strategy: how numbers are chosen, see `decoding.Strategy`; None takes the model's own.
        density: also give the joint distribution of each keypoint, on that many cells a side (True: 100).
        describe: how descriptions are given, one of `instructions.DESCRIBE`.
        seed: of strategies that draw.
        presence: the presence from which a point is present; its place is the same in any case.

        Several examples of a keypoint are several questions. The answer is that of the equal mixture of their exact
        distributions: p(x) is the mean of p_m(x), and p(y | x) weights each example by its p_m(x). A model that answers
        with <KEYPOINT> has no distribution: its answer is the mean of the points for which it writes the token.

        A model that identifies first answers with the keypoint's name before its point. Where words are read, the name
        is known; else the model writes one per example, and `identified` has the name of the highest total probability.

        The confidence is that of CapeLLM; of a <KEYPOINT> answer that of `KeypointToken.locate`, the mean over its
        examples. Raises InputError for options that a <KEYPOINT> answer does not have, for examples of another
        category, and for points outside their picture.
        """
        check_options("KptLLM", others, OPTIONS)
        category, density = as_category(category), check_density(density)
        seed = check_whole(plain(seed), "A seed", least=0)
        examples = check_examples(example, category)
        words = True if check_words(words) is None else words
        self._check_options(examples, words, describe, strategy, density)
        if words and not examples:
            self.model.warn_of_language(category)
        kind = ("both" if words else "example") if examples else "text"
        temperature = self.model.config.temperature.of(kind)
        questions, prompts, engine, identified = self._asked(category, examples, words, describe, temperature)
        points, confidence, cues = self._points(engine, len(category), questions, prompts, strategy, seed)
        by_keypoint = {question.keypoint: question.tokens for question in questions}
        grids = densities(engine, self.prefix, self.cut.crop, by_keypoint, density)
        there = self.model.config.presence.of(kind, cues)
        return self.cut.pose(category, points, confidence, grids, there, presence, identified=identified)

    @torch.inference_mode()
    def draw_points(self, category: CategoryLike, seeds: Sequence[int], strategy: str = "sampling") -> np.ndarray:
        """The points of `predict` from words with each of N seeds, N K 2 in image pixels; questions are read once."""
        questions, _, engine = self._asked_plainly(as_category(category), None, True)
        return np.stack([self.cut.to_image(one.places) for one in self._decoded(engine, questions, strategy, seeds)])

    @torch.inference_mode()
    def presence_cues(
        self,
        category: CategoryLike,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
    ) -> np.ndarray:
        """The cues K 2 of the presence of `predict`, see `density.presence`; NaN for a point without a question.

        The other arguments are those of `predict`. Raises InputError as `confidences_at` does.
        """
        category = as_category(category)
        questions, prompts, engine = self._asked_plainly(category, example, words)
        return self._points(engine, len(category), questions, prompts, None, 0)[2]

    @torch.inference_mode()
    def confidences_at(
        self,
        category: CategoryLike,
        temperatures: Sequence[float],
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The points K 2 in image pixels, and their confidences T K at each of T temperatures.

        The other arguments are those of `predict`, whose points and, with at most one example, confidences these are.
        Raises InputError for a model that answers with <KEYPOINT>, which has no distribution.
        """
        category, model = as_category(category), self.model
        questions, _, engine = self._asked_plainly(category, example, words)
        points = np.full((len(category), 2), np.nan)
        confidence = np.full((len(temperatures), len(category)), np.nan)
        rows = [question.keypoint for question in questions]
        (decoded,) = self._decoded(engine, questions, model.config.strategy, [0])
        points[rows] = decoded.places
        confidence[:, rows] = confidences_at(decoded, model.codec, temperatures)
        return self.cut.to_image(points), confidence

    def _asked(
        self, category: Category, examples: Sequence[Example], words: bool, describe: str, temperature: float
    ) -> tuple[list[KeypointQuestion], Tensor | None, Engine, list[str | None] | None]:
        """The questions, the prompt tokens R D that they refer to, the engine that answers them, and names written."""
        # Sorted by content, so that the order in which examples are given changes no bit.
        encoded = sorted((self._encoded(one) for one in examples), key=lambda one: one.key)
        questions, prompts = self._questions(category, encoded, words, describe)
        engine, identified = self._engine(prompts, temperature), None
        if self.model.config.identify_first:
            questions, identified = self._with_names(engine, category, questions, words)
        return questions, prompts, engine, identified

    def _asked_plainly(
        self, category: Category, example: Example | Sequence[Example] | None, words: bool | None
    ) -> tuple[list[KeypointQuestion], Tensor | None, Engine]:
        """`_asked` without options, of an engine at temperature 1; InputError for a model without distribution."""
        self.model.check_distribution()
        examples = check_examples(example, category)
        words = True if check_words(words) is None else words
        self._check_options(examples, words, "detailed", None, False)
        return self._asked(category, examples, words, "detailed", 1.0)[:3]

    def _decoded(
        self, engine: Engine, questions: Sequence[KeypointQuestion], strategy: str, seeds: Sequence[int]
    ) -> list[DecodedPoints]:
        """For each seed one answer to each question, read off the digits."""
        groups, keys = [one.tokens for one in questions], [one.key for one in questions]
        return engine.answers_of_seeds(self.prefix, groups, strategy, seeds, keys)

    def _check_options(
        self, examples: list[Example], words: bool, describe: str, strategy: str | None, density: bool | int
    ) -> None:
        """InputError for options that do not go together, or that this model does not have."""
        if len(examples) > MOST_EXAMPLES:
            raise InputError(f"At most {MOST_EXAMPLES} examples can be shown, but got {len(examples)}; choose some.")
        if not words and not examples:
            raise InputError("KptLLM needs words or an example; pass an example, or ask with words.")
        if check_describe(describe) != "detailed" and not words:
            raise InputError("Descriptions are not read without words; leave describe out, or ask with words.")
        if self.model.keypoint_token is not None and (strategy is not None or density):
            raise InputError("This model answers with <KEYPOINT>, not digits; ask without strategy and density.")

    def _encoded(self, example: Example) -> ExampleTokens:
        """Encode an example; InputError for points outside its picture, and where none lies in its crop."""
        model = self.model
        picture = read_picture(example.image)
        check_inside(example, picture.size)
        cut = model.cut(picture, example.box)
        points = cut.crop.normalise(example.points)
        visible = visible_in(points)
        check_shown(example, visible, cut.crop, picture.size)
        key = pixels_key(cut.pixels)
        features = model.cache.get(key, lambda: model.encoder(model.normalised([cut])))
        return ExampleTokens(features, points, visible, key + np.where(visible[:, None], points, np.nan).tobytes())

    def _questions(
        self, category: Category, examples: Sequence[ExampleTokens], words: bool, describe: str
    ) -> tuple[list[KeypointQuestion], Tensor | None]:
        """The questions about every keypoint that has words or an example, and the prompt tokens R D they refer to."""
        model = self.model
        prompts, row = [], 0
        # Per keypoint, for each example that has it: the token of its prompt, and a number of its pixels and point.
        marked: list[list[tuple[int, int]]] = [[] for _ in category.keypoints]
        for one in examples:
            visible = np.flatnonzero(one.visible)
            points = torch.from_numpy(one.points[visible]).float().to(model.device)
            prompts.append(model.prompt_tokens(one.features, points[None])[0])
            for k in visible.tolist():
                digest = hashlib.sha256(one.key[:32] + one.points[k].tobytes()).digest()
                marked[k].append((PROMPT - row, int.from_bytes(digest[:7], "big")))
                row += 1
        questions = []
        for k, marks in enumerate(marked):
            if not marks and not words:
                continue
            keypoint = (category, k, describe) if words else ()
            question = model.question(("both" if words else "example") if marks else "text", *keypoint)
            tokens = [[token, *question] for token, _ in marks] or [question]
            questions.append(KeypointQuestion(k, tokens, [*sorted({number for _, number in marks}), *question]))
        return questions, torch.cat(prompts) if prompts else None

    def _with_names(
        self, engine: Engine, category: Category, questions: Sequence[KeypointQuestion], words: bool
    ) -> tuple[list[KeypointQuestion], list[str | None] | None]:
        """The questions followed by the name that their answers start with, and the names that the model wrote (None
        where words are read: the names are then the category's)."""
        model = self.model
        between = model.tokenize([model.form.between])[0]
        if words:
            known = [model.name_tokens(name) for name in category.names]
            names: list[list[Sequence[int]]] = [[known[one.keypoint]] * len(one.tokens) for one in questions]
            identified = None
        else:
            flat = [tokens for question in questions for tokens in question.tokens]
            written = iter(engine.write(self.prefix, flat, between, NAME_TOKENS, model.tokenizer.eos_token_id))
            names, identified = [], [None] * len(category)
            for question in questions:
                own = [next(written) for _ in question.tokens]
                names.append([one.ids for one in own])
                identified[question.keypoint] = self._most_probable((one.ids, one.log_prob) for one in own)
        named = [
            replace(question, tokens=[[*ids, *name, *between] for ids, name in zip(question.tokens, own, strict=True)])
            for question, own in zip(questions, names, strict=True)
        ]
        return named, identified

    def _most_probable(self, names: Iterator[tuple[tuple[int, ...], float]]) -> str:
        """The name of the highest total probability, of tokenised names and their log probabilities."""
        totals: dict[str, float] = {}
        for ids, log_prob in names:
            name = self.model.text(ids)
            totals[name] = totals.get(name, 0.0) + math.exp(log_prob)
        return max(totals, key=lambda name: (totals[name], name))

    def _points(
        self,
        engine: Engine,
        count: int,
        questions: Sequence[KeypointQuestion],
        prompts: Tensor | None,
        strategy: str | None,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The points K 2, fractions of the crop, their confidences K and the cues K 2 of their presence.

        All are NaN for keypoints without a question, and the cues of a <KEYPOINT> answer, which has no distribution.
        """
        model = self.model
        points, confidence, cues = np.full((count, 2), np.nan), np.full(count, np.nan), np.full((count, 2), np.nan)
        rows = [question.keypoint for question in questions]
        if model.keypoint_token is not None:
            groups = [question.tokens for question in questions]
            flat = [tokens for group in groups for tokens in group]
            embed = partial(model.embed, prompts=prompts)
            stops = model.stops(model.form.text)
            found = model.keypoint_token.locate(model.language, self.prefix, flat, embed, stops)
            sizes = [len(group) for group in groups]
            means = [part.nanmean(0) for part in found.points.split(sizes)]
            points[rows] = torch.stack(means).numpy()
            confidence[rows] = [float(part.nanmean()) for part in found.confidence.split(sizes)]
        else:
            named = model.config.strategy if strategy is None else strategy
            (decoded,) = self._decoded(engine, questions, named, [seed])
            points[rows] = decoded.places
            confidence[rows] = confidences(decoded)
            cues[rows] = distribution_cues(decoded, model.codec, engine.temperature)
        return points, confidence, cues

    def _engine(self, prompts: Tensor | None, temperature: float = 1.0) -> Engine:
        """An engine whose questions may contain prompt tokens, of the table R D; temperature: see `Engine`."""
        embed = None if prompts is None else partial(self.model.embed, prompts=prompts)
        return replace(self.engine, embed=embed, temperature=temperature)
