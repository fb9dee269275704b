"""The addresses below /v1/project, without a browser."""

import io
import json
import shutil
import time
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from anykeypoint.forms.registry import FORMS, writable_forms
from anykeypoint.labelling import project
from anykeypoint.serving import picture_files, project_asking

TEXT = "nose: the tip\nleft ear\nright ear"


def png(seed: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size).save(file, "PNG")
    return file.getvalue()


@contextmanager
def opened(serving, folder):
    """A server of a project with two pictures and three points; it ends with the test that asks it."""
    client = serving(project=folder)
    for seed, name in enumerate(("a.png", "more/b.png")):
        assert client.post(f"/v1/project/pictures?name={name}", content=png(seed)).json()["new"]
    assert client.put("/v1/project/category", json={"text": TEXT, "noun": "fox"}).status_code == 200
    yield client
    client.__exit__(None, None, None)


@pytest.fixture
def client(serving, tmp_path):
    """A project with two pictures and three points."""
    with opened(serving, tmp_path / "project") as client:
        yield client


@pytest.fixture(scope="module")
def unchanged(serving, tmp_path_factory):
    """The same project for tests that change nothing in it, all of it answered: the client and its folder."""
    folder = tmp_path_factory.mktemp("unchanged") / "project"
    with opened(serving, folder) as client:
        settled(client)
        yield client, folder


@pytest.fixture(scope="module")
def labelled(serving, tmp_path_factory):
    """The same project with both pictures labelled."""
    with opened(serving, tmp_path_factory.mktemp("labelled") / "project") as client:
        for number in (1, 2):
            points = {name: [10 + number, 12, 2] for name in ("nose", "left ear", "right ear")}
            client.put(f"/v1/project/pictures/{number}/label", json={"points": points, "done": True})
        yield client


def settled(client, states=("idle",)):
    """Wait until nothing is left to answer; gives the overview."""
    ends = time.monotonic() + 60
    while (found := client.get("/v1/project").json())["answers"]["state"] not in states:
        assert time.monotonic() < ends, found
        time.sleep(0.05)
    return found


def mark(client, number: int, **more):
    points = {"nose": [30, 20.5, 2], "left ear": [20, 8, 1], "right ear": [None, None, 0]}
    body = {"points": points, "done": True, "revision": 0, **more}
    return client.put(f"/v1/project/pictures/{number}/label", json=body)


def test_pictures_are_answered_and_an_example_has_them_answered_anew(client):
    found = settled(client)
    assert found["answers"] == {
        **found["answers"],
        "answered": 2,
        "total": 2,
        "reason": "",
        "failed": {},
        "current": None,
    }
    listed = client.get("/v1/project/pictures").json()
    assert [one["state"] for one in listed] == ["answered"] * 2 and listed[0]["doubt"] >= listed[1]["doubt"]
    before = client.get("/v1/project/pictures/2").json()
    assert before["answer"]["by"] == "words" and set(before["answer"]["points"]) == {"nose", "left ear", "right ear"}
    saved = mark(client, 1, example=True).json()
    assert saved["label"]["revision"] == 1 and saved["state"] == "example"
    settled(client)
    after = client.get("/v1/project/pictures/2").json()
    assert after["answer"]["by"] == "words and example a.png" and after["answer"]["asked"] != before["answer"]["asked"]
    assert client.get("/v1/project/pictures").json()[-1]["id"] == 1, "finished ones come last"
    assert client.get("/v1/project").json()["examples"] == 1


def test_two_windows_change_one_picture_and_nothing_is_lost(client):
    settled(client)
    empty = {"points": {}, "box": None, "done": False, "example": False}

    def save(base, **changes):
        label = {**base, **changes}
        answer = client.put("/v1/project/pictures/1/label", json={**label, "base": base, "revision": 0})
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = save(empty, points={"nose": [30, 20, 2]})
    second = save(empty, points={"left ear": [20, 8, 2]}, done=True)
    assert first["said"] == second["said"] == [] and second["label"]["revision"] == 2
    assert second["label"]["points"] == {"nose": [30, 20, 2], "left ear": [20, 8, 2]} and second["label"]["done"]
    third = save(empty, points={"nose": [31, 21, 1]})
    assert third["label"]["points"] == {"nose": [31, 21, 1], "left ear": [20, 8, 2]} and third["label"]["done"]
    (said,) = third["said"]
    assert said.startswith("“nose” of a.png was also changed in another window") and said.endswith(".")
    again = save(empty, points={"nose": [31, 21, 1]})
    assert again["said"] == [] and again["label"] == third["label"], "sent twice, it is saved once"
    outside = {**empty, "points": {"nose": [300, 2, 2]}, "base": empty}
    refused = client.put("/v1/project/pictures/1/label", json=outside)
    assert refused.status_code == 422 and "is absent" in refused.json()["error"]
    assert client.get("/v1/project/pictures/1").json()["label"] == third["label"]


