"""One object of a picture, encoded once by a matcher, to be asked any number of times.

Letters: K keypoints, C channels, h x w cells of features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from ...density.presence import PRESENT_FROM
from ...density.temperature import tempered
from ...errors import InputError
from ...example import Example
from ...geometry import Box, Crop
from ...images import UprightPicture
from ...pose import Explanation, Identified, Pose
from ..arguments import CategoryLike, check_touched
from ..view import ObjectCrop
from .answering import Asked, MatcherQuestion, answers, probabilities, question_of, second_looks
from .explaining import recorded_attention, stacked
from .heads.base import HeadOutput
from .naming import named, names_to_choose
from .posing import confidence_shares, masses, places_of, pose_of
from .presences import cues_of, presence_of


@dataclass(frozen=True)
class MatchView:
    """A matcher's view of one object.

    features: [1, C, h, w], of the object's crop.
    cut: where the crop lies in the picture.
    picture: that the crop was cut out of, for second looks.
    """

    model: Asked = field(repr=False)
    features: Tensor = field(repr=False)
    cut: ObjectCrop
    picture: UprightPicture = field(repr=False)

    @property
    def crop(self) -> Crop:
        """The square that was cut out, in image pixels."""
        return self.cut.crop

    @property
    def box(self) -> Box:
        """The object's box in image pixels."""
        return self.cut.box

    @torch.inference_mode()
    def predict(
        self,
        category: CategoryLike,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        describe: str = "detailed",
        mirror: bool = False,
        fine: bool | None = None,
        presence: float = PRESENT_FROM,
        **others: Any,
    ) -> Pose:
        """Where the category's keypoints are, in original image pixels, in the category's order.

        category: names the keypoints (see `library.lookup.as_category`); its skeleton is always used.
        example: one or several, whose points are in the category's order. Of several the mean is taken; the head
            `evidence` takes the mixture of their distributions.
        words: whether names and descriptions are read; None reads them where the model can.
        density: also give each keypoint's probabilities as a density: of the first guess, of `evidence` those of the
            output. True has the cells of the feature map, a number so many cells on a side.
        describe: "detailed" reads the descriptions where the model was trained with them, "removed" reads names alone.
        mirror: also ask about the mirrored picture, with the same prompt, and answer with the mean of both densities,
            left and right exchanged on the way back (`mirroring`). Takes as long again, but for the examples.
        fine: look at each point that an example shows once more, in a small square round the first answer
            (`second_look`); its density then has finer cells. None does so where the model's config says `fine`.

        presence: the presence from which a point is present; its place is the same in any case.

        A keypoint that no example shows, and no phrase names, has no place. The confidence is the probability, under
        that density, within a tenth of the crop of the point. The decoder of most heads moves points after the first
        guess, and then it only ranks them. The density is at the model's temperature for this kind of prompt.

        Raises InputError for a prompt that this model does not take, and for examples that are not of the category or
        whose points lie outside their picture.
        """
        options = {"density": density, "describe": describe, "mirror": mirror, "fine": fine, "presence": presence}
        question = question_of(self.model, category, example, words, **options, **others)
        return answers(self.model, [self], [question])[0]

    @torch.inference_mode()
    def explain(
        self,
        category: CategoryLike,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        density: bool | int = False,
        describe: str = "detailed",
        fine: bool | None = None,
        **others: Any,
    ) -> Explanation:
        """How `predict` comes to its points: the same pose, and the stages on the way to it.

        The arguments are those of `predict` but for mirror, as there is one way to the answer alone. Raises InputError
        as `predict` does, for mirror, and for a head without a decoder that attends to the picture.
        """
        question = question_of(self.model, category, example, words, density, describe, fine=fine, **others)
        if question.mirror:
            raise InputError("An explanation is of the picture as it is, but got mirror=True; leave one of them out.")
        covered = question.covered
        with recorded_attention(self.model.head) as recorded:
            output = self._match(question)
        (found,) = second_looks(self.model, [self], [question], [output])
        grids = probabilities(self.model, output, question.prompt)
        there = presence_of(
            self.model.config, question.prompt, output.probabilities, self.model.head.best_scores(output), covered
        )
        of = self.cut, question.category, covered, output.points, grids, question.density
        pose = pose_of(*of, found, there, question.least)
        stages = self.model.head.stages(output, stacked(recorded))

        def only_covered(values: Tensor, axis: int) -> np.ndarray:
            mask = np.expand_dims(covered, [i for i in range(values.ndim) if i != axis])
            return np.where(mask, values.cpu().double().numpy(), np.nan)

        path = self.cut.to_image(only_covered(stages.path[:, 0], 1))
        path = path if found is None else np.concatenate([path, pose.xy[None]])
        attention = only_covered(stages.attention[:, 0], 1)
        return Explanation(pose, self.crop, attention, only_covered(grids[0], 0), path)

    @overload
    def identify(self, points: tuple[float, float], category: CategoryLike | None = None) -> Identified: ...

    @overload
    def identify(self, points: np.ndarray, category: CategoryLike | None = None) -> list[Identified]: ...

    @torch.inference_mode()
    def identify(
        self, points: Any, category: CategoryLike | None = None, called: None = None
    ) -> Identified | list[Identified]:
        """Name the keypoints at P points, out of a category's names and each point by itself; see `naming`.

        points: (P, 2) in original image pixels; a single (x, y) gives a single result. A point outside the box's crop
            is processed like any other, although the model does not get the pixels there.
        category: lists the names. Names and descriptions are read as `predict` reads them.
        called: None, as a matcher is in no conversation in which the user calls a point by a name.

        Raises InputError as `names_to_choose` does, and for points outside the picture.
        """
        category = names_to_choose(self.model.config, category, called)
        places, single = check_touched(points, self.cut.image_size)
        if not len(places):
            return []
        question = question_of(self.model, category, words=True)
        output = self._match(question)
        grids = probabilities(self.model, output, question.prompt)[0].cpu().double().numpy()
        found = [named(grids, category.names, point) for point in self.crop.normalise(places)]
        return found[0] if single else found

    @torch.inference_mode()
    def confidences_at(
        self,
        category: CategoryLike,
        temperatures: Sequence[float],
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The points [K, 2] in image pixels, and their confidences [T, K] at each of T temperatures.

        The other arguments are those of `predict`, whose points and confidences these are.
        """
        question = question_of(self.model, category, example, words)
        output = self._match(question)
        (found,) = second_looks(self.model, [self], [question], [output])
        xy = self.cut.to_image(places_of(self.cut, question.covered, output.points, found))
        shares = confidence_shares(self.crop, question.covered, xy, found, output.probabilities.shape[-1])
        grids = [tempered(output.probabilities, temperature, dims=2) for temperature in temperatures]
        return xy, np.stack([masses(grid, shares) for grid in grids])

    @torch.inference_mode()
    def presence_cues(
        self,
        category: CategoryLike,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
    ) -> np.ndarray:
        """The cues [K, 2] of the presence of `predict`, whose arguments these are; see `density.presence`."""
        question = question_of(self.model, category, example, words)
        output = self._match(question)
        return cues_of(output.probabilities, self.model.head.best_scores(output), question.covered)

    def _match(self, question: MatcherQuestion) -> HeadOutput:
        """The head's own output, with all that `MatchingHead.stages` reads."""
        valid = torch.ones(1, len(question.covered), dtype=torch.bool, device=self.model.device)
        return self.model.match(self.features, valid, question.prompt)
