"""X-AnyLabeling's remote server. The requests are written from its documented schema; none was recorded."""

import base64
from dataclasses import replace

import numpy as np
import pytest
import tiny_matchers
from server_calls import png

from anykeypoint.errors import PredictionFailed
from anykeypoint.serving.adapters.served import ServedTool
from anykeypoint.serving.adapters.tool_adapter import ToolAdapter
from anykeypoint.serving.adapters.x_anylabeling import x_anylabeling_router

URL = "/x-anylabeling"
FISH = tiny_matchers.FISH
URI = "data:image/png;base64," + base64.b64encode(png()).decode()


@pytest.fixture(scope="module")
def remote(serving):
    return serving(tools=lambda service: [x_anylabeling_router(ServedTool(service, ToolAdapter(FISH)))])


def ask(client, status=200, **changes):
    request = {"model": "tiny", "image": URI, "params": {"conf_threshold": 0.0, "iou_threshold": 0.0}, **changes}
    answer = client.post(f"{URL}/v1/predict", json=request)
    assert answer.status_code == status, answer.text
    assert answer.json()["success"] is (status == 200)
    return answer.json()["data" if status == 200 else "error"]


def test_the_models_are_listed_with_the_widgets_that_they_need(remote):
    listed = remote.get(f"{URL}/v1/models").json()
    (name,) = listed["data"]
    assert listed["success"] and name == "tiny" and "fish" in listed["data"][name]["display_name"]
    assert {"name": "button_run", "value": None} in listed["data"][name]["widgets"]
    info = remote.get(f"{URL}/v1/models/tiny/info").json()["data"]
    assert info == {"model_id": "tiny", **listed["data"][name]}
    missing = remote.get(f"{URL}/v1/models/other/info")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "MODEL_NOT_FOUND"
    assert remote.get(f"{URL}/health").json() == {"status": "healthy", "models_loaded": 1}


@pytest.mark.parametrize("image", [URI, URI.partition(",")[2]])
def test_an_object_is_a_rectangle_and_points_of_one_group_in_pixels(remote, tiny_model, image):
    rectangle, *points = ask(remote, image=image)["shapes"]
    expected = tiny_model.predict(tiny_matchers.picture(0), FISH)
    assert rectangle["shape_type"] == "rectangle" and rectangle["label"] == "fish" and rectangle["group_id"] == 1
    assert rectangle["points"] == [[0, 0], [90, 0], [90, 70], [0, 70]]
    assert [one["label"] for one in points] == [FISH.names[k] for k in np.flatnonzero(expected.present)]
    assert {(one["shape_type"], one["group_id"]) for one in points} == {("point", 1)}
    assert np.allclose([one["points"][0] for one in points], expected.xy[expected.present], atol=1e-3)
    assert np.allclose([one["score"] for one in points], expected.confidence[expected.present], atol=1e-4)
    fields = {"attributes", "description", "difficult", "direction", "flags", "kie_linking", "score"}
    assert all(fields < set(one) for one in (rectangle, *points))


def test_points_below_the_threshold_are_left_out(remote, tiny_model):
    sure = np.sort(tiny_model.predict(tiny_matchers.picture(0), FISH).confidence)
    least = float(sure[1] + sure[2]) / 2
    shapes = ask(remote, params={"conf_threshold": least})["shapes"]
    points = [one for one in shapes if one["shape_type"] == "point"]
    assert points and all(one["score"] >= least for one in points) and len(points) < len(FISH)


def test_rectangles_that_were_drawn_are_the_objects(remote, tiny_model):
    marks = [{"type": "rectangle", "data": [50, 60, 10, 20], "label": 1}, {"type": "rectangle", "data": [0, 0, 30, 30]}]
    shapes = ask(remote, params={"marks": marks})["shapes"]
    first = [one["points"][0] for one in shapes if one["group_id"] == 1 and one["shape_type"] == "point"]
    expected = tiny_model.predict(tiny_matchers.picture(0), FISH, box=(10, 20, 40, 40))
    assert np.allclose(first, expected.xy[expected.present], atol=1e-3)
    assert {one["group_id"] for one in shapes} == {1, 2}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"model": "other"}, 404, "MODEL_NOT_FOUND"),
        ({"image": "http://example.com/cat.jpg"}, 422, "INVALID_IMAGE"),
        ({"image": None}, 422, "INVALID_IMAGE"),
        ({"image": base64.b64encode(b"no picture").decode()}, 415, "INVALID_IMAGE"),
        ({"image": base64.b64encode(png()[:-200]).decode()}, 422, "INVALID_IMAGE"),
        ({"params": {"marks": [{"type": "rectangle", "data": [5, 5, 5, 5]}]}}, 422, "INFERENCE_ERROR"),
        ({"params": {"marks": [{"type": "rectangle", "data": [None, 5, 9, 9]}]}}, 422, "INFERENCE_ERROR"),
    ],
)
def test_a_refusal_has_a_status_a_code_and_a_sentence(remote, changes, status, code):
    error = ask(remote, status, **changes)
    assert error["code"] == code and error["message"].endswith(".")


def test_a_failure_of_the_server_is_logged_and_its_reason_not_told(remote, monkeypatch, caplog):
    async def failing(*_):
        raise PredictionFailed("The prediction failed: RuntimeError: no memory in /home/me.") from RuntimeError(
            "no memory"
        )

    monkeypatch.setattr(ServedTool, "poses", failing)
    error = ask(remote, 500)
    assert "its log has the reason" in error["message"] and "memory" not in error["message"]
    assert "RuntimeError: no memory" in caplog.text


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(serving):
    tools = lambda service: [x_anylabeling_router(ServedTool(service, ToolAdapter(FISH)))]  # noqa: E731
    error = ask(serving(tools=tools, image_pixels=1000), 413)
    assert error["code"] == "INVALID_IMAGE" and "90 x 70" in error["message"]


def test_the_token_comes_in_the_header_token(serving):
    tools = lambda service: [x_anylabeling_router(ServedTool(service, ToolAdapter(FISH)))]  # noqa: E731
    client, token = serving(tools=tools, token="a-token-of-24-characters"), "a-token-of-24-characters"
    assert client.get(f"{URL}/v1/models").status_code == 401
    assert client.get(f"{URL}/v1/models", headers={"Token": "wrong"}).status_code == 401
    assert client.get(f"{URL}/v1/models", headers={"Token": token}).status_code == 200


def test_points_of_one_name_cannot_be_told_apart_in_a_tool(client):
    from anykeypoint.category import Keypoint
    from anykeypoint.errors import InputError

    twins = replace(
        FISH, keypoints=(Keypoint("ear", "the left one"), Keypoint("ear", "the right one")), skeleton=(), pairs=()
    )
    with pytest.raises(InputError, match="two points 'ear'"):
        ToolAdapter(twins)