def test_a_point_that_is_not_looked_for_is_kept_and_said_once(client):
    settled(client)
    points = {"nose": [30, 20, 2], "left eear": [20, 8, 2]}
    answer = client.put("/v1/project/pictures/1/label", json={"points": points, "revision": 0}).json()
    assert answer["label"]["points"] == points
    (said,) = answer["said"]
    assert said == "What is looked for has no point 'left eear' (near: left ear); it is kept, but no export has it."
    assert client.put("/v1/project/pictures/1/label", json={"points": points, "revision": 1}).json()["said"] == []


def test_only_pictures_that_changed_are_listed_again(client):
    settled(client)
    first = client.get("/v1/project/pictures")
    assert len(first.json()) == 2 and client.get("/v1/project").json()["revision"] == first.headers["X-Revision"]

    def since(answer):
        return client.get("/v1/project/pictures", params={"since": answer.headers["X-Revision"]})

    nothing = since(first)
    assert nothing.json() == [] and nothing.headers["X-Revision"] == first.headers["X-Revision"]
    assert mark(client, 1).status_code == 200
    one = since(first)
    assert [(entry["id"], entry["state"]) for entry in one.json()] == [(1, "done")] and since(one).json() == []
    client.post("/v1/project/pictures?name=c.png", content=png(2))
    assert {entry["id"] for entry in since(one).json()} == {3}
    settled(client)
    assert [(entry["id"], entry["state"]) for entry in since(one).json()] == [(3, "answered")]
    for other in ("", "0", "none", "another-7", first.headers["X-Revision"].partition("-")[0] + "-x"):
        listed = client.get("/v1/project/pictures", params={"since": other}).json()
        assert listed == client.get("/v1/project/pictures").json() and len(listed) == 3


def test_a_picture_that_fails_is_listed_as_changed(client, tmp_path):
    settled(client)
    before = client.get("/v1/project/pictures").headers["X-Revision"]
    (tmp_path / "project" / "images" / "a.png").write_bytes(b"gone bad")
    client.put("/v1/project/category", json={"text": "nose\nleft ear tip"})
    settled(client)
    failed = client.get("/v1/project/pictures", params={"since": before})
    assert {entry["id"]: entry["state"] for entry in failed.json()} == {1: "failed", 2: "answered"}


def test_opening_a_picture_and_the_overview_look_at_no_other_picture(client, monkeypatch):
    settled(client)
    asked, plain = [], project.Project.label
    monkeypatch.setattr(project.Project, "label", lambda self, number: asked.append(number) or plain(self, number))
    monkeypatch.setattr(project.Project, "labels", lambda self: pytest.fail("all labels are looked at"))
    assert client.get("/v1/project/pictures/2").status_code == client.get("/v1/project").status_code == 200
    assert mark(client, 2).status_code == 200
    assert set(asked) == {2}


def test_edges_stay_between_points_that_stay(client):
    points = [{"name": "nose"}, {"name": "left ear"}, {"name": "right ear"}]
    body = {"points": points, "skeleton": [[0, 1], [0, 2]]}
    assert client.put("/v1/project/category", json=body).json()["category"]["skeleton"] == [[0, 1], [0, 2]]
    fewer = {"points": [points[2], {"name": "snout", "was": "nose"}]}
    assert client.put("/v1/project/category", json=fewer).json()["category"]["skeleton"] == [[1, 0]]


def test_points_without_words_wait_for_an_example(client):
    body = {"points": [{"name": "point 1"}, {"name": "point 2"}]}
    assert client.put("/v1/project/category", json=body).status_code == 200
    found = settled(client, ("waiting",))
    assert found["answers"]["reason"].startswith("Finish one picture and make it an example")
    points = {"point 1": [30, 20, 2], "point 2": [10, 9, 2]}
    label = {"points": points, "done": True, "example": True}
    assert client.put("/v1/project/pictures/1/label", json=label).status_code == 200
    settled(client)
    assert client.get("/v1/project/pictures/2").json()["answer"]["by"] == "example a.png", "no words"


