"""`predict -o NAME.dlc.csv` from end to end on a tiny matcher: a folder of frames becomes DeepLabCut's table."""

import json

import numpy as np
import pandas
import pytest
from PIL import Image
from tiny_matchers import matcher, picture

import anykeypoint
from anykeypoint import cli

FRAMES = ["frame1.png", "frame2.png", "frame10.png"]
POINTS = ["--keypoints", "nose; left ear; tail tip"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    matcher("capex", folder).save_pretrained(folder / "tiny")
    return folder / "tiny"


@pytest.fixture
def predict(model, tmp_path, monkeypatch, capsys):
    """Runs `predict` where the folder `video` is; gives the exit code and what was said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "video").mkdir()
    for seed, name in enumerate(FRAMES):
        Image.fromarray(picture(seed)).save(tmp_path / "video" / name)

    def run(*arguments) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["predict", *map(str, arguments), "--model", str(model)])
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def places(row: pandas.Series) -> np.ndarray:
    """[individuals, points, 3] x, y and likelihood of a frame."""
    return row.to_numpy().reshape(-1, 3, 3)


def test_each_frame_of_a_folder_is_a_row_in_natural_order(predict):
    code, said = predict("video", *POINTS, "-o", "run.dlc.csv", "-o", "run.csv")
    assert code == 0 and "Row 0 of DeepLabCut's table is frame1.png, its last frame10.png." in said
    found = pandas.read_csv("run.dlc.csv", header=[0, 1, 2], index_col=0)
    assert list(found.index) == [0, 1, 2] and list(found.columns.unique("scorer")) == ["tiny"]
    assert list(found.columns.unique("bodyparts")) == ["nose", "left ear", "tail tip"]
    tidy = pandas.read_csv("run.csv")
    assert tidy.groupby("keypoint").x.nunique().min() == 3, "each frame has an answer of its own"
    for frame, name in enumerate(FRAMES):
        rows = tidy[tidy.image == name][["x", "y", "confidence"]]
        np.testing.assert_array_equal(places(found.loc[frame])[0], rows.to_numpy())


def test_objects_are_individuals_and_a_frame_that_fails_keeps_its_row(predict, tmp_path):
    (tmp_path / "video" / "frame2.png").write_bytes(b"no picture")
    boxes = {"frame1.png": [], "frame2.png": [[0, 0, 9, 9]], "frame10.png": [[5, 5, 30, 30], [20, 10, 40, 40]]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    code, said = predict("video", *POINTS, "--boxes", "boxes.json", "-o", "RUN.DLC.CSV")
    assert code == 1 and "frame2.png" in said and "object1 of two rows may be two animals" in said
    found = pandas.read_csv("RUN.DLC.CSV", header=[0, 1, 2, 3], index_col=0)
    assert list(found.columns.unique("individuals")) == ["object1", "object2"] and list(found.index) == [0, 1, 2]
    assert found.isna().all(axis=1).tolist() == [True, True, False]
    assert np.isfinite(places(found.loc[2])).all()


def test_points_that_labels_call_alike_are_numbered(predict, tmp_path):
    """A table goes by names, and pandas would rename the second."""
    kinds = [{"id": 1, "name": "cart", "keypoints": ["wheel", "wheel"]}]
    images = [{"id": i, "file_name": name} for i, name in enumerate(FRAMES)]
    (tmp_path / "labels.json").write_text(json.dumps({"images": images, "annotations": [], "categories": kinds}))
    points = [{"name": f"{side} wheel", "label": "wheel"} for side in ("left", "right")]
    (tmp_path / "cart.json").write_text(json.dumps({"name": "cart", "keypoints": points}))
    code, _ = predict("video", "--category", "cart.json", "--ids-from", "labels.json", "-o", "run.dlc.csv")
    found = pandas.read_csv("run.dlc.csv", header=[0, 1, 2], index_col=0)
    assert code == 0 and list(found.columns.unique("bodyparts")) == ["wheel", "wheel (2)"]


def test_two_folders_are_refused_before_the_model_is_loaded(predict, tmp_path, monkeypatch):
    monkeypatch.setattr(anykeypoint, "load", lambda *_: pytest.fail("loaded"))
    (tmp_path / "other").mkdir()
    Image.fromarray(picture(3)).save(tmp_path / "other" / "frame1.png")
    code, said = predict("video", "other", *POINTS, "-o", "run.dlc.csv")
    assert code == 2 and "of one video, but the pictures lie in 2 folders" in said
    assert not (tmp_path / "run.dlc.csv").exists()
