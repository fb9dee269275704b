"""One object seen by KptLLM, to be asked as often as one likes: what is here, and where is that?

All questions about an image share its prefix and run as branches behind it. A prompt token is a row of a table that the
questions name as PROMPT - r.

Letters: N image tokens, C encoder width, D model width, K keypoints, M examples, R prompt tokens, P places.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...decoding import Engine, Prefix
from ...errors import InputError
from ...example import Example
from ...geometry import visible_in
from ...images import read_image
from ...instructions import check_describe
from ...pose import Identified, Pose
from ..cache import pixels_key
from ..examples import SLACK, check_examples, check_inside, check_shown
from .base import Sight, confidences, with_densities
from .kptllm import PROMPT, KptLLM

MOST_EXAMPLES = 32
NAME_TOKENS = 32  # of a name that the model writes, with what ends it


@dataclass(frozen=True)
class Shown:
    """What an example shows. features: 1 N C of its crop. points: K 2, fractions of it. shown: K bool. key: the same
    for the same pixels and points."""

    features: Tensor
    points: np.ndarray
    shown: np.ndarray
    key: bytes


@dataclass(frozen=True)
class Question:
    """About one keypoint: its tokens, once behind each prompt token that shows it; what its draws depend on."""

    keypoint: int
    tokens: list[list[int]]
    key: list[int]


@dataclass(frozen=True)
class KptView:
    """features: of the object's crop before any projection, 1 N C."""

    model: KptLLM
    sight: Sight
    features: Tensor
    engine: Engine
    prefix: Prefix

    # --- what is here? -----------------------------------------------------------------------------------------------

    @overload
    def identify(self, points: tuple[float, float], category: Category | None = None) -> Identified: ...

    @overload
    def identify(self, points: np.ndarray, category: Category | None = None) -> list[Identified]: ...

    @torch.inference_mode()
    def identify(self, points: Any, category: Category | None = None) -> Identified | list[Identified]:
        """The names of P places, (P, 2) in original image pixels; of a single (x, y) the one answer by itself.

        category: None lets the model say what it sees, cut off behind NAME_TOKENS tokens; else the likeliest of its
        names is given with the probabilities of all, the softmax of what the model gives each whole name.
        A place outside the box's crop is asked about like any other, though what is there is not seen.
        Raises InputError for points outside the picture.
        """
        places, single = self._places(points)
        if not len(places):
            return []
        model, form = self.model, self.model.form
        normalised = torch.from_numpy(self.sight.crop.normalise(places)).float().to(model.device)
        engine = self._engine(model.prompt_tokens(self.features, normalised[None])[0])
        asked = model.question("identify")
        questions = [[PROMPT - row, *asked] for row in range(len(places))]
        ending = model.tokenize([form.identify.ending])[0]
        if category is None:
            written = engine.write(self.prefix, questions, ending, NAME_TOKENS, model.tokenizer.eos_token_id)
            answers = [Identified(model.text(one.ids), math.exp(one.log_prob)) for one in written]
        else:
            names = list(dict.fromkeys(category.names))
            candidates = [[*model.name_tokens(name), *ending] for name in names]
            chances = engine.score(self.prefix, questions, candidates).softmax(-1).tolist()
            answers = []
            for row in chances:
                best = max(range(len(names)), key=row.__getitem__)
                answers.append(Identified(names[best], row[best], dict(zip(names, row, strict=True))))
        return answers[0] if single else answers

    def _places(self, points: Any) -> tuple[np.ndarray, bool]:
        """Points P 2 in image pixels, and whether it was a single one."""
        try:
            places = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError):
            places = np.array(np.nan)
        single = places.shape == (2,)
        places = places[None] if single else places
        if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
            raise InputError(f"Points to name must be (x, y) or (P, 2), finite and in pixels, but got {points!r}.")
        width, height = self.sight.image_size
        off = ((places < -SLACK) | (places > np.array([width, height]) + SLACK)).any(axis=1)
        if off.any():
            x, y = places[off][0]
            raise InputError(
                f"The point ({x:g}, {y:g}) lies outside the picture of {width} x {height} pixels; give points inside."
            )
        return places, single

    # --- where is that? ----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def predict(
        self,
        category: Category,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        strategy: str | None = None,
        density: bool | int = False,
        describe: str = "detailed",
        seed: int = 0,
        **others: Any,
    ) -> Pose:
        """Where the category's keypoints are, in original image pixels, in the category's order.

        example: one, or up to MOST_EXAMPLES, with points in the category's order. words: whether the keypoints' names
        and descriptions are read; None reads them. A keypoint that no example shows, and no word names, is absent.
        strategy: see `decoding.Strategy`; None takes the model's own. seed: of those that draw. density: also the whole
        joint distribution of each keypoint, on so many cells a side (True: 100). describe: how the descriptions are
        given, one of `instructions.DESCRIBE`.

        Several examples of a keypoint are several questions. The answer is read off the equal mixture of their exact
        distributions: p(x) is the mean of p_m(x), and in p(y | x) each example counts by its p_m(x). A model that
        answers with <KEYPOINT> has no distribution: its answer is the mean of the points.

        A model that identifies first names the keypoint before it gives the point. Where words are read, the name is
        known; else the model writes one for each example, and `identified` has the likeliest, by their sum.

        The confidence is as CapeLLM's, NaN for a <KEYPOINT> answer. Raises InputError for options that a <KEYPOINT>
        answer has not, and for examples that are not of the category or whose points lie outside their picture.
        """
        if others:
            raise InputError(f"KptLLM has no choice of {next(iter(others))}; leave it out.")
        model = self.model
        examples = check_examples(example, category)
        if len(examples) > MOST_EXAMPLES:
            raise InputError(f"At most {MOST_EXAMPLES} examples can be shown, but got {len(examples)}; choose some.")
        words = True if words is None else words
        if not words and not examples:
            raise InputError("KptLLM needs words or an example; pass an example, or ask with words.")
        if check_describe(describe) != "detailed" and not words:
            raise InputError("Descriptions are not read without words; leave describe out, or ask with words.")
        if model.keypoint_token is not None and (strategy is not None or density):
            raise InputError("This model answers with <KEYPOINT>, not digits; ask without strategy and density.")
        shown = sorted((self._look_at(one) for one in examples), key=lambda one: one.key)  # order changes no bit
        questions, prompts = self._questions(category, shown, words, describe)
        engine = self._engine(prompts)
        identified = None
        if model.config.identify_first:
            questions, identified = self._named(engine, category, questions, words)
        points, confidence = np.full((len(category), 2), np.nan), np.full(len(category), np.nan)
        rows = [question.keypoint for question in questions]
        groups = [question.tokens for question in questions]
        if model.keypoint_token is not None:
            flat = [tokens for group in groups for tokens in group]
            embed = partial(model.embed, prompts=prompts)
            found = model.keypoint_token.locate(model.language, self.prefix, flat, embed).double().cpu()
            means = [part.mean(0) for part in found.split([len(group) for group in groups])]
            points[rows] = torch.stack(means).numpy()
        else:
            keys = [question.key for question in questions]
            answers = engine.answer_together(self.prefix, groups, strategy or model.config.strategy, seed, keys)
            points[rows] = answers.values.double().numpy() / 1000
            confidence[rows] = confidences(answers)
        pose = self.sight.pose(category, points, confidence, identified=identified)
        return with_densities(pose, self.sight.crop, engine, self.prefix, dict(zip(rows, groups, strict=True)), density)

    def _look_at(self, example: Example) -> Shown:
        """Raises InputError for points outside the picture, and where the crop shows none."""
        model = self.model
        picture = read_image(example.image)
        check_inside(example, picture.size)
        sight = model.look(picture, example.box)
        points = sight.crop.normalise(example.points)
        shown = visible_in(points)
        check_shown(example, shown, sight.crop, picture.size)
        key = pixels_key(sight.pixels)
        features = model.cache.get(key, lambda: model.encoder(model.normalised(sight.pixels)))
        return Shown(features, points, shown, key + np.where(shown[:, None], points, np.nan).tobytes())

    def _questions(
        self, category: Category, shown: Sequence[Shown], words: bool, describe: str
    ) -> tuple[list[Question], Tensor | None]:
        """A question for every keypoint that can be asked about, and the prompt tokens R D that they name."""
        model = self.model
        prompts, row = [], 0
        places: list[list[tuple[int, int]]] = [[] for _ in category.keypoints]  # of each keypoint: token, number
        for one in shown:
            there = np.flatnonzero(one.shown)
            points = torch.from_numpy(one.points[there]).float().to(model.device)
            prompts.append(model.prompt_tokens(one.features, points[None])[0])
            for k in there.tolist():
                digest = hashlib.sha256(one.key[:32] + one.points[k].tobytes()).digest()
                places[k].append((PROMPT - row, int.from_bytes(digest[:7], "big")))
                row += 1
        questions = []
        for k, seen in enumerate(places):
            if not seen and not words:
                continue
            told = (category, k, describe) if words else ()
            asked = model.question(("both" if words else "example") if seen else "text", *told)
            tokens = [[token, *asked] for token, _ in seen] or [asked]
            questions.append(Question(k, tokens, [*sorted({number for _, number in seen}), *asked]))
        return questions, torch.cat(prompts) if prompts else None

    def _named(
        self, engine: Engine, category: Category, questions: Sequence[Question], words: bool
    ) -> tuple[list[Question], list[str | None] | None]:
        """The questions with the name behind them that their answers start with; the names that the model wrote."""
        model = self.model
        between = model.tokenize([model.form.between])[0]
        if words:
            known = [model.name_tokens(name) for name in category.names]
            names = [[known[question.keypoint]] * len(question.tokens) for question in questions]
            identified = None
        else:
            flat = [tokens for question in questions for tokens in question.tokens]
            written = iter(engine.write(self.prefix, flat, between, NAME_TOKENS, model.tokenizer.eos_token_id))
            names, identified = [], [None] * len(category)
            for question in questions:
                found = [next(written) for _ in question.tokens]
                names.append([one.ids for one in found])
                sums: dict[str, float] = {}
                for one in found:
                    name = model.text(one.ids)
                    sums[name] = sums.get(name, 0.0) + math.exp(one.log_prob)
                identified[question.keypoint] = max(sums, key=lambda name: (sums[name], name))
        longer = [
            replace(question, tokens=[[*ids, *name, *between] for ids, name in zip(question.tokens, own, strict=True)])
            for question, own in zip(questions, names, strict=True)
        ]
        return longer, identified

    def _engine(self, prompts: Tensor | None) -> Engine:
        """The engine, with prompt tokens R D among what questions may hold."""
        embed = None if prompts is None else partial(self.model.embed, prompts=prompts)
        return replace(self.engine, embed=embed)