def test_a_picture_that_cannot_be_read_costs_no_other_one(client, tmp_path):
    settled(client)
    (tmp_path / "project" / "images" / "a.png").write_bytes(b"gone bad")
    client.put("/v1/project/category", json={"text": "nose\nleft ear tip"})
    found = settled(client)
    assert list(found["answers"]["failed"]) == ["1"] and "a.png" in found["answers"]["failed"]["1"]
    listed = {one["id"]: one for one in client.get("/v1/project/pictures").json()}
    assert listed[1]["state"] == "failed" and listed[2]["state"] == "answered"


def test_an_example_that_is_gone_costs_no_answer(client, tmp_path):
    settled(client)
    assert mark(client, 1, example=True).status_code == 200
    settled(client)
    (tmp_path / "project" / "images" / "a.png").unlink()
    assert client.put("/v1/project/category", json={"text": f"{TEXT}\ntail"}).status_code == 200
    found = settled(client)
    assert found["answers"]["answered"] == 1 and "a.png" in found["notes"][0]


def test_a_point_is_named_and_its_density_given(client):
    settled(client)
    names = client.post("/v1/project/pictures/1/identify", json={"x": 30, "y": 20}).json()["names"]
    assert {one["name"] for one in names} == {"nose", "left ear", "right ear"}
    assert [one["probability"] for one in names] == sorted((one["probability"] for one in names), reverse=True)
    found = client.get("/v1/project/pictures/1/density").json()
    assert set(found["densities"]) == {"nose", "left ear", "right ear"} and len(found["crop"]) == 3
    refused = client.post("/v1/project/pictures/1/identify", json={"x": 3000, "y": 20})
    assert refused.status_code == 422 and "outside" in refused.json()["error"]


def test_a_picture_that_is_asked_about_again_is_read_once(client, monkeypatch):
    settled(client)
    assert mark(client, 2, example=True).status_code == 200
    settled(client)
    read, plain = [], picture_files.read_picture
    monkeypatch.setattr(picture_files, "read_picture", lambda path: read.append(path.name) or plain(path))
    monkeypatch.setattr(picture_files, "SETTLED", -(10**18))
    for _ in range(2):
        assert client.get("/v1/project/pictures/1/density").json()["densities"]
        assert client.post("/v1/project/pictures/1/identify", json={"x": 30, "y": 20}).json()["names"]
    assert sorted(read) == ["a.png", "b.png"]


