"""Label Studio's ML backend, asked with the requests that Label Studio 1.23.2 itself sent (tests/fixtures).

They were recorded while its server imported two pictures, asked for predictions, got one picture corrected, asked
again, and asked about a rectangle that was just drawn.
"""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anykeypoint.serving.adapters.label_studio as label_studio
from anykeypoint.errors import InputError, PredictionFailed
from anykeypoint.example import Example
from anykeypoint.forms.labelstudio_controls import read_controls
from anykeypoint.images import read_picture
from anykeypoint.labelling.job import Answering
from anykeypoint.serving.adapters.label_studio import label_studio_router
from anykeypoint.serving.adapters.served import ServedTool
from anykeypoint.serving.adapters.tool_adapter import Correction, ToolAdapter
from anykeypoint.serving.uploads import content_key

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "examples"
RECORDED = json.loads((ROOT / "tests" / "fixtures" / "label_studio_requests.json").read_text())
URL = "/label-studio"
SIZES = {1: (435, 480), 2: (447, 437)}


@pytest.fixture
def category(sheet):
    return replace(sheet[0], name="object")


@pytest.fixture
def backend(serving, category):
    """A server of the tiny model with the addresses of an ML backend, asked by POST or GET."""

    def start(pictures=PICTURES, **options):
        adapter = ToolAdapter(category)
        client = serving(tools=lambda service: [label_studio_router(ServedTool(service, adapter), pictures)], **options)
        client.adapter = adapter
        return client

    return start


@pytest.fixture(scope="module")
def backend_once(serving, sheet):
    adapter = ToolAdapter(replace(sheet[0], name="object"))
    return serving(tools=lambda service: [label_studio_router(ServedTool(service, adapter), PICTURES)])


def body(name, **changes):
    return {**copy.deepcopy(RECORDED[name]), **changes}


