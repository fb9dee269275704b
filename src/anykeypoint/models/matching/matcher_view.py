"""One object of a picture, encoded once by a matcher, to be asked any number of times.

Letters: K keypoints, C channels, D channels of a phrase, h x w cells of features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, overload

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...configs.checks import check_flag
from ...density import disc_shares
from ...density.temperature import tempered
from ...errors import InputError
from ...example import Example
from ...geometry import CONFIDENCE_RADIUS, Box, Crop
from ...images import UprightPicture
from ...instructions import check_describe
from ...library.lookup import as_category
from ...pose import Explanation, Identified, Pose
from ..arguments import CategoryLike, check_density, check_options, check_touched, check_words
from ..examples import as_examples, check_examples
from ..view import ObjectCrop, density_of
from .explaining import recorded_attention, stacked
from .heads.base import HeadOutput, MatchingHead, Prompt
from .inputs import EncodedExample, encode_example, make_prompt
from .matcher_config import MatcherConfig
from .mirroring import with_mirrored
from .naming import named, names_to_choose
from .second_look import ExamplePatches, Found, encoded, look_again, squares

_DESCRIBE = ("detailed", "removed")


class Asked(Protocol):
    """What a view needs of its model: see `MatchingModel`."""

    config: MatcherConfig
    head: MatchingHead

    @property
    def device(self) -> torch.device: ...

    def check_prompt(self, examples: bool, text: bool) -> None: ...

    def phrases(self, category: Category, described: bool = True) -> Tensor: ...

    def warn_of_language(self, category: Category) -> None: ...

    def example_features(self, example: EncodedExample) -> Tensor: ...

    def example_patches(self, example: Example, encoded: EncodedExample) -> ExamplePatches: ...

    def encode_pixels(self, pixels: np.ndarray) -> Tensor: ...

    def match(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput: ...


def prompt_for(
    model: Asked,
    category: Category,
    example: Example | Sequence[Example] | None,
    words: bool | None,
    describe: str = "detailed",
) -> tuple[Prompt, np.ndarray]:
    """The prompt with which a model is asked for a category, and the keypoints [K] bool that it covers.

    example, words, describe: as in `MatchView.predict`. Raises InputError for a prompt that the model does not take.
    """
    if check_describe(describe) not in _DESCRIBE:
        raise InputError(
            f"A matcher's descriptions are {' or '.join(_DESCRIBE)}, but got {describe!r}; take one of these, or a "
            "language model."
        )
    examples = check_examples(example, category)
    words = model.config.takes_text if check_words(words) is None else words
    model.check_prompt(bool(examples), words)
    if words and not examples:
        model.warn_of_language(category)
    phrases = model.phrases(category, describe == "detailed") if words else None
    encoded = [encode_example(one, model.config) for one in examples]
    return make_prompt(category, phrases, encoded, model.example_features, model.device)


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

        A keypoint that no example shows, and no phrase names, is absent. The confidence is the probability, under that
        density, within a tenth of the crop of the point. The decoder of most heads moves points after the first guess,
        and then it only ranks them. The density is at the model's temperature for this kind of prompt.

        Raises InputError for a prompt that this model does not take, and for examples that are not of the category or
        whose points lie outside their picture.
        """
        category, density = as_category(category), check_density(density)
        prompt, covered = self._prompt(category, example, words, describe, others)
        shown = self._looked_at(example, fine)
        output = self._match(prompt, covered)
        if check_flag(mirror, "Whether the mirrored picture is asked about too"):
            turned = self.model.encode_pixels(np.ascontiguousarray(self.cut.pixels[None, :, ::-1]))
            other = replace(self, features=turned)._match(prompt, covered)
            output = with_mirrored(output, other, category, covered, self.model.head.read)
        found = self._second_look(output, covered, shown)
        return self._pose(category, output.points, self.probabilities(output, prompt), covered, density, found)

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

        The arguments are those of `predict`. Raises InputError as `predict` does, and for a head without a decoder that
        attends to the picture.
        """
        category, density = as_category(category), check_density(density)
        prompt, covered = self._prompt(category, example, words, describe, others)
        shown = self._looked_at(example, fine)
        with recorded_attention(self.model.head) as recorded:
            output = self._match(prompt, covered)
        tempered_probabilities = self.probabilities(output, prompt)
        found = self._second_look(output, covered, shown)
        pose = self._pose(category, output.points, tempered_probabilities, covered, density, found)
        stages = self.model.head.stages(output, stacked(recorded))

        def only_covered(values: Tensor, axis: int) -> np.ndarray:
            mask = np.expand_dims(covered, [i for i in range(values.ndim) if i != axis])
            return np.where(mask, values.double().cpu().numpy(), np.nan)

        path = self.cut.to_image(only_covered(stages.path[:, 0], 1))
        path = path if found is None else np.concatenate([path, pose.xy[None]])
        probabilities = only_covered(tempered_probabilities[0], 0)
        return Explanation(pose, self.crop, only_covered(stages.attention[:, 0], 1), probabilities, path)

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
        prompt, covered = self._prompt(category, None, True, "detailed", {})
        grids = self.probabilities(self._match(prompt, covered), prompt)[0].double().cpu().numpy()
        answers = [named(grids, category.names, point) for point in self.crop.normalise(places)]
        return answers[0] if single else answers

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
        category = as_category(category)
        prompt, covered = self._prompt(category, example, words, "detailed", {})
        output = self._match(prompt, covered)
        found = self._second_look(output, covered, self._looked_at(example, None))
        xy = self.cut.to_image(self._places(output.points, covered, found))
        shares = self._confidence_shares(xy, covered, found, output.probabilities.shape[-1])
        grids = [tempered(output.probabilities, temperature, dims=2) for temperature in temperatures]
        return xy, np.stack([_masses(grid, shares) for grid in grids])

    def probabilities(self, output: HeadOutput, prompt: Prompt) -> Tensor:
        """The distributions [1, K, h, w] of an output, at the model's temperature for such a prompt."""
        return tempered(output.probabilities, self.model.config.temperature.of(prompt.kind or "text"), dims=2)

    def _prompt(
        self,
        category: Category,
        example: Example | Sequence[Example] | None,
        words: bool | None,
        describe: str,
        others: dict[str, Any],
    ) -> tuple[Prompt, np.ndarray]:
        check_options("A matcher", others, ("example", "words", "density", "describe", "mirror", "fine"))
        return prompt_for(self.model, category, example, words, describe)

    def _match(self, prompt: Prompt, covered: np.ndarray) -> HeadOutput:
        """The head's output; all K slots are valid, and the head leaves out those that the prompt does not cover."""
        valid = torch.ones(1, len(covered), dtype=torch.bool, device=self.model.device)
        return self.model.match(self.features, valid, prompt)

    def _looked_at(self, example: Example | Sequence[Example] | None, fine: bool | None) -> list[Example]:
        """The examples that a second look is taken with; none where none is taken.

        fine: as in `predict`. Raises InputError for one that is requested without an example.
        """
        wanted = self.model.config.fine if fine is None else check_flag(fine, "Whether a second look is taken")
        if fine and example is None:
            raise InputError("A second look compares with an example; pass one, or leave fine out.")
        return as_examples(example) if wanted and example is not None else []

    def _second_look(self, output: HeadOutput, covered: np.ndarray, examples: Sequence[Example]) -> Found | None:
        """What a second look finds; None without examples, and where none of them shows a point."""
        encoded_examples = [encode_example(one, self.model.config) for one in examples]
        shown = np.any([one.visible for one in encoded_examples], axis=0) if examples else np.zeros_like(covered)
        rows = np.flatnonzero(shown)
        if not len(rows):
            return None
        look, box = self.model.config.look, self.box
        xy = self.cut.to_image(output.points[0].double().cpu().numpy()[rows])
        crops = squares(xy, look.side * max(box[2:]))
        query = encoded(self.picture, crops, look.size, partial(self.model.encode_pixels, details=True))
        theirs = [self.model.example_patches(*pair) for pair in zip(examples, encoded_examples, strict=True)]
        return look_again(look, self.model.encoder.detail_groups, query, crops, rows, theirs)

    def _pose(
        self,
        category: Category,
        points: Tensor,
        probabilities: Tensor,
        covered: np.ndarray,
        density: bool | int,
        found: Found | None,
    ) -> Pose:
        """The pose of an output's points [1, K, 2] and distributions [1, K, h, w], after a second look if there was."""
        points = self._places(points, covered, found)
        grids, xy = probabilities[0].double().cpu().numpy(), self.cut.to_image(points)
        confidence = _masses(probabilities, self._confidence_shares(xy, covered, found, grids.shape[-1]))
        if not density:
            return self.cut.pose(category, points, confidence, None)
        looked = {} if found is None else {row: place for place, row in enumerate(found.rows.tolist())}
        densities = {}
        for k in np.flatnonzero(covered).tolist():
            guess = density_of(self.crop, grids[k])
            if found is not None and k in looked:
                guess = found.density(looked[k], guess, density)
            sized = density is True or len(guess.grid) == density
            densities[k] = guess if sized else density_of(self.crop, guess.grid, density)
        return self.cut.pose(category, points, confidence, densities)

    def _places(self, points: Tensor, covered: np.ndarray, found: Found | None) -> np.ndarray:
        """The points [K, 2] in fractions of the crop, NaN where the prompt covers none, after a second look."""
        places = np.where(covered[:, None], points[0].double().cpu().numpy(), np.nan)
        return places if found is None else self.crop.normalise(found.moved(self.crop.to_image(places)))

    def _confidence_shares(self, xy: np.ndarray, covered: np.ndarray, found: Found | None, cells: int) -> np.ndarray:
        """What each cell's probability adds to the confidence of a point: [K, cells, cells], NaN where not covered.

        xy: [K, 2] in image pixels. The confidence is the mass within CONFIDENCE_RADIUS, after a second look.
        """
        shares, radius = np.full((len(xy), cells, cells), np.nan), CONFIDENCE_RADIUS * self.crop.side
        looked = {} if found is None else {row: place for place, row in enumerate(found.rows.tolist())}
        for k in np.flatnonzero(covered).tolist():
            if found is not None and k in looked:
                shares[k] = found.disc_shares(looked[k], self.crop, cells, xy[k], radius)
            else:
                shares[k] = disc_shares(self.crop, cells, xy[k], radius)
        return shares


def _masses(probabilities: Tensor, shares: np.ndarray) -> np.ndarray:
    """The confidences [K] of distributions [1, K, h, w] by the shares [K, h, w] of their cells; NaN stays."""
    grids = probabilities[0].double().cpu().numpy()
    return np.minimum((grids * shares).sum((1, 2)) / grids.sum((1, 2)), 1.0)