@pytest.mark.parametrize("side", [128, 512, 1024, 2048])
def test_a_picture_is_shown_upright_and_no_larger(labelled, side):
    client, turned = labelled, io.BytesIO()
    picture = Image.new("RGB", (2200, 1100), "red")
    exif = Image.Exif()
    exif[274] = 6
    picture.save(turned, "JPEG", exif=exif)
    number = client.post("/v1/project/pictures?name=turned.jpg", content=turned.getvalue()).json()["id"]
    answer = client.get(f"/v1/project/pictures/{number}/image?side={side}")
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.format == "JPEG" and shown.size == (side // 2, side)
    again = client.get(
        f"/v1/project/pictures/{number}/image?side={side}", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304 and not again.content


def test_a_part_of_a_picture_has_its_own_pixels_and_is_no_larger(labelled):
    client, file = labelled, io.BytesIO()
    picture = Image.new("RGB", (3000, 1500))
    picture.paste("white", (2400, 900, 2500, 950))
    picture.save(file, "PNG")
    number = client.post("/v1/project/pictures?name=wide.png", content=file.getvalue()).json()["id"]

    def part(*box):
        asked = dict(zip(("left", "top", "width", "height"), box, strict=True))
        return client.get(f"/v1/project/pictures/{number}/part", params=asked)

    shown = Image.open(io.BytesIO(part(2300, 800, 400, 300).content))
    assert shown.format == "JPEG" and shown.size == (400, 300)
    white = np.argwhere(np.asarray(shown)[..., 0] > 128)
    assert (*white.min(0), *white.max(0)) == (100, 100, 149, 199), "each pixel is where it was"
    assert Image.open(io.BytesIO(part(0, 0, 3000, 1500).content)).size == (2048, 1024)
    refused = part(2300, 800, 701, 300)
    assert refused.status_code == 422 and "3000 x 1500" in refused.json()["error"]


@pytest.mark.parametrize("form", writable_forms())
def test_every_form_is_downloaded(labelled, form):
    client = labelled
    look = client.get(f"/v1/project/export?form={form}").json()
    assert look["objects"] == 2 and look["adapt"].startswith("anykeypoint adapt --data coco:")
    got = client.get(f"/v1/project/export/file?form={form}")
    assert got.status_code == 200 and look["name"] in got.headers["content-disposition"]
    if look["name"].endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
            assert archive.testzip() is None and archive.namelist()
    else:
        assert ("11" if form == "tps" else "nose") in got.text


def test_a_download_has_the_suffix_that_its_form_says(client, monkeypatch):
    monkeypatch.setitem(FORMS, "toy", "toys.toy_form:FORM")
    assert mark(client, 1).status_code == 200
    got = client.get("/v1/project/export/file?form=toy")
    assert got.status_code == 200 and got.text.startswith("fox nose")
    assert got.headers["content-disposition"].endswith('project_toy.toy"')


LABEL = "/v1/project/pictures/1/label"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("get", "/v1/project/pictures/99", None, 404, "no picture 99"),
        ("get", "/v1/project/pictures/none", None, 422, "number cannot be used"),
        ("get", "/v1/project/pictures/1/image?side=99999", None, 422, "a side of 128"),
        ("post", "/v1/project/pictures?name=x.png", b"no picture", 422, "x.png"),
        ("post", "/v1/project/pictures?name=..", png(), 422, "must have a file name"),
        ("post", "/v1/project/pictures", png(), 422, "name cannot be used"),
        ("put", LABEL, {"points": {"nose": [1, 2]}}, 422, "points.nose cannot be used"),
        ("put", LABEL, {"points": {"nose": [1, 2, 3]}}, 422, "must be [x, y, 0, 1 or 2]"),
        ("put", LABEL, {"points": {"nose": [1, None, 2]}}, 422, "a place of two numbers"),
        ("put", LABEL, {"points": {"nose": [1e9, 2, 2]}}, 422, "cannot be used"),
        ("put", LABEL, {"points": {"nose": [100, 2, 2]}}, 422, "is absent"),
        ("put", LABEL, {"box": [0, 0, 0, 0]}, 422, "A box must have"),
        ("put", LABEL, {"done": True, "example": True}, 422, "An example must have a marked point"),
        ("put", LABEL, {"wrong": 1}, 422, "wrong cannot be used"),
        ("put", LABEL, {"revision": 7}, 409, "changed in another window"),
        ("put", LABEL, b"{", 422, "cannot be used"),
        ("put", LABEL, b'{"points": {"nose": [NaN, 2, 2]}}', 422, "cannot be used"),
        ("put", "/v1/project/category", {}, 422, "in one way"),
        ("put", "/v1/project/category", {"text": "nose", "library": "animal_face"}, 422, "in one way"),
        ("put", "/v1/project/category", {"library": "animal_fase"}, 422, "near: animal_face"),
        ("put", "/v1/project/category", {"library": "../secret.json"}, 422, "no category '../secret.json'"),
        ("put", "/v1/project/category", {"text": "nose\nnose"}, 422, "Two keypoints"),
        ("put", "/v1/project/category", {"text": "nose; ear", "skeleton": [[0, 1]]}, 422, "is given with points"),
        ("put", "/v1/project/category", {"points": [{"name": "a"}], "skeleton": [[0, 1]]}, 422, "skeleton"),
        ("put", "/v1/project/category", {"points": []}, 422, "points cannot be used"),
        ("get", "/v1/project/export?form=coco", None, 422, "no labelled object"),
        ("get", "/v1/project/export/file?form=odd", None, 422, "Labels can be written as"),
    ],
)
def test_every_refusal_is_a_sentence_and_changes_nothing(unchanged, method, path, body, status, sentence):
    client, folder = unchanged
    before = {file: file.read_bytes() for file in folder.rglob("*.json") if file.parent.name != "answers"}
    given = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    answer = client.request(method, path, **given)
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert sentence in said["error"] and said["error"].endswith(".") and said["request_id"], said
    after = {file: file.read_bytes() for file in folder.rglob("*.json") if file.parent.name != "answers"}
    assert after == before


