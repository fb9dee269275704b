"""The labelling loop, played on labelled data: how much a person would have to correct.

    1. The first picture is labelled by hand.
    2. The model answers all others.
    3. The `every` pictures whose answers are the most unsure are corrected: each point that lies further from its label
       than `within` of the longer side of the box is one correction. What the person sees is the labels, what the loop
       sees is the answers and their doubt.
    4. The rest is answered anew, if the way of answering learns from what was corrected, and the loop goes on with 3.

Letters: K keypoints.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from ..configs.checks import check_positive, check_whole
from ..forms.dataset import LabelledObject


@dataclass(frozen=True)
class SimulationConfig:
    """How the loop is played.

    corrected: after so many corrected pictures, the first one not counted, it is measured how many points of the others
        would stay as they are.
    every: after so many corrected pictures the rest is answered anew.
    within: a point that is nearer to its label than this, as a fraction of the box's longer side, stays untouched.
    budget: seconds of machine time for a kind of object in one way; when they are used up, nothing is answered anew and
        no second look is taken.
    seed: of what is drawn when a model is adapted.
    """

    corrected: int = 10
    every: int = 10
    within: float = 0.05
    budget: float = 600.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(self.corrected, "The number of corrected pictures")
        check_whole(self.every, "The number of pictures between two answers")
        check_whole(self.seed, "The seed", least=0)
        check_positive(self.within, "The distance within which a point stays")
        check_positive(self.budget, "The budget in seconds")


@dataclass(frozen=True, eq=False)
class Answered:
    """What a way of answering says of one object. points: [K, 2] in image pixels, NaN where it gives none. doubt: from
    0 to 1."""

    points: np.ndarray
    doubt: float


class Way(Protocol):
    """A way of answering, for one kind of object. `name` stands in the report; `learns` says whether answers follow
    corrections."""

    name: str
    learns: bool

    def begin(self) -> None:
        """Forget what was learnt before."""
        ...

    def learn(self, item: LabelledObject) -> None:
        """Take in a corrected object."""
        ...

    def answer(self, items: Sequence[LabelledObject], fine: bool) -> Iterable[Answered]:
        """One answer for each object, in order. fine: as good as it can; False may be quicker and less exact."""
        ...


@dataclass(frozen=True)
class WayResult:
    """What came of one kind of object in one way.

    untouched: share of the points that stay untouched in the pictures that are left after `corrected` corrected ones;
        None where no picture is left.
    corrections: points that were corrected until all pictures were labelled, those of the first picture included.
    first: how many of these are points of the first picture.
    points: number of labelled points.
    seconds: machine time until all pictures were labelled, that of encoding them included.
    seconds_before: until the pictures that are left after `corrected` were answered.
    steps: after each round the number of labelled pictures, and of corrections so far.
    out_of_time: number of labelled pictures when the budget was used up; None where it was not.
    """

    untouched: float | None
    corrections: int
    first: int
    points: int
    seconds: float
    seconds_before: float
    steps: tuple[tuple[int, int], ...]
    out_of_time: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "steps": [list(step) for step in self.steps]}


def wrong_points(points: np.ndarray, item: LabelledObject, within: float) -> np.ndarray:
    """[K] bool: the labelled points of an object that an answer has elsewhere, or not at all.

    points: [K, 2] in image pixels. within: as in `SimulationConfig`.
    """
    away = np.linalg.norm(points - item.points, axis=1) / max(item.box[2:])
    return labelled(item) & ~(away < within)  # NaN is wrong


def labelled(item: LabelledObject) -> np.ndarray:
    """[K] bool: the points of an object that have a label."""
    return (item.visibility > 0) & np.isfinite(item.points).all(axis=1)


@dataclass
class _Loop:
    """The state of one loop."""

    way: Way
    config: SimulationConfig
    clock: Callable[[], float]
    advance: Callable[[], None]
    spent: float = 0.0
    done: int = 0
    corrections: int = 0
    steps: list[tuple[int, int]] = field(default_factory=list)
    out_of_time: int | None = None

    @property
    def in_time(self) -> bool:
        """Whether there is machine time left."""
        if self.spent > self.config.budget and self.out_of_time is None:
            self.out_of_time = self.done
        return self.out_of_time is None

    def answers(self, items: Sequence[LabelledObject], fine: bool) -> list[Answered]:
        """Answers, whose time counts."""
        began = self.clock()
        answers = list(self.way.answer(items, fine and self.in_time))
        self.spent += self.clock() - began
        return answers

    def label(self, item: LabelledObject, corrected: int) -> None:
        """A person has labelled an object, and corrected so many of its points."""
        self.done += 1
        self.corrections += corrected
        if self.way.learns or self.done == 1:
            began = self.clock()
            self.way.learn(item)
            self.spent += self.clock() - began
        self.advance()


def play(
    way: Way,
    items: Sequence[LabelledObject],
    config: SimulationConfig,
    encoding: float = 0.0,
    by_hand: bool = True,
    clock: Callable[[], float] = perf_counter,
    advance: Callable[[], None] = lambda: None,
) -> WayResult:
    """Label all objects of one kind in one way.

    items: the first is labelled first.
    encoding: seconds that went into the objects' features before.
    by_hand: whether the first picture is labelled wholly by hand; otherwise it is answered and corrected too.
    clock: gives the time in seconds. advance: called after each labelled object.
    """
    loop = _Loop(way, config, clock, advance, encoding)
    way.begin()
    first, left = items[0], list(items[1:])
    by = labelled(first) if by_hand else wrong_points(loop.answers([first], True)[0].points, first, config.within)
    loop.label(first, int(by.sum()))
    loop.steps.append((1, loop.corrections))
    begun, untouched, seconds_before = loop.corrections, None, loop.spent
    doubts = [one.doubt for one in loop.answers(left, False)]
    while left:
        corrected = loop.done - 1
        if corrected == config.corrected:
            untouched, seconds_before = _untouched(loop, left), loop.spent
        order = sorted(range(len(left)), key=lambda number: (-doubts[number], left[number].id))
        before_measuring = config.corrected - corrected if corrected < config.corrected else len(left)
        chosen = [left[number] for number in order[: min(config.every, before_measuring)]]
        for item, answer in zip(chosen, loop.answers(chosen, True), strict=True):
            loop.label(item, int(wrong_points(answer.points, item, config.within).sum()))
        loop.steps.append((loop.done, loop.corrections))
        kept = order[len(chosen) :]
        left, doubts = [left[number] for number in kept], [doubts[number] for number in kept]
        if left and way.learns and loop.in_time:
            doubts = [one.doubt for one in loop.answers(left, False)]
    points = int(sum(labelled(item).sum() for item in items))
    return WayResult(
        untouched, loop.corrections, begun, points, loop.spent, seconds_before, tuple(loop.steps), loop.out_of_time
    )


def _untouched(loop: _Loop, left: Sequence[LabelledObject]) -> float:
    """The share of the labelled points of the objects that are left which would stay as they are answered."""
    answers = loop.answers(left, True)
    wrong = sum(
        int(wrong_points(one.points, item, loop.config.within).sum()) for one, item in zip(answers, left, strict=True)
    )
    return 1 - wrong / max(sum(int(labelled(item).sum()) for item in left), 1)


def kinds_of(items: Iterable[LabelledObject]) -> Iterator[list[LabelledObject]]:
    """The objects of each kind, in the order in which the kinds come, without those that have no labelled point."""
    kinds: dict[int, list[LabelledObject]] = {}
    for item in items:
        if labelled(item).any():
            kinds.setdefault(item.category_id, []).append(item)
    yield from kinds.values()