def post(client, name, address=None, **changes):
    answer = client.post(f"{URL}/{address or name}", json=body(name, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json()


def places(result, size):
    """The points of a result in image pixels, in the order of the category."""
    points = [one["value"] for one in result if one["type"] == "keypointlabels"]
    return np.array([[one["x"] * size[0] / 100, one["y"] * size[1] / 100] for one in points])


def version(client):
    return post(client, "setup")["model_version"]


def test_the_backend_says_that_it_is_up_and_which_version_it_is(backend):
    client = backend()
    assert client.get(f"{URL}/health").json()["status"] == "UP"
    assert version(client) == "tiny"


def test_before_the_model_is_loaded_the_backend_is_down(serving, category, tiny_model):
    import threading

    wait = threading.Event()
    model = {"tiny": lambda: wait.wait(60) and tiny_model}
    tools = lambda service: [label_studio_router(ServedTool(service, ToolAdapter(category)), PICTURES)]  # noqa: E731
    client = serving(model, ready=False, tools=tools)
    answer = client.get(f"{URL}/health")
    wait.set()
    assert answer.status_code == 503 and "not ready" in answer.json()["error"]


def test_every_task_gets_a_rectangle_and_the_points_that_the_model_finds_in_percent(backend, tiny_model, category):
    answers = post(backend(), "predict")["results"]
    assert len(answers) == len(RECORDED["predict"]["tasks"])
    for number, answer in enumerate(answers, start=1):
        rectangle, *points = answer["result"]
        expected = tiny_model.predict(PICTURES / f"paper_{number}.jpg", category)
        assert rectangle["type"] == "rectanglelabels" and rectangle["from_name"] == "bbox"
        assert rectangle["value"]["rectanglelabels"] == ["object"] and rectangle["value"]["width"] == 100
        present = expected.present
        labels = [one["value"]["keypointlabels"][0] for one in points]
        assert labels == [name for name, there in zip(category.names, present, strict=True) if there]
        assert {one["parentID"] for one in points} == {rectangle["id"]}
        assert {(one["to_name"], one["from_name"]) for one in points} == {("image", "kp")}
        assert np.allclose(places(answer["result"], SIZES[number]), expected.xy[present], atol=1e-3)
        assert np.allclose([one["score"] for one in points], expected.confidence[present], atol=1e-4)
        assert [answer["score"], answer["model_version"]] == [pytest.approx(rectangle["score"]), "tiny"]


def test_a_second_request_is_answered_from_the_cache(backend):
    client = backend()
    post(client, "predict")
    hits = client.service.metrics.cache.labels("hit")._value.get()
    post(client, "predict")
    assert client.service.metrics.cache.labels("hit")._value.get() == hits + 2


def test_what_is_submitted_becomes_an_example_and_the_next_answer_is_made_with_it(backend, tiny_model, category):
    client = backend()
    before = post(client, "predict")["results"][1]
    post(client, "webhook")
    points = places(RECORDED["webhook"]["annotation"]["result"], SIZES[1])
    example = Example(PICTURES / "paper_1.jpg", points, (0, 0, *SIZES[1]), category)
    expected = tiny_model.predict(PICTURES / "paper_2.jpg", category, example=example)
    after = post(client, "predict")["results"][1]
    assert np.allclose(places(after["result"], SIZES[2]), expected.xy[expected.present], atol=1e-3)
    assert after["result"] != before["result"]
    assert after["model_version"] == version(client) != before["model_version"], "it asks anew for old versions only"


def test_a_correction_takes_the_place_of_the_one_before_and_goes_when_it_is_deleted(backend):
    client = backend()
    post(client, "webhook")
    first = version(client)
    changed = body("webhook", action="ANNOTATION_UPDATED")
    changed["annotation"]["result"][1]["value"]["x"] += 1
    assert client.post(f"{URL}/webhook", json=changed).json()["examples"] == 1
    assert version(client) not in (first, "tiny")
    deleted = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": changed["annotation"]["id"]}]}
    assert client.post(f"{URL}/webhook", json=deleted).json()["examples"] == 0
    assert version(client) == "tiny"


def test_a_skipped_task_is_no_example_and_other_events_change_nothing(backend):
    client = backend()
    skipped = body("webhook")
    skipped["annotation"]["was_cancelled"] = True
    for event in (skipped, {"action": "TASKS_CREATED", "tasks": [{"id": 1}]}, {"action": "START_TRAINING"}):
        answer = client.post(f"{URL}/webhook", json=event)
        assert answer.status_code == 200 and answer.json()["examples"] == 0


def test_points_that_a_person_took_away_or_that_are_of_another_category_are_not_marked(backend):
    client = backend()
    changed = body("webhook")
    del changed["annotation"]["result"][2]
    changed["annotation"]["result"][2]["value"]["keypointlabels"] = ["staple"]
    answer = client.post(f"{URL}/webhook", json=changed).json()
    assert client.adapter.chosen()[0].example.marked.tolist() == [True, False, False, True]
    assert len(answer["notes"]) == 1 and "'staple'" in answer["notes"][0]


def test_the_newest_examples_answer_and_an_older_one_that_alone_shows_a_point(category):
    adapter = ToolAdapter(category)
    names = adapter.labels
    for number in range(8):
        shown = names[:1] if number == 1 else names[1:]
        places = {name: (10.0 + number, 20.0) for name in shown}
        example = adapter.example(PICTURES / "paper_1.jpg", places, None)
        adapter.correct(str(number), [Correction(example, b"")])
    chosen = [float(np.nanmin(one.example.points)) - 10 for one in adapter.chosen()]
    assert chosen == [1, 3, 4, 5, 6, 7]


def test_of_many_examples_those_that_look_most_like_the_picture_answer_as_on_the_page(
    backend, category, tiny_model, tmp_path
):
    (tmp_path / "photos").mkdir()
    job, names = Answering(tiny_model, category), []
    client = backend(tmp_path / "photos")
    for number in range(7):
        shade = np.linspace(0, 35 * number, 40 * 30, dtype=np.uint8).reshape(30, 40)
        path = tmp_path / "photos" / f"{number}.png"
        Image.fromarray(np.stack([shade, shade[::-1], 255 - shade], axis=-1)).save(path)
        points = np.array([[8.0 + number, 5], [30, 6], [31, 20], [7, 22]])
        if number < 6:
            names.append(str(path))
            job.add_example(str(path), path, points)
            example = client.adapter.example(path, dict(zip(category.names, points, strict=True)), None)
            client.adapter.correct(str(number), [Correction(example, content_key(read_picture(path)))])
        job.add_picture(f"as {path}", path)
    tasks = [{"id": number, "data": {"image": f"/data/upload/{number}.png"}} for number in (0, 6)]
    asked, plain = {}, client.service.ask

    async def ask(model, questions, write):
        (question,) = questions
        asked[question.pixels] = [str(one.image) for one in question.examples]
        return await plain(model, questions, write)

    client.service.ask = ask
    answers = post(client, "predict", tasks=tasks)["results"]
    for number in (0, 6):
        path = tmp_path / "photos" / f"{number}.png"
        wanted = job.examples_of(f"as {path}")
        assert asked[content_key(read_picture(path))] == wanted and set(wanted) < set(names)
        assert (set(wanted) != set(names[1:])) == (number == 0), "of the first picture not the newest"
    examples = [client.adapter.examples[names.index(one)].example for one in wanted]
    expected = tiny_model.predict(path, category, example=examples)
    assert np.allclose(places(answers[1]["result"], (40, 30)), expected.xy[expected.present], atol=1e-3)


@pytest.mark.parametrize("count", [2, 7])
def test_an_example_whose_picture_is_gone_costs_no_answer_and_is_used_when_it_is_put_back(
    backend, category, tmp_path, caplog, count
):
    client, asked = backend(tmp_path), []
    for number in range(count + 1):
        Image.new("RGB", (40, 30), (20 * number, 90, 160)).save(tmp_path / f"{number}.png")
    for number in range(count):
        path = tmp_path / f"{number}.png"
        example = client.adapter.example(path, {name: (5.0 + number, 6.0) for name in category.names}, None)
        client.adapter.correct(str(number), [Correction(example, content_key(read_picture(path)))])
    plain, tasks = client.service.ask, [{"id": 1, "data": {"image": f"/data/upload/{count}.png"}}]

    async def ask(model, questions, write):
        asked.append({Path(one.image).name for one in questions[0].examples})
        return await plain(model, questions, write)

    client.service.ask = ask
    last = tmp_path / f"{count - 1}.png"
    last.rename(tmp_path / "away")
    assert all(post(client, "predict", tasks=tasks)["results"]) and last.name not in asked[0]
    assert "1 examples are not used" in caplog.text and last.name in caplog.text
    (tmp_path / "away").rename(last)
    assert all(post(client, "predict", tasks=tasks)["results"]) and last.name in asked[1]


def test_after_a_restart_the_examples_come_back_with_the_tasks(backend):
    first, second = backend(), backend()
    post(first, "webhook")
    again = post(second, "predict_after", "predict")["results"]
    assert version(second) == version(first) == again[0]["model_version"]
    kept = post(first, "predict_after", "predict")["results"]
    for number, (one, other) in enumerate(zip(again, kept, strict=True), start=1):
        assert np.allclose(places(one["result"], SIZES[number]), places(other["result"], SIZES[number]), atol=1e-3)


def test_a_rectangle_that_was_drawn_is_the_object(backend, tiny_model, category):
    (answer,) = post(backend(), "interactive", "predict")["results"]
    box = (0.1 * 447, 0.1 * 437, 0.5 * 447, 0.6 * 437)
    expected = tiny_model.predict(PICTURES / "paper_2.jpg", category, box=box)
    value = answer["result"][0]["value"]
    assert [value[key] for key in ("x", "y", "width", "height")] == pytest.approx([10, 10, 50, 60])
    assert np.allclose(places(answer["result"], SIZES[2]), expected.xy[expected.present], atol=1e-3)


def test_two_rectangles_of_a_task_are_two_objects(backend):
    tasks = body("predict")["tasks"][:1]
    common = {"type": "rectanglelabels", "from_name": "bbox", "to_name": "image"}
    common |= {"original_width": 435, "original_height": 480}
    value = {"x": 0, "y": 0, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["object"]}
    drawn = [{**common, "id": "a", "value": value}, {**common, "id": "b", "value": {**value, "x": 50}}]
    tasks[0]["drafts"] = [{"id": 1, "result": drawn}]
    (answer,) = post(backend(), "predict", tasks=tasks)["results"]
    rectangles = [one for one in answer["result"] if one["type"] == "rectanglelabels"]
    assert [one["value"]["x"] for one in rectangles] == pytest.approx([0, 50])
    owners = {one["parentID"] for one in answer["result"] if one["type"] == "keypointlabels"}
    assert owners == {one["id"] for one in rectangles}


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/elsewhere.jpg",
        "s3://bucket/elsewhere.jpg",
        "/data/local-files/?d=../../../etc/passwd",
        "/data/local-files/?d=photos/../../pyproject.toml",
        "/data/upload/1/0a1b2c3d-missing.jpg",
        "data:image/png;base64," + 5000 * "A",
        "",
        None,
        7,
    ],
)
def test_a_picture_that_is_not_in_the_folder_costs_its_own_task_alone_and_is_never_fetched(backend, address):
    client, tasks = backend(), body("predict")["tasks"]
    tasks[0]["data"]["image"] = address
    answer = post(client, "predict", tasks=tasks)
    assert answer["results"][0] == [] and answer["results"][1]["result"]
    assert len(answer["errors"]) == 1 and "nothing is fetched" in answer["errors"][0]
    alone = client.post(f"{URL}/predict", json=body("predict", tasks=tasks[:1]))
    assert alone.status_code == 422 and alone.json()["error"] == answer["errors"][0]