def test_pictures_of_a_folder_are_in_the_project_and_stay_where_they_are(tmp_path, tiny_model):
    from starlette.testclient import TestClient

    from anykeypoint.serving.app import build_app
    from anykeypoint.serving.service import Service

    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(png())
    app = build_app(Service({"tiny": lambda: tiny_model}), project=tmp_path / "project", pictures=[photos])
    with TestClient(app, base_url="http://127.0.0.1") as client:
        (listed,) = client.get("/v1/project/pictures").json()
        assert listed["name"] == "a.png" and client.get("/v1/project/pictures/1/image?side=128").status_code == 200
    assert json.loads((tmp_path / "project" / "pictures.json").read_text())["pictures"][0]["file"] == str(
        photos / "a.png"
    )
    assert not (tmp_path / "project" / "images").exists()
    photos.rename(tmp_path / "elsewhere")
    for folders, said in (
        ([], "1 of the pictures are not where"),
        ([tmp_path / "elsewhere"], "1 pictures of the project were found again"),
    ):
        app = build_app(Service({"tiny": lambda: tiny_model}), project=tmp_path / "project", pictures=folders)
        with TestClient(app, base_url="http://127.0.0.1") as client:
            (note,) = client.get("/v1/project").json()["notes"]
            assert note.startswith(said) and len(client.get("/v1/project/pictures").json()) == 1


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(serving, tmp_path, monkeypatch):
    client = serving(project=tmp_path / "project", image_pixels=5_000)
    monkeypatch.setattr(project, "read_picture", lambda *_: pytest.fail("it was decoded"))
    answer = client.post("/v1/project/pictures?name=a.png", content=png(size=(100, 60)))
    assert answer.status_code == 413 and "100 x 60 pixels" in answer.json()["error"]
    assert client.get("/v1/project/pictures").json() == [] and not list((tmp_path / "project").rglob("*.png"))


def test_an_answer_that_takes_too_long_is_refused(client, monkeypatch):
    settled(client)
    monkeypatch.setattr(project_asking, "WAIT", 0)
    answer = client.post("/v1/project/pictures/1/identify", json={"x": 5, "y": 6})
    assert answer.status_code == 503 and "too long" in answer.json()["error"] and answer.headers["retry-after"] == "10"


