"""--max-pixels: large pictures are read shrunk, and what is printed and written are places in the file."""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.models.view import cut_object


class Middle:
    """Answers the middle of its crop, and remembers how the pictures came."""

    prompts = ("text", "example", "both", "identify")

    def __init__(self):
        self.shrunk = []

    def predict(self, image, category, box=None, **options):
        self.shrunk.append(image.shrunk)
        cut = cut_object(image, box, 1.0, 16)
        return cut.pose(category, np.full((len(category), 2), 0.5), np.ones(len(category)))


@pytest.fixture
def model(monkeypatch):
    found = Middle()
    monkeypatch.setattr("anykeypoint.load", lambda *_, **__: found)
    return found


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(one) for one in arguments])
    return int(ended.value.code or 0)


def test_points_are_those_of_the_file_and_the_limit_moves(model, tmp_path):
    Image.new("RGB", (600, 400)).save(tmp_path / "a.jpg")
    for limit, shrunk in ((60_000, 2), (1_000_000, 1)):
        out = tmp_path / f"{limit}.json"
        assert run("predict", tmp_path / "a.jpg", "--keypoints", "nose", "--max-pixels", limit, "-o", out) == 0
        written = json.loads(out.read_text())
        assert (written["images"][0]["width"], written["images"][0]["height"]) == (600, 400)
        assert written["annotations"][0]["keypoints"][:2] == [300, 200] and model.shrunk.pop() == shrunk


def test_a_limit_that_is_none_is_refused_before_anything_is_loaded(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("anykeypoint.load", lambda *_, **__: pytest.fail("it was loaded"))
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    assert run("predict", tmp_path / "a.png", "--keypoints", "nose", "--max-pixels", "0") == 2
    assert "limit of pixels" in capsys.readouterr().err
    assert run("identify", tmp_path / "a.png", "--at", "1,1", "--max-pixels", "-5") == 2
