"""Poses as DeepLabCut's table of predictions, read with pandas as the tools for behaviour do."""

from pathlib import Path

import numpy as np
import pandas
import pytest

from anykeypoint.errors import InputError
from anykeypoint.forms.dlc_predictions import in_frame_order, write_predictions
from anykeypoint.forms.registry import read
from anykeypoint.pose import Pose

NAN = float("nan")
POINTS = ["nose", "left ear, tip", "tail"]


def pose(image, xy, confidence=(0.9, 0.4, 0.3), present=(True, True, True)) -> Pose:
    return Pose(names=POINTS, xy=xy, confidence=confidence, present=present, image_size=(100, 80), image=image)


def table(tmp_path, poses, pictures, lines=3) -> pandas.DataFrame:
    """What pandas reads of the file. lines: number of header lines."""
    write_predictions(poses, tmp_path / "run.dlc.csv", POINTS, pictures, "fast")
    return pandas.read_csv(tmp_path / "run.dlc.csv", header=list(range(lines)), index_col=0)


def test_pandas_reads_places_and_confidences_of_each_frame(tmp_path):
    first, second = [[1 / 3, 2.5], [-4, 5], [60, 70.125]], [[7, 8], [9, 10], [11, 12]]
    found = table(tmp_path, [pose("b.png", second), pose("a.png", first)], ["a.png", "b.png"])
    assert list(found.columns.names) == ["scorer", "bodyparts", "coords"]
    assert list(found.columns) == [("fast", point, axis) for point in POINTS for axis in ("x", "y", "likelihood")]
    assert list(found.index) == [0, 1]
    for row, places in zip(found.to_numpy(), (first, second), strict=True):
        assert row.reshape(3, 3)[:, :2].tolist() == places and row.reshape(3, 3)[:, 2].tolist() == [0.9, 0.4, 0.3]


def test_an_absent_point_keeps_its_place_with_a_likelihood_of_0_and_one_without_place_is_nan(tmp_path):
    odd = pose("a.png", [[1, 2], [NAN, NAN], [5, 6]], (0.9, NAN, NAN), (False, False, True))
    (row,) = table(tmp_path, [odd], ["a.png"]).to_numpy()
    np.testing.assert_array_equal(row, [1, 2, 0, NAN, NAN, NAN, 5, 6, NAN])


def test_frames_without_an_object_are_rows_without_numbers_also_the_first(tmp_path):
    """pandas takes a first row of empty cells for the name of the index."""
    found = table(tmp_path, [pose("b.png", [[1, 2]] * 3)], ["a.png", "b.png", "c.png"])
    assert list(found.index) == [0, 1, 2] and found.index.name is None
    assert found.isna().all(axis=1).tolist() == [True, False, True]
    assert table(tmp_path, [], ["a.png", "b.png"]).shape == (2, 9)


def test_several_objects_of_a_picture_are_individuals(tmp_path):
    poses = [pose("a.png", [[1, 1]] * 3), pose("b.png", [[2, 2]] * 3), pose("a.png", [[3, 3]] * 3)]
    found = table(tmp_path, poses, ["a.png", "b.png"], lines=4)
    assert list(found.columns.names) == ["scorer", "individuals", "bodyparts", "coords"]
    assert list(found.columns.unique("individuals")) == ["object1", "object2"]
    noses = found.xs("nose", axis=1, level="bodyparts").xs("x", axis=1, level="coords")
    np.testing.assert_array_equal(noses.to_numpy(), [[1, 3], [2, NAN]])


def test_frames_are_in_the_order_of_the_numbers_in_their_names():
    names = ["frame10.png", "frame2.png", "frame02.png", "Cover.png"]
    ordered = in_frame_order([Path("video", name) for name in names])
    assert [path.name for path in ordered] == ["Cover.png", "frame02.png", "frame2.png", "frame10.png"]


def test_pictures_of_several_folders_are_no_video():
    with pytest.raises(InputError, match=r"of one video, but the pictures lie in 2 folders, such as .*a and .*b; pred"):
        in_frame_order([Path("b/1.png"), Path("a/1.png"), Path("b/2.png")])


def test_the_table_is_not_taken_for_labels(tmp_path):
    table(tmp_path, [pose("a.png", [[1, 2]] * 3)], ["a.png"])
    with pytest.raises(InputError, match="a table with likelihoods holds predictions"):
        read(f"dlc:{tmp_path / 'run.dlc.csv'}", tmp_path)
