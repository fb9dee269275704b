"""Rendering from end to end, on a small model of our own; skipped without mujoco or a library to draw with."""

import json
from dataclasses import replace

import numpy as np
import pytest

from anykeypoint.data.render import rendered, surfaces
from anykeypoint.data.render.assembly import DRAWN, assemble
from anykeypoint.data.render.camera import Camera
from anykeypoint.data.render.engine import Renderer, mujoco_module
from anykeypoint.data.render.kinds import Attached, Kind, ModelPoint
from anykeypoint.data.render.picture import OVERSAMPLE, move_joints, render
from anykeypoint.errors import InputError
from anykeypoint.forms.registry import read

MODEL = """
<mujoco>
  <worldbody>
    <geom type="plane" size="1 1 1" group="1"/>
    <body name="other"><geom type="sphere" size="3" group="1"/></body>
    <body name="box" pos="5 5 5">
      <geom name="case" type="box" size="0.2 0.3 0.1" group="1" mass="1"/>
      <geom type="sphere" size="2" group="3"/>
      <body name="flap" pos="0 0 0.1">
        <joint name="hinge" type="hinge" axis="0 1 0" range="-90 0" limited="true"/>
        <geom name="lid" type="box" pos="0 0 0.05" size="0.2 0.3 0.02" group="1" mass="1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="hinge"/></actuator>
</mujoco>
"""
POINTS = (
    ModelPoint("left top front corner", "a corner", part=("case",), at=(1.0, 1.0, 1.0)),
    ModelPoint("right top front corner", "a corner", part=("case",), at=(1.0, -1.0, 1.0)),
    ModelPoint("left bottom back corner", "a corner", part=("case",), at=(-1.0, 1.0, -1.0)),
    ModelPoint("right bottom back corner", "a corner", part=("case",), at=(-1.0, -1.0, -1.0)),
    ModelPoint("hinge of the lid", "the axis", joint="hinge"),
    ModelPoint("front of the lid", "its edge", part=("lid",), towards=(1.0, 0.0, 0.0)),
)
KIND = Kind("lidded box", "metaworld", "box.xml", POINTS, body="box", floor=False)


def drawing():
    """MuJoCo, where it can draw here; else the test is skipped."""
    try:  # not importorskip: importing mujoco before the way to draw is chosen would fix another
        mujoco = mujoco_module()
        Renderer(mujoco.MjModel.from_xml_string(MODEL), 64, frozenset({DRAWN})).close()
    except InputError as error:
        pytest.skip(str(error))
    return mujoco


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "models" / "metaworld" / "assets"
    path.mkdir(parents=True)
    (path / "box.xml").write_text(MODEL)
    return path


@pytest.fixture
def box(folder):
    drawing()
    return assemble(KIND, "box", folder)


def test_the_object_alone_is_drawn_in_its_own_place(box):
    names = [box.model.geom(geom).name for geom in box.shown]
    assert names == ["case", "lid"]
    assert (box.model.geom_group[list(box.shown)] == DRAWN).all()
    assert (np.delete(box.model.geom_group, list(box.shown)) != DRAWN).all()


def test_points_lie_where_the_description_says(box):
    places = box.places() - box.data.body("box").xpos
    assert places[0] == pytest.approx([0.2, 0.3, 0.1])
    assert places[3] == pytest.approx([-0.2, -0.3, -0.1])
    assert places[4] == pytest.approx([0, 0, 0.1])
    assert places[5] == pytest.approx([0.2, 0, 0.15], abs=0.01)


def test_a_point_moves_with_its_part(box):
    mujoco = drawing()
    before = box.places()
    box.data.joint("hinge").qpos[0] = -np.pi / 2  # the front of the lid goes up
    mujoco.mj_kinematics(box.model, box.data)
    after = box.places()
    assert after[:5] == pytest.approx(before[:5])
    assert after[5] - box.data.body("flap").xpos == pytest.approx([-0.05, 0, 0.2], abs=0.01)


def test_joints_are_drawn_within_their_limits(box):
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(50):
        move_joints(box, rng)
        drawn.append(float(box.data.joint("hinge").qpos[0]))
    assert -np.pi / 2 <= min(drawn) < -1.2
    assert -0.3 < max(drawn) <= 0


