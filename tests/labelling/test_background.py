"""Answers in the background: what passes is tried again, what was put back is used again, and little is kept."""

import os
import threading

import numpy as np
import pytest
import tiny_matchers
from PIL import Image
from waiting import until

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.io import NotWritten
from anykeypoint.labelling import turns
from anykeypoint.labelling.background import BackgroundAnswers
from anykeypoint.labelling.job import Answering
from anykeypoint.labelling.project import Project
from anykeypoint.labelling.records import Label, PointMark
from anykeypoint.pose import Pose

FOX = Category.from_text("nose\ntail", name="fox")


class Centre:
    """A model that needs no weights, and notes with how many examples it was asked."""

    prompts = ("text", "example", "both")

    def __init__(self):
        self.asked = []

    def predict(self, image, category, example=(), **_):
        self.asked.append(len(example))
        half = np.full(2, 0.5)
        found = {"names": list(category.names), "xy": np.full((2, 2), 12.0), "confidence": half, "present": half > 0}
        return Pose(**found, presence=half, image_size=(32, 24))


@pytest.fixture
def project(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / f"{seed}.png")
    made = Project(tmp_path / "project")
    made.add_folder(photos)
    made.set_category(FOX)
    return made


@pytest.fixture
def answering(project):
    """Starts the answers of the project by a model."""
    started = []

    def start(model):
        started.append(BackgroundAnswers(project, lambda: (model, "its weights")))
        started[0].start()
        return started[0]

    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("error", [NotWritten("Cannot write it: No space left on device."), RuntimeError("busy")])
def test_what_failed_for_a_passing_reason_is_asked_again(project, answering, monkeypatch, error):
    monkeypatch.setattr(turns, "RETRY", 0.2)
    failing, save = threading.Event(), project.save_answer
    failing.set()

    def saved(number, answer):
        if failing.is_set():
            raise error
        save(number, answer)

    monkeypatch.setattr(project, "save_answer", saved)
    background = answering(Centre())
    until(lambda: len(background.state().failed) == 3, "all have failed")
    failing.clear()
    until(lambda: background.state().answered == 3, "all are answered")
    assert not background.state().failed


def test_a_picture_that_cannot_be_read_waits_for_its_file(project, answering, monkeypatch):
    monkeypatch.setattr(turns, "RETRY", 0.0)
    file = project.path(project.picture(2))
    whole = file.read_bytes()
    file.write_bytes(b"no picture")
    model = Centre()
    background = answering(model)
    until(lambda: background.state().state == "idle", "the others are answered")
    looked = len(model.asked)
    background.wake()
    assert list(background.state().failed) == [2] and len(model.asked) == looked
    file.write_bytes(whole)
    until(lambda: background.state().answered == 3, "it was put back")


def test_a_picture_that_was_put_back_while_it_was_being_read_is_asked_again(project, answering, monkeypatch):
    file, check = project.path(project.picture(2)), project.check_file
    whole = file.read_bytes()
    file.write_bytes(b"half of a picture")

    def checked(picture):
        if picture.id == 2 and file.read_bytes() != whole:
            file.write_bytes(whole)
            raise InputError("No picture.")
        return check(picture)

    monkeypatch.setattr(project, "check_file", checked)
    background = answering(Centre())
    until(lambda: background.state().answered == 3, "the whole picture is answered")


def test_an_example_whose_file_was_away_is_used_again(project, answering):
    example = project.path(project.picture(1))
    away = example.with_suffix(".away")
    os.replace(example, away)
    project.save_label(1, Label({"nose": PointMark((5.0, 6.0), 2)}, done=True, example=True))
    model = Centre()
    background = answering(model)
    until(lambda: background.state().state == "idle", "answered without it")
    assert set(model.asked) == {0} and any("An example is not used" in note for note in project.notes)
    os.replace(away, example)
    until(lambda: model.asked[-2:] == [1, 1] and background.state().state == "idle", "answered anew with it")


def test_a_picture_that_was_answered_keeps_none_of_its_pixels(tmp_path, project):
    job = Answering(tiny_matchers.matcher("graphcape", tmp_path), FOX)
    job.add_picture("2", str(project.path(project.picture(2))))
    pixels = job._pictures["2"].crop.pixels
    assert pixels.base is None and not pixels.nbytes