def test_an_address_that_is_none_costs_its_own_task_alone(backend):
    client, tasks = backend(), body("predict_after")["tasks"]
    tasks.sort(key=lambda task: not task["annotations"])
    tasks[0]["data"]["image"] = "http://[bad/x.jpg"
    answer = post(client, "predict", tasks=tasks)
    assert answer["results"][0] == [] and answer["results"][1]["result"] and not client.adapter.examples
    assert len(answer["errors"]) == 1 and "which is no address" in answer["errors"][0]


def test_an_upload_is_found_in_the_media_folder_by_its_path_or_by_its_own_name(backend, tmp_path):
    media = tmp_path / "media"
    (media / "upload" / "1").mkdir(parents=True)
    (media / "upload" / "1" / "0a1b2c3d-paper_1.jpg").write_bytes((PICTURES / "paper_1.jpg").read_bytes())
    tasks = body("predict")["tasks"][:1]
    tasks[0]["data"]["image"] = "/data/upload/1/0a1b2c3d-paper_1.jpg"
    assert post(backend(media), "predict", tasks=tasks)["results"] != [[]]
    assert post(backend(), "predict", tasks=tasks)["results"] != [[]], "the hash of an upload is not part of the name"


def test_what_was_drawn_on_another_picture_of_that_name_is_no_example(backend):
    client, event = backend(), body("webhook")
    for region in event["annotation"]["result"]:
        region["original_width"] = 1000
    answer = client.post(f"{URL}/webhook", json=event)
    assert answer.status_code == 422 and "1000 x 480" in answer.json()["error"]
    assert client.adapter.chosen() == []