def test_a_joint_that_follows_takes_its_share(folder):
    drawing()
    (folder / "two.xml").write_text(
        MODEL.replace('<body name="flap" pos="0 0 0.1">', '<body name="flap" pos="0 0 0.1"><body name="more">'
        '<joint name="second" axis="0 1 0" range="-90 90" limited="true"/><geom size="0.01" group="1"/></body>')
    )  # fmt: skip
    two = assemble(replace(KIND, file="two.xml", follow={"second": ["hinge", -0.5]}), "two", folder)
    move_joints(two, np.random.default_rng(1))
    assert two.data.joint("second").qpos[0] == pytest.approx(-0.5 * two.data.joint("hinge").qpos[0])
    assert two.data.joint("hinge").qpos[0] != 0


def test_a_turned_model_has_its_front_elsewhere(folder):
    drawing()
    turned = assemble(replace(KIND, turn=(0.0, 0.0, 90.0)), "box", folder)
    spread = np.ptp(turned.cloud(), axis=0)
    assert spread[:2] == pytest.approx([0.6, 0.4])
    places = turned.places()
    assert places[0][0] == places[:, 0].max() and places[0][1] == pytest.approx(places[:4, 1].max())


def test_a_second_model_is_fixed_to_a_body(folder):
    drawing()
    (folder / "knob.xml").write_text(
        '<mujoco><worldbody><body name="knob"><geom name="ball" size="0.05" group="1"/></body></worldbody></mujoco>'
    )
    kind = replace(
        KIND, attached=Attached("knob.xml", "flap"), points=(ModelPoint("knob", "a ball", body="grip_knob"),)
    )
    both = assemble(kind, "box", folder)
    assert both.places()[0] == pytest.approx(both.data.body("flap").xpos)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"points": (ModelPoint("a", "b", part=("lit",), at=(1.0, 1.0, 1.0)),)}, "no drawn part 'lit'"),
        ({"points": (ModelPoint("a", "b", joint="hing"),)}, "no joint 'hing'"),
        ({"groups": (2,)}, "no geom in the groups"),
        ({"file": "none.xml"}, "cannot be built"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(folder, change, sentence):
    drawing()
    with pytest.raises(InputError, match=sentence):
        assemble(replace(KIND, **change), "box", folder)


def drawn(box, seed, size=96):
    renderer = Renderer(box.model, size * OVERSAMPLE, frozenset({DRAWN}))
    made = render(box, renderer, size, np.random.default_rng(seed))
    renderer.close()
    return made


@pytest.mark.parametrize("seed", range(4))
def test_the_box_holds_the_seen_points_and_some_are_hidden(box, seed):
    made = drawn(box, seed)
    x, y, w, h = made.box
    seen = made.points[made.visibility == 2]
    assert len(seen) >= 3
    assert (seen >= np.array([x, y]) - 2).all() and (seen <= np.array([x + w, y + h]) + 2).all()
    assert 0 < made.area <= w * h


def test_a_corner_behind_the_box_is_hidden(folder):
    drawing()
    front = replace(KIND, azimuth=(0.0, 0.0), elevation=(20.0, 20.0), motion=0.0)
    made = drawn(assemble(front, "box", folder), 1)
    corners = dict(zip([point.name for point in POINTS], made.visibility, strict=True))
    assert corners["left bottom back corner"] == corners["right bottom back corner"] == 1
    assert corners["left top front corner"] == 2


def test_the_floor_lies_under_the_object(folder):
    mujoco = drawing()
    box = assemble(replace(KIND, floor=True), "box", folder)
    floor = box.model.geom("ak_floor").id
    heights = []
    for seed in range(12):
        drawn(box, seed)
        if box.model.geom_group[floor] == DRAWN:
            mujoco.mj_forward(box.model, box.data)
            heights.append(float(box.data.geom_xpos[floor][2] - box.cloud()[:, 2].min()))
    assert heights and heights == pytest.approx([0] * len(heights), abs=1e-3)


def test_left_is_the_objects_own(folder):
    drawing()
    front = replace(KIND, azimuth=(0.0, 0.0), elevation=(10.0, 10.0))
    made = drawn(assemble(front, "box", folder), 2)
    assert made.points[0][0] > made.points[1][0]  # its own left is the picture's right


def test_the_same_state_gives_the_same_picture(box):
    first, second = drawn(box, 7), drawn(box, 7)
    assert first.image.tobytes() == second.image.tobytes()
    assert np.array_equal(first.points, second.points)
    assert first.image.tobytes() != drawn(box, 8).image.tobytes()


@pytest.fixture
def toy_archive(folder, monkeypatch):
    """Two kinds whose archive is a folder of the test."""
    drawing()
    root = folder.parents[1]
    kinds = {"first": KIND, "second": replace(KIND, noun="other box")}
    monkeypatch.setattr(rendered, "known_kinds", lambda: kinds)
    monkeypatch.setattr(rendered, "known_kind", kinds.__getitem__)
    monkeypatch.setattr(rendered, "fetch_models", lambda name, report: root)
    monkeypatch.setattr(rendered, "licence_text", lambda name, folder: "Take it.")


def test_a_data_set_is_written_with_its_licences(tmp_path, toy_archive):
    path = rendered.write_rendered(tmp_path / "out", 3, seed=4, size=96)
    data = json.loads(path.read_text())
    assert [entry["name"] for entry in data["categories"]] == ["lidded box", "other box"]
    assert data["categories"][0]["pairs"] == [[0, 1], [2, 3]]
    assert data["categories"][0]["descriptions"] == [point.description for point in POINTS]
    assert [image["group"] for image in data["images"]] == ["first", "first", "second"]
    licences = (tmp_path / "out" / "LICENCES.md").read_text()
    assert "metaworld==" in licences and "MIT" in licences and "Take it." in licences
    dataset = read(f"coco:{path}", tmp_path / "out" / "images")
    assert len(dataset.objects) == 3 and not dataset.faults
    assert dataset.objects[0].category.keypoints == KIND.category.keypoints
    labelled = dataset.objects[0].visibility > 0
    assert np.isfinite(dataset.objects[0].points[labelled]).all()


def test_the_same_seed_gives_the_same_bytes(tmp_path, toy_archive):
    for name in ("a", "b"):
        rendered.write_rendered(tmp_path / name, 2, seed=9, size=64)
    files = [sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("a", "b")]
    assert len(files[0]) == len(files[1]) == 4
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_kind_looks_the_same_whichever_others_are_drawn(tmp_path, toy_archive):
    rendered.write_rendered(tmp_path / "all", 2, seed=9, size=64)
    rendered.write_rendered(tmp_path / "one", 1, seed=9, size=64, kinds=["second"])
    name = "images/second_0000.png"
    assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"count": 0}, "1 or more pictures"), ({"size": 8}, "must be 64 to"), ({"kinds": ["hamer"]}, "There is no kind")],
)
def test_a_request_that_cannot_be_carried_out_is_refused(tmp_path, change, sentence):
    with pytest.raises(InputError, match=sentence):
        rendered.write_rendered(tmp_path / "out", **{"count": 1, **change})
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is no empty folder"):
        rendered.write_rendered(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_pictures_are_spread_over_the_kinds():
    assert rendered._plan(["a", "b"], 3) == [("a", 0), ("a", 1), ("b", 0)]
    assert rendered._plan(["a", "b", "c", "d"], 2) == [("a", 0), ("c", 0)]


def test_the_nearest_place_of_a_surface_and_its_farthest_end():
    points = surfaces.box(np.array([1.0, 2.0, 0.5])) + 10
    assert points[surfaces.nearest(points, np.array([1, 1, 1]))] == pytest.approx([11, 12, 10.5])
    assert points[surfaces.nearest(points, np.array([1, 0, 0]))] == pytest.approx([11, 10, 10])
    assert surfaces.farthest(points, np.array([0, -1, 0])) == pytest.approx([10, 8, 10])


def test_points_on_a_mesh_lie_on_its_triangles():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]], dtype=float)
    points = surfaces.mesh(vertices, np.array([[0, 1, 2]]))
    assert len(points) == 3 + surfaces.PER_MESH
    assert (points[:, 2] == 0).all() and (points[:, :2] >= 0).all() and (points[:, :2].sum(axis=1) <= 1 + 1e-9).all()


def test_a_camera_of_the_model_sees_what_the_projection_says(box):
    """The depth buffer's silhouette agrees with the projected surface: MuJoCo's camera is the plain one."""
    drawing()
    from anykeypoint.data.render.camera import axes_towards, framed
    from anykeypoint.data.render.picture import _place_camera

    mujoco = mujoco_module()
    cloud = box.cloud()
    camera = framed(cloud, axes_towards(0.4, 0.5, 0.2), 0.6, 200, 0.8, (5, 3))
    assert isinstance(camera, Camera)
    _place_camera(box.model, camera)
    mujoco.mj_forward(box.model, box.data)
    renderer = Renderer(box.model, 200, frozenset({DRAWN}))
    _, depth, geoms = renderer.draw(box.data)
    renderer.close()
    pixels, deep = camera.project(cloud)
    rows, columns = np.nonzero(geoms >= 0)
    assert [columns.min(), rows.min()] == pytest.approx(pixels.min(axis=0), abs=1.5)
    assert [columns.max() + 1, rows.max() + 1] == pytest.approx(pixels.max(axis=0), abs=1.5)
    assert depth[geoms >= 0].min() == pytest.approx(deep.min(), rel=0.02)
