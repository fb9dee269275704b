"""One object seen by a matcher, to be asked as often as one likes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...density import Density
from ...errors import InputError
from ...example import Example
from ...geometry import CONFIDENCE_RADIUS, Box, Crop
from ...pose import Explanation, Pose, with_uncertainty
from ..examples import check_examples
from ..view import regrid
from .inputs import encode_example
from .stages import stages, watched

if TYPE_CHECKING:
    from .model import Answer, MatchingModel


@dataclass(frozen=True)
class MatchView:
    """features: of the query's crop, 1 C h w. image_size: width, height."""

    model: "MatchingModel"
    features: Tensor
    crop: Crop
    box: Box
    image_size: tuple[int, int]
    image: str

    @torch.inference_mode()
    def predict(
        self,
        category: Category,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        **others: Any,
    ) -> Pose:
        """Where the category's keypoints are, in original image pixels, in the category's order.

        example: one, or several, of which the mean is taken (by `evidence` the mixture of their answers); their points
        are in the category's order. words: whether names and descriptions are read; None where the model can. The
        skeleton always is.
        A keypoint that no example shows, and no word names, is absent.
        density: also each keypoint's first guess as a density, on the cells of the feature map or on so many a side.

        The confidence is the probability within a tenth of the crop of the answer, under the softmax of the proposals'
        similarity map. It ranks answers; the decoder moves points after it, and nothing calibrates it.
        Raises InputError for a prompt that this model does not answer to, and for examples that are not of the
        category or whose points lie outside their picture.
        """
        answer, present = self._ask(category, example, words, others)
        return self._pose(category, answer, present, density)

    @torch.inference_mode()
    def explain(
        self,
        category: Category,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        **others: Any,
    ) -> Explanation:
        """How `predict` comes to its answer, of the same question: the answer and the stages on the way to it.

        Raises InputError as `predict`, and for a head without a decoder that looks at the picture.
        """
        with watched(self.model.head) as seen:
            answer, present = self._ask(category, example, words, others)
        pose, found = self._pose(category, answer, present, density), stages(self.model, answer, seen)

        def shown(values: Tensor, axis: int) -> np.ndarray:
            there = np.expand_dims(present, [i for i in range(values.ndim) if i != axis])
            return np.where(there, values.double().cpu().numpy(), np.nan)

        path = self.crop.to_image(shown(found.path[:, 0], 1))
        similarity = shown(answer.chances[0], 0)
        return Explanation(pose, self.crop, shown(found.attention[:, 0], 1), similarity, path)

    def _ask(
        self,
        category: Category,
        example: Example | Sequence[Example] | None,
        words: bool | None,
        others: dict[str, Any],
    ) -> tuple["Answer", np.ndarray]:
        """The head's answer, and which keypoints (K bool) the prompt covers."""
        if others:
            raise InputError(f"A matcher has no choice of {next(iter(others))}; leave it out.")
        model = self.model
        examples = check_examples(example, category)
        words = model.config.reads if words is None else words
        model.check_prompt(bool(examples), words)
        valid = torch.ones(1, len(category), dtype=torch.bool, device=model.device)
        present = np.full(len(category), words)
        prompt: dict[str, Tensor] = {}
        if words:
            prompt["phrases"] = model.phrases(category)[None]
        if examples:
            encoded = [encode_example(one, model.config) for one in examples]
            shown = np.stack([one.shown for one in encoded])
            present |= shown.any(axis=0)
            prompt["examples"] = torch.stack([model.look_at(one) for one in encoded], dim=1)
            prompt["heat"] = torch.from_numpy(np.stack([one.heat for one in encoded]))[None].to(model.device)
            prompt["shown"] = torch.from_numpy(shown)[None].to(model.device)
        return model.match(self.features, valid, [category.skeleton], **prompt), present

    def _pose(self, category: Category, answer: "Answer", present: np.ndarray, density: bool | int) -> Pose:
        points = answer.found[0].double().cpu().numpy()
        xy = np.where(present[:, None], self.crop.to_image(points), np.nan)
        grids = answer.chances[0].double().cpu().numpy()
        guesses = {k: Density(self.crop, _whole(grids[k])) for k in np.flatnonzero(present).tolist()}
        confidence = np.full(len(category), np.nan)
        for k, guess in guesses.items():
            confidence[k] = guess.mass_within(xy[k], CONFIDENCE_RADIUS * self.crop.side)
        pose = Pose(
            names=category.names,
            xy=xy,
            confidence=confidence,
            present=present,
            box=self.box,
            image_size=self.image_size,
            skeleton=category.skeleton,
            category=category.name,
            image=self.image,
        )
        if not density:
            return pose
        if density is not True:
            guesses = {k: Density(self.crop, _whole(regrid(guess.grid, density))) for k, guess in guesses.items()}
        return with_uncertainty(replace(pose, density={pose.keys[k]: guess for k, guess in guesses.items()}))


def _whole(grid: np.ndarray) -> np.ndarray:
    """Sums of float32 probabilities may miss 1 by a rounding error."""
    return grid / grid.sum()