def test_a_failure_of_the_server_is_logged_and_its_reason_not_told(backend, monkeypatch, caplog):
    client, plain = backend(), ServedTool.poses

    async def failing(tool, picture, *more):
        if picture.picture.size == SIZES[1]:
            raise PredictionFailed("The prediction failed: no memory in /home/me.") from RuntimeError("no memory")
        return await plain(tool, picture, *more)

    monkeypatch.setattr(ServedTool, "poses", failing)
    answer = post(client, "predict")
    assert answer["results"][0] == [] and answer["results"][1]["result"]
    assert len(answer["errors"]) == 1 and "its log has the reason" in answer["errors"][0]
    assert "RuntimeError: no memory" in caplog.text
    alone = client.post(f"{URL}/predict", json=body("predict", tasks=body("predict")["tasks"][:1]))
    assert alone.status_code == 500 and "memory" not in alone.text


def test_a_setup_without_the_category_s_labels_is_refused(backend):
    client, setup = backend(), RECORDED["setup"]["schema"]
    for schema, said in [
        (setup.replace("bottom left corner of the sheet", "corner"), "no label 'bottom left corner of the sheet'"),
        (setup.replace('value="object"', 'value="dog"'), "no label 'object'"),
        (setup.replace("KeyPointLabels", "PolygonLabels"), "no KeyPointLabels on an Image"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><View>&b;</View>", "document type"),
        ("<View>", "not valid XML"),
        (None, "not valid XML"),
    ]:
        answer = client.post(f"{URL}/setup", json=body("setup", schema=schema))
        assert answer.status_code == 422 and said in answer.json()["error"]


def test_other_names_of_controls_are_used_and_a_setup_without_rectangles_gets_points_alone(backend):
    setup = RECORDED["setup"]["schema"].replace('"kp"', '"corners"').replace('"image"', '"photo"')
    setup = setup.replace('value="$image"', 'value="$url"')
    start, end = setup.index("<RectangleLabels"), setup.index("</RectangleLabels>") + len("</RectangleLabels>")
    setup = setup[:start] + setup[end:]
    tasks = body("predict")["tasks"][:1]
    tasks[0]["data"] = {"url": tasks[0]["data"]["image"], "text": "x"}
    (answer,) = post(backend(), "predict", tasks=tasks, label_config=setup)["results"]
    assert {(one["from_name"], one["to_name"]) for one in answer["result"]} == {("corners", "photo")}
    assert not any("parentID" in one for one in answer["result"])


def test_the_setup_to_paste_is_one_that_the_backend_takes(backend):
    client = backend()
    setup = client.get(f"{URL}/config.xml").text
    assert read_controls(setup).box_labels == ("object",)
    assert client.post(f"{URL}/setup", json=body("setup", schema=setup)).status_code == 200


def test_what_time_does_not_allow_is_left_to_the_next_request(backend, monkeypatch):
    client = backend()
    monkeypatch.setattr(label_studio, "TOGETHER", 1)
    monkeypatch.setattr(label_studio, "SECONDS", -1)
    late = client.post(f"{URL}/predict", json=body("predict"))
    assert late.status_code == 503 and "no time" in late.json()["error"]
    monkeypatch.setattr(label_studio, "SECONDS", 60)
    assert all(post(client, "predict")["results"])


@pytest.mark.parametrize("text", ["{", "[]", '{"tasks": 7}', '{"tasks": [7]}', '{"tasks": {}, "label_config": 3}'])
def test_bodies_of_another_form_are_refused_with_a_sentence(backend, text):
    answer = backend().post(f"{URL}/predict", content=text, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422) and answer.json()["error"].endswith(".")


@pytest.mark.parametrize("odd", [None, 7, "x", [], [1], {}, {"x": 1e400}, [{}], [{"id": [], "value": {"x": "y"}}]])
@pytest.mark.parametrize("key", ["params", "data", "annotations", "drafts", "result", "id"])
def test_odd_values_in_a_request_never_break_the_server(backend_once, key, odd):
    request, event = body("predict"), body("webhook")
    request["params"], request["tasks"][0][key] = (odd, 1) if key == "params" else (None, odd)
    event["annotation"][key] = event["task"][key] = odd
    assert backend_once.post(f"{URL}/predict", content=json.dumps(request)).status_code in (200, 422)
    assert backend_once.post(f"{URL}/webhook", content=json.dumps(event)).status_code in (200, 422)


def test_with_a_token_every_address_asks_for_it_as_basic_password_or_bearer(backend):
    client = backend(token="a-token-of-24-characters")
    for path, send in [("health", "GET"), ("setup", "POST"), ("predict", "POST"), ("webhook", "POST")]:
        sent = {"json": body(path)} if send == "POST" else {}
        assert client.request(send, f"{URL}/{path}", **sent).status_code == 401
        assert client.request(send, f"{URL}/{path}", auth=("anyone", "wrong"), **sent).status_code == 401
        assert (
            client.request(send, f"{URL}/{path}", auth=("anyone", "a-token-of-24-characters"), **sent).status_code
            == 200
        )
        headers = {"Authorization": "Bearer a-token-of-24-characters"}  # as set on the webhook
        assert client.request(send, f"{URL}/{path}", headers=headers, **sent).status_code == 200


def test_a_folder_that_is_not_there_is_refused_at_the_start(category, serving, client, tmp_path):
    with pytest.raises(InputError, match="There is no folder"):
        label_studio_router(ServedTool(client.service, ToolAdapter(category)), tmp_path / "missing")
