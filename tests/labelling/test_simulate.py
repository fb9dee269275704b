"""The labelling loop played on labelled data, with ways of answering whose every answer is known."""

from pathlib import Path

import numpy as np
import pytest

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.forms.dataset import LabelledObject
from anykeypoint.labelling.simulate import Answered, SimulationConfig, kinds_of, play, wrong_points
from anykeypoint.labelling.simulation_report import markdown, results_of

TWO = Category.from_text("nose; tail", name="fish")


def item(number: int, hidden: bool = False, category: int = 1) -> LabelledObject:
    """An object of 100 x 50 pixels whose nose is at (10, 10) and whose tail is at (90, 10)."""
    points, seen = np.array([[10.0, 10.0], [90.0, 10.0]]), np.array([2, 0 if hidden else 2])
    return LabelledObject(number, Path(f"{number}.png"), category, TWO, (0, 0, 100, 50), points, seen, None)


class Learner:
    """Answers with an error of `error` pixels until it has learnt `needs` objects, then exactly; its doubt is the
    object's number over 100."""

    name = "learner"

    def __init__(self, needs: int, learns: bool = True, error: float = 6.0) -> None:
        self.needs, self.learns, self.error = needs, learns, error
        self.learnt: list[int] = []
        self.asked: list[tuple[list[int], bool]] = []

    def begin(self) -> None:
        self.learnt.clear()

    def learn(self, one: LabelledObject) -> None:
        self.learnt.append(one.id)

    def answer(self, items, fine):
        self.asked.append(([one.id for one in items], fine))
        error = 0 if len(self.learnt) >= self.needs else self.error
        return [Answered(one.points + np.array([error, 0]), one.id / 100) for one in items]


def test_a_point_is_wrong_beyond_a_part_of_the_longer_side_or_without_an_answer():
    one = item(1)
    assert wrong_points(one.points + np.array([4.9, 0]), one, 0.05).tolist() == [False, False]
    assert wrong_points(one.points + np.array([5.1, 0]), one, 0.05).tolist() == [True, True]
    assert wrong_points(np.array([[np.nan, 0], [90, 10]]), one, 0.05).tolist() == [True, False]
    assert wrong_points(item(1, hidden=True).points + 50, item(1, hidden=True), 0.05).tolist() == [True, False]


def test_the_most_unsure_are_corrected_first_and_the_rest_is_answered_anew():
    way = Learner(needs=4)
    result = play(way, [item(number) for number in range(1, 11)], SimulationConfig(corrected=3, every=3))
    assert way.learnt == [1, 10, 9, 8, 7, 6, 5, 4, 3, 2]
    # The first by hand, three wrong pictures; what is answered with four examples is exact.
    assert result.first == 2 and result.corrections == 2 + 3 * 2 and result.untouched == 1
    assert result.points == 20 and result.steps == ((1, 2), (4, 8), (7, 8), (10, 8))
    coarse = [numbers for numbers, fine in way.asked if not fine]
    assert coarse == [[2, 3, 4, 5, 6, 7, 8, 9, 10], [7, 6, 5, 4, 3, 2], [4, 3, 2]]


def test_what_stays_untouched_is_measured_on_the_pictures_that_are_left():
    way = Learner(needs=99)
    result = play(way, [item(number, hidden=number == 1) for number in range(10)], SimulationConfig(2, 3))
    assert result.untouched == 0 and result.corrections == result.points == 19
    assert next(numbers for numbers, fine in way.asked if fine) == [9, 8], "the measure comes after two, not three"


def test_a_way_that_does_not_learn_is_asked_once():
    way = Learner(needs=1, learns=False)
    result = play(way, [item(number) for number in range(8)], SimulationConfig(2, 2))
    assert result.corrections == 2 and way.learnt == [0] and result.untouched == 1
    assert sum(not fine for _, fine in way.asked) == 1


def test_words_answer_the_first_picture_too():
    way = Learner(needs=0, learns=False)
    result = play(way, [item(number) for number in range(4)], SimulationConfig(2, 2), by_hand=False)
    assert result.first == 0 and result.corrections == 0


def test_with_fewer_pictures_nothing_is_measured():
    result = play(Learner(1), [item(number) for number in range(4)], SimulationConfig(corrected=10, every=2))
    assert result.untouched is None and result.steps[-1] == (4, 2)


def test_when_the_budget_is_used_up_the_last_answers_stay():
    ticks = iter(range(0, 10_000, 5))  # each call of the clock is five seconds after the one before
    config = SimulationConfig(2, 2, budget=20)
    way = Learner(needs=1)
    result = play(way, [item(number) for number in range(12)], config, encoding=7, clock=lambda: next(ticks))
    assert result.out_of_time is not None and result.seconds > 20
    assert len(result.steps) == 7 and result.steps[-1][0] == 12
    late = [fine for numbers, fine in way.asked][-3:]
    assert late == [False, False, False], "no second look, and what is asked is the pictures that are corrected"
    assert len(way.asked[-1][0]) <= 2


def test_kinds_are_parted_and_objects_without_a_label_left_out():
    nothing = item(5)
    nothing = LabelledObject(5, nothing.image, 1, TWO, nothing.box, nothing.points * np.nan, np.array([0, 0]), None)
    parted = list(kinds_of([item(1), item(2, category=2), item(3), nothing]))
    assert [[one.id for one in items] for items in parted] == [[1, 3], [2]]


@pytest.mark.parametrize(("field", "value"), [("corrected", 0), ("every", 0), ("budget", 0), ("within", -1)])
def test_numbers_that_make_no_loop_are_refused(field, value):
    with pytest.raises(InputError):
        SimulationConfig(**{field: value})


def test_the_report_has_a_row_for_each_kind_and_the_mean():
    items, config = [item(number) for number in range(8)], SimulationConfig(2, 2)
    kinds = {
        "fish": {"examples": play(Learner(2), items, config), "copying": play(Learner(99), items, config)},
        "a|b": {"examples": play(Learner(1), items, config), "copying": play(Learner(5), items, config)},
    }
    results = results_of(kinds, {"fish": 8, "a|b": 8}, config, {"model": "tiny"}, {"too dark": 3})
    assert results["settings"]["every"] == 2 and results["mean"]["examples"]["untouched"] == 1
    assert results["mean"]["copying"]["untouched"] == 0
    page = markdown(results)
    assert "| fish | 8 | 16 | 6 | 16 |" in page and "| a\\|b | 8 | 16 | 2 | 10 |" in page
    assert "left out: 3 (too dark)" in page
