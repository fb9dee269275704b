"""Which picture is answered next, kept up to date by what changed alone."""

import threading

import numpy as np
import pytest
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.labelling.background import BackgroundAnswers
from anykeypoint.labelling.change_log import ChangeLog
from anykeypoint.labelling.project import Project
from anykeypoint.labelling.records import FoundPoint, Label, PointMark, StoredAnswer
from anykeypoint.labelling.turns import FINE, Turns
from anykeypoint.pose import Pose

FOX = Category.from_text("nose\ntail", name="fox")
BOX = (1.0, 2.0, 20.0, 20.0)


@pytest.fixture
def start(tmp_path):
    """Opens a project with so many pictures and a category."""

    def opened(count: int) -> Project:
        photos = tmp_path / f"photos{count}"
        photos.mkdir()
        for seed in range(count):
            noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(noise).save(photos / f"{seed:03d}.png")
        project = Project(tmp_path / f"project{count}")
        project.add_folder(photos)
        project.set_category(FOX)
        return project

    return opened


def answer(project, number: int, asked: str, doubt: float = 0.5) -> None:
    project.save_answer(number, StoredAnswer({"nose": FoundPoint((5.0, 6.0), 1 - doubt, 1.0)}, doubt, asked, "words"))


def done(project, number: int, example: bool = False) -> None:
    marks = {"nose": PointMark((5.0, 6.0), 2)}
    project.save_label(number, Label(marks, done=True, example=example, revision=project.label(number).revision))


def keys_of(turns, project) -> dict[int, str]:
    """What is asked of each picture, from what is asked of it when it is looked at."""
    return {one.id: turns.next(one.id)[1].removesuffix(FINE) for one in project.pictures}


def left_in_order(turns) -> list[int]:
    """The pictures that are answered one after the other, if all fail."""
    found = []
    while (following := turns.next(None)) is not None:
        found.append(following[0])
        turns.fail(*following, "It failed.", turns.file(following[0]))
        turns.update("model")
    return found


def test_what_changed_is_given_once_the_latest_first():
    log = ChangeLog([1, 2, 3])
    assert log.revision == 3 and log.since(0) == (3, [3, 2, 1])
    for number in (2, 1, 2):
        log.mark(number)
    assert log.since(3) == (6, [2, 1]) and log.since(5) == (6, [2]) and log.since(6) == (6, [])


def test_pictures_without_an_answer_come_first_then_the_least_sure_then_second_looks(start):
    project = start(6)
    turns = Turns(project)
    turns.update("model")
    keys = keys_of(turns, project)
    answer(project, 1, keys[1], 0.9)
    answer(project, 2, keys[2] + FINE)
    answer(project, 3, "older", 0.2)
    answer(project, 4, "older", 0.7)
    done(project, 5)
    turns.update("model")
    assert (turns.counts.total, turns.counts.fresh, turns.counts.left, turns.counts.rough) == (5, 2, 3, 1)
    assert turns.next(3) == (3, keys[3] + FINE), "the picture that is looked at, at once with its second look"
    assert turns.next(2) == turns.next(5) == turns.next(None) == (6, keys[6]), "it has all, or is done"
    assert left_in_order(turns) == [6, 4, 3, 1]
    assert turns.counts.left == turns.counts.rough == 0 and sorted(turns.failed) == [1, 3, 4, 6]


def test_the_second_look_is_asked_for_when_all_have_a_first_answer(start):
    project = start(2)
    turns = Turns(project)
    turns.update("model")
    for number, key in keys_of(turns, project).items():
        answer(project, number, key, number / 10)
    turns.update("model")
    number, key = turns.next(None)
    assert number == 2 and key.endswith(FINE)
    answer(project, 2, key)
    turns.update("model")
    assert turns.next(None)[0] == 1 and turns.counts.rough == 1


def test_another_model_or_box_asks_anew_and_forgets_what_failed(start):
    project = start(3)
    turns = Turns(project)
    turns.update("model")
    keys = keys_of(turns, project)
    turns.fail(1, keys[1], "It failed.", turns.file(1))
    turns.fail(2, keys[2] + FINE, "It failed too.", turns.file(2))
    turns.update("model")
    assert turns.failed == {1: "It failed.", 2: "It failed too."} and turns.next(None)[0] == 3
    before = project.changes.revision
    project.save_label(1, Label(box=BOX))
    turns.update("model")
    assert turns.failure(1) is None and turns.failure(2) and turns.next(None)[0] == 1
    assert turns.next(1)[1].removesuffix(FINE) not in keys.values(), "the box is part of what is asked"
    turns.update("another model")
    assert turns.failed == {} and turns.counts.left == 3
    assert {1, 2} <= set(project.changes.since(before)[1]), "their rows in a list have changed"


def test_a_change_looks_at_what_changed_whatever_the_number_of_pictures(start, monkeypatch):
    def looked_at(count: int) -> list[int]:
        project, seen, plain = start(count), [], Project.label
        turns = Turns(project)
        turns.update("model")
        answer(project, 2, "older")
        done(project, 3)
        with monkeypatch.context() as patch:
            patch.setattr(Project, "label", lambda self, number: seen.append(number) or plain(self, number))
            turns.update("model")
            turns.next(1)
            turns.next(None)
        assert turns.counts.total == count - 1
        return sorted(seen)

    assert looked_at(5) == looked_at(40) and set(looked_at(6)) <= {1, 2, 3, 4}


def test_an_example_puts_every_answer_out_of_date_and_another_label_none(start):
    class Model:
        prompts = ("text", "example", "both")

    project = start(4)
    background = BackgroundAnswers(project, lambda: (Model(), "weights"))
    for _ in range(8):
        number, key = background._next()
        answer(project, number, key)
    assert background._next() is None and background.state().state == "idle"
    done(project, 1)
    assert background.state().to_dict() == {**background.state().to_dict(), "state": "idle", "answered": 3, "total": 3}
    done(project, 1, example=True)
    assert background.state().to_dict() == {**background.state().to_dict(), "state": "working", "answered": 0}
    done(project, 1)
    assert background.state().state == "idle", "what was answered before fits again"
    project.set_category(Category.from_text("nose\ntail\near", name="fox"))
    assert background.state().answered == 0


def test_numbers_of_a_project_are_counted_as_labels_change(start):
    project = start(3)
    assert project.counts() == (3, 0, 0)
    done(project, 1, example=True)
    done(project, 2)
    assert project.counts() == (3, 2, 1) and list(project.examples()) == [1]
    project.save_label(1, Label(revision=project.label(1).revision))
    assert project.counts() == (3, 1, 0) and project.examples() == {}
    project.close()
    assert Project(project.folder).counts() == (3, 1, 0)


def test_the_thread_that_asks_the_model_ends_with_the_answer(start):
    """Threads that stay would make those slower that answer a person, see `in_own_thread`."""
    threads, finished = [], threading.Event()

    class Centre:
        def predict(self, image, category, **asked):
            threads.append(threading.current_thread())
            if len(threads) == 3:
                finished.set()
            half = np.full(2, 0.5)
            found = {"names": list(category.names), "xy": np.full((2, 2), 12.0), "confidence": half}
            return Pose(**found, present=half > 0, presence=half, image_size=(32, 24))

    model = Centre(), "its weights"
    answers = BackgroundAnswers(start(3), lambda: model)
    answers.start()
    assert finished.wait(30)
    answers.stop()
    assert answers.state().answered == 3
    assert len(set(threads)) == 3 and not any(thread.is_alive() for thread in threads)