def test_work_is_not_refused_for_a_full_disk(client, monkeypatch):
    """A page throws away what is refused for good (422); this it sends again."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = mark(client, 1)
    assert answer.status_code == 503 and "No space left on device" in answer.json()["error"]
    assert answer.headers["retry-after"]
    monkeypatch.undo()
    assert mark(client, 1).status_code == 200


def test_two_windows_change_the_points_and_both_changes_stay(client):
    def change(base, points, **more):
        answer = client.put("/v1/project/category", json={"points": points, "base": base, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    base = ["nose", "left ear", "right ear"]
    sent = [{"name": name, "was": name} for name in base]
    sent[0]["description"] = "the tip"
    first = change(base, [*sent, {"name": "back"}], skeleton=[[0, 3]])
    assert first["added"] == ["back"] and first["category"]["keys"] == [*base, "back"]
    second = change(base, [*sent, {"name": "belly"}], skeleton=[[0, 3], [1, 2]])
    assert second["added"] == ["belly"] and second["category"]["keys"] == [*base, "belly", "back"]
    assert sorted(second["category"]["skeleton"]) == [[0, 3], [0, 4], [1, 2]]
    assert second["category"]["keypoints"][0]["description"] == "the tip"
    base = second["category"]["keys"]
    fewer = [{"name": name, "was": name} for name in base if name != "left ear"]
    change(base, [{"name": "snout", "was": "nose"}, *fewer[1:]])
    stale = [{"name": name, "was": name} for name in base]
    last = change(base, [*stale, {"name": "paw"}], skeleton=[[2, 3]])
    assert last["category"]["keys"] == ["right ear", "belly", "back", "paw", "snout"]
    assert [0, 1] in last["category"]["skeleton"]


def test_a_new_point_without_a_name_has_no_labels_of_an_earlier_one(client):
    points = [{"name": "nose", "was": "nose"}, {"name": "point 2"}]
    assert client.put("/v1/project/category", json={"points": points}).json()["added"] == ["point 2"]
    label = {"points": {"nose": [5, 6, 2], "point 2": [10, 12, 2]}, "done": True}
    assert client.put("/v1/project/pictures/2/label", json=label).status_code == 200
    assert client.put("/v1/project/category", json={"points": points[:1]}).status_code == 200
    again = client.put("/v1/project/category", json={"points": points}).json()
    assert again["added"] == ["point 3"] and again["category"]["keys"] == ["nose", "point 3"]


def test_an_edge_leaves_what_else_is_known_of_a_point(client):
    """A kind of the library has words for it that data sets use."""
    chosen = client.put("/v1/project/category", json={"library": "field_19_amur_tiger"}).json()["category"]
    keys, known = chosen["keys"], chosen["keypoints"]
    points = [
        {"name": one["name"], "description": one.get("description", ""), "was": key}
        for key, one in zip(keys, known, strict=True)
    ]
    changed = client.put("/v1/project/category", json={"points": points, "skeleton": [[0, 1]]}).json()["category"]
    assert changed["keypoints"] == known and any(one.get("label") for one in known)


def test_a_picture_that_was_put_back_is_answered(client, tmp_path):
    settled(client)
    file = tmp_path / "project" / "images" / "a.png"
    kept = file.read_bytes()
    file.unlink()
    client.put("/v1/project/category", json={"text": "nose\nleft ear tip"})
    assert list(settled(client)["answers"]["failed"]) == ["1"]
    file.write_bytes(kept)
    ends = time.monotonic() + 30
    while client.get("/v1/project/pictures/1").json()["state"] != "answered":
        assert time.monotonic() < ends, "it is not asked again"
        time.sleep(0.05)
    assert settled(client)["answers"]["failed"] == {}


def test_another_picture_in_the_place_of_one_is_said_and_has_no_points(client, tmp_path):
    """As where a program turned the file: its points would be elsewhere in it."""
    settled(client)
    (tmp_path / "project" / "images" / "a.png").write_bytes(png(size=(48, 64)))
    answer = client.get("/v1/project/pictures/1/image?side=128")
    assert answer.status_code == 422 and "48 x 64 pixels now, but had 64 x 48" in answer.json()["error"]
    assert client.get("/v1/project/pictures/1/density").status_code == 422
    client.put("/v1/project/category", json={"text": "nose\nleft ear tip"})
    assert "48 x 64" in settled(client)["answers"]["failed"]["1"]


def test_an_example_that_shows_nothing_any_longer_is_not_used(client):
    """A point that is hidden in one example is shown there only while no other one has it visible."""
    settled(client)
    third = client.post("/v1/project/pictures?name=c.png", content=png(3)).json()["id"]
    hidden = {"nose": [30, 20, 1], "left ear": [None, None, 0], "right ear": [None, None, 0]}
    assert mark(client, 1, points=hidden, example=True).status_code == 200
    settled(client)
    assert "a.png" in client.get(f"/v1/project/pictures/{third}").json()["answer"]["by"]
    assert mark(client, 2, points={**hidden, "nose": [30, 20, 2]}, example=True).status_code == 200
    settled(client)
    assert "a.png" not in client.get(f"/v1/project/pictures/{third}").json()["answer"]["by"]
    assert client.get(f"/v1/project/pictures/{third}/density").status_code == 200


def test_what_is_meant_for_another_project_is_refused_and_changes_nothing(serving, tmp_path):
    """As of a page that is still open when a server of another project is started at its address."""
    folder = tmp_path / "project"
    with opened(serving, folder) as client:
        settled(client)
        identity = client.get("/v1/project").json()["identity"]
        before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
        for method, path, body in (
            ("PUT", "/pictures/1/label", {"points": {"nose": [1, 2, 2]}}),
            ("PUT", "/category", {"text": "beak"}),
            ("POST", "/pictures/1/objects", None),
            ("GET", "/pictures/1", None),
            ("GET", "", None),
        ):
            answer = client.request(method, f"/v1/project{path}", json=body, headers={"X-Project": "0" * 16})
            assert answer.status_code == 412 and answer.json()["error"].startswith("Another project is served")
        answer = client.post("/v1/project/pictures?name=c.png", content=png(2), headers={"X-Project": "0" * 16})
        assert answer.status_code == 412
        assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before
        assert client.get("/v1/project/pictures/1", headers={"X-Project": identity}).status_code == 200


def test_a_project_is_told_from_its_copy_and_from_one_begun_anew_in_its_folder(tmp_path):
    def identity(folder):
        one = project.Project(folder)
        one.close()
        return one.identity

    folder = tmp_path / "project"
    first = identity(folder)
    assert identity(folder) == first, "it stays when it is opened again"
    shutil.copytree(folder, tmp_path / "copy")
    assert identity(tmp_path / "copy") != first
    shutil.rmtree(folder)
    anew = identity(folder)
    assert anew != first
    file = folder / "project.json"
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "id"}))
    assert identity(folder) == identity(folder) != anew, "one of an earlier version gets its own"
