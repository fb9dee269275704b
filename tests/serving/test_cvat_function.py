"""CVAT's automatic annotation, by the types and the checks of cvat-sdk; CVAT's server is not run.

`pip install cvat-sdk` in an environment of its own, beside anykeypoint; skipped where it is not there.
"""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_matchers
from PIL import Image

from anykeypoint.serving.adapters import cvat
from anykeypoint.serving.adapters.tool_adapter import ToolAdapter, score_of

auto_annotation = pytest.importorskip("cvat_sdk.auto_annotation", reason="cvat-sdk is not installed")
driver = pytest.importorskip("cvat_sdk.auto_annotation.driver")

FISH = tiny_matchers.FISH
PICTURE = Image.fromarray(tiny_matchers.picture(0))


def context(conf_threshold=None):
    """What CVAT gives a function with a picture."""
    return driver._DetectionFunctionContextImpl(
        frame_name="a.png", conf_threshold=conf_threshold, conv_mask_to_poly=False
    )


@pytest.fixture(scope="module")
def function(tiny_model):
    return cvat.CvatFunction(tiny_model, ToolAdapter(FISH))


def elements(shape):
    return {one.label_id: one for one in shape.elements}


def test_the_spec_is_a_skeleton_with_the_category_s_points(function):
    assert isinstance(function.spec, auto_annotation.DetectionFunctionSpec)
    (label,) = function.spec.labels
    assert label.name == "fish" and label.type == "skeleton"
    assert [one.name for one in label.sublabels] == FISH.names
    assert len({one.id for one in label.sublabels}) == len(FISH)


def test_a_detected_skeleton_has_every_point_where_the_model_finds_it(function, tiny_model):
    (shape,) = function.detect(context(), PICTURE)
    expected = tiny_model.predict(PICTURE, FISH)
    assert shape.type.value == "skeleton" and shape.label_id == cvat.OBJECT and len(shape.elements) == len(FISH)
    for k, element in elements(shape).items():
        assert np.allclose(element.points, expected.xy[k], atol=1e-3) and element.outside == (not expected.present[k])


def test_cvat_takes_the_shapes_for_a_task_whose_labels_have_the_same_names(function):
    points = [SimpleNamespace(name=name, id=70 + k, attributes=[]) for k, name in enumerate(reversed(FISH.names))]
    task = [SimpleNamespace(name="fish", id=7, type="skeleton", sublabels=points, attributes=[])]
    mapper = driver._AnnotationMapper(
        logging.getLogger("cvat"), function.spec.labels, task, allow_unmatched_labels=False, conv_mask_to_poly=False
    )
    shapes = function.detect(context(), PICTURE)
    places = {one.label_id: list(one.points) for one in shapes[0].elements}
    mapper.validate_and_remap(shapes, 12)
    assert shapes[0].label_id == 7 and shapes[0].frame == 12
    assert {one.label_id: list(one.points) for one in shapes[0].elements} == {74 - k: xy for k, xy in places.items()}


def test_points_that_are_not_there_are_outside_and_those_without_a_place_in_the_middle_of_the_box(function):
    pose = function.model.predict(PICTURE, FISH, box=(10, 10, 40, 20))
    absent = np.arange(len(FISH)) < 2
    xy = np.where(absent[:, None], np.nan, pose.xy)
    fields = {"xy": xy, "present": ~absent, "confidence": np.where(absent, np.nan, pose.confidence)}
    pose = replace(pose, **fields, presence=None, covariance=None, entropy=None)
    found = elements(function._skeleton(pose))
    assert [found[k].outside for k in range(len(FISH))] == absent.tolist()
    assert found[0].points == [30, 20] and np.allclose(found[4].points, pose.xy[4])


def test_objects_below_the_threshold_are_left_out(function, tiny_model):
    score = score_of(tiny_model.predict(PICTURE, FISH))
    for least, count in ((None, 1), (score - 0.01, 1), (score + 0.01, 0)):
        assert len(function.detect(context(least), PICTURE)) == count


def test_cvat_s_command_line_makes_the_function_by_names(monkeypatch, tiny_model):
    from anykeypoint.models import loading

    monkeypatch.setattr(loading, "load", lambda name, device: tiny_model)
    made = cvat.create(model="tiny", keypoints="nose; left ear", noun="fish")
    assert [one.name for one in made.spec.labels[0].sublabels] == ["nose", "left ear"]
    assert len(made.detect(context(), PICTURE)[0].elements) == 2
