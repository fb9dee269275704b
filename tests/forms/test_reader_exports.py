"""Exports as the tools write them: a project of sleap-io's own, and files after CVAT's and Label Studio's documents."""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.registry import load, read

NAN = np.nan


def picture(path, size=(1600, 1200)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


# --- SLEAP ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def sio():
    return pytest.importorskip("sleap_io", reason="SLEAP projects need the package sleap-io (the extra 'sleap')")


def test_a_project_that_sleap_io_writes_is_read_back(sio, tmp_path):
    """Two videos, one a film and one a list of pictures; two flies on a frame, a prediction, a point not labelled."""
    names = [tmp_path / "pictures" / "day" / f"{i}.png" for i in range(2)]
    for path in (*names, tmp_path / "pictures" / "film" / "0012.png"):
        picture(path, (64, 48))
    edges = [("head", "thorax"), ("thorax", "tail")]
    skeleton = sio.Skeleton(["head", "thorax", "tail"], edges=edges, symmetries=[("tail", "head")], name="fly")
    film, listed = sio.Video(str(tmp_path / "film.mp4"), open_backend=False), sio.Video([str(path) for path in names])
    first = sio.Instance.from_numpy(np.array([[1.5, 2.25], [3, 4], [NAN, NAN]]), skeleton=skeleton)
    second = sio.Instance.from_numpy(np.array([[5.0, 6], [7, 8], [9, 10]]), skeleton=skeleton)
    guess = sio.PredictedInstance.from_numpy(np.array([[5.0, 6], [7, 8], [9, 10]]), skeleton=skeleton)
    frames = [
        sio.LabeledFrame(video=film, frame_idx=12, instances=[first, second, guess]),
        sio.LabeledFrame(video=listed, frame_idx=1, instances=[second]),
    ]
    project = sio.Labels(frames, videos=[film, listed], skeletons=[skeleton])
    sio.save_slp(project, str(tmp_path / "flies.slp"), verbose=False)
    found = read(f"sleap/fruit fly:{tmp_path / 'flies.slp'}", tmp_path / "pictures")
    assert found.skipped == {"predicted instances": 1}
    assert [item.image.relative_to(tmp_path / "pictures").as_posix() for item in found.objects] == [
        "film/0012.png",
        "film/0012.png",
        "day/1.png",
    ]
    assert [item.group for item in found.objects] == ["film", "film", "day"]
    kind = found.objects[0].category
    assert (kind.name, kind.names, kind.skeleton) == ("fruit fly", ["head", "thorax", "tail"], ((0, 1), (1, 2)))
    assert kind.pairs == ((0, 2),)
    np.testing.assert_array_equal(found.objects[0].points, [[1.5, 2.25], [3, 4], [NAN, NAN]])
    np.testing.assert_array_equal(found.objects[2].points, [[5, 6], [7, 8], [9, 10]])


def test_a_file_that_sleap_io_cannot_read_is_refused(sio, tmp_path):
    (tmp_path / "flies.slp").write_bytes(b"no project")
    with pytest.raises(InputError, match=r"flies\.slp cannot be read as a SLEAP project"):
        read(f"sleap:{tmp_path / 'flies.slp'}", tmp_path)


# --- CVAT ----------------------------------------------------------------------------------------------------------

LABELS = """<labels>
  <label><name>car</name><type>any</type><attributes></attributes></label>
  <label><name>plate</name><attributes></attributes></label>
  <label><name>cat</name><type>skeleton</type><attributes></attributes>
    <svg>&lt;line x1="36.8" y1="47.7" x2="86.8" y2="10.7" stroke="black" data-type="edge" data-node-from="2"
      stroke-width="0.5" data-node-to="3"&gt;&lt;/line&gt;&lt;line x1="25.1" y1="22.6" x2="36.8" y2="47.7"
      stroke="black" data-type="edge" data-node-from="1" data-node-to="2"&gt;&lt;/line&gt;&lt;circle r="1.5"
      cx="25.1" cy="22.6" data-type="element node" data-element-id="1" data-node-id="1"
      data-label-name="left ear"&gt;&lt;/circle&gt;&lt;circle r="1.5" cx="36.8" cy="47.7" data-type="element node"
      data-element-id="2" data-node-id="2" data-label-name="nose"&gt;&lt;/circle&gt;&lt;circle r="1.5" cx="86.8"
      data-type="element node" data-element-id="3" data-node-id="3" data-label-name="right ear"&gt;&lt;/circle&gt;</svg>
  </label>
  <label><name>left ear</name><type>points</type><attributes></attributes><parent>cat</parent></label>
  <label><name>nose</name><type>points</type><attributes></attributes><parent>cat</parent></label>
  <label><name>right ear</name><type>points</type><attributes></attributes><parent>cat</parent></label>
</labels>"""
IMAGE = """<image id="0" name="in/filename000.jpg"{more} width="1600" height="1200">
    <box label="plate" source="manual" occluded="0" xtl="797.33" ytl="870.92" xbr="965.52" ybr="928.94" z_order="4">
    </box>
    <polygon label="car" source="manual" occluded="0" points="561.30,916.23;561.30,842.77;554.72,761.63" z_order="1">
    </polygon>
    <points label="wheel" source="manual" occluded="0" points="574.90,939.48;1170.16,907.90;1130.69,445.26" z_order="5">
    </points>
    <tag label="good_frame" source="manual">
    </tag>
    <skeleton label="cat" source="manual" z_order="0">
      <points label="nose" source="manual" outside="0" occluded="0" points="68.02,162.34">
        <attribute name="wet">true</attribute>
      </points>
      <points label="left ear" source="manual" outside="0" occluded="1" points="54.47,94.81">
      </points>
      <points label="right ear" source="manual" outside="1" occluded="0" points="125.87,62.85">
      </points>
      <attribute name="age">3</attribute>
    </skeleton>
    <skeleton label="cat" source="manual" z_order="0" group_id="7">
      <points label="nose" source="manual" outside="0" occluded="0" points="668.02,162.34"></points>
    </skeleton>
    <box label="cat" source="manual" occluded="0" xtl="600" ytl="100" xbr="700.5" ybr="200" z_order="0" group_id="7">
    </box>
    <mask label="car" source="manual" occluded="0" rle="3, 5, 7" left="707" top="888" width="13" height="15"
      z_order="0">
    </mask>
  </image>"""
META = """<id>4</id><name>cats</name><size>1</size><mode>annotation</mode><overlap>0</overlap><bugtracker></bugtracker>
<created>2018-09-25 11:34:24.617558+03:00</created><updated>2018-09-25 11:38:27.301183+03:00</updated>"""


@pytest.mark.parametrize("whole", ["task", "project"])
def test_an_export_as_cvat_documents_it_is_read(tmp_path, whole):
    """Version 1.1 for images; a project's has its labels under <project> and its pictures in a folder per subset."""
    meta = f"<{whole}>{META}{LABELS}</{whole}>" + "<dumped>2018-09-25 11:38:28.799808+03:00</dumped>"
    more = ' subset="train" task_id="4"' if whole == "project" else ""
    text = f"<annotations><version>1.1</version><meta>{meta}</meta>{IMAGE.format(more=more)}</annotations>"
    (tmp_path / "annotations.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text}')
    place = tmp_path / "images" / ("train" if whole == "project" else "") / "in" / "filename000.jpg"
    picture(place)
    found = read(f"cvat:{tmp_path / 'annotations.xml'}", tmp_path)
    first, second = found.objects
    assert first.image == place and first.category.name == "cat"
    assert first.category.names == ["left ear", "nose", "right ear"]
    assert first.category.skeleton == ((1, 2), (0, 1)) and first.category.pairs == ((0, 2),)
    np.testing.assert_array_equal(first.points, [[54.47, 94.81], [68.02, 162.34], [NAN, NAN]])
    assert first.visibility.tolist() == [1, 2, 0] and second.visibility.tolist() == [0, 2, 0]
    assert second.box == (600, 100, 100.5, 100)
    assert found.skipped == {
        "polygon shapes": 1,
        "tag shapes": 1,
        "mask shapes": 1,
        "shapes of several points, which have no names": 1,
        "boxes without points": 1,
    }


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ("{point}{box}{box}", "image 0 has 2 boxes and 1 objects without a group_id"),
        ("{skeleton}{skeleton}{grouped}", "image 0 has 1 boxes and 2 objects with group_id 7"),
        ("{skeleton}{box}{box}", None),
    ],
)
def test_a_box_must_have_one_owner_and_boxes_without_points_may_be_many(tmp_path, shapes, message):
    box = '<box label="cat" xtl="1" ytl="2" xbr="9" ybr="9"{}/>'
    text = shapes.format(
        point='<points label="nose" points="1,2"/>',
        box=box.format(""),
        grouped=box.format(' group_id="7"'),
        skeleton='<skeleton label="cat" group_id="7"><points label="nose" points="3,4"/></skeleton>',
    )
    file = tmp_path / "a.xml"
    file.write_text(f'<annotations><image id="0" name="a.png" width="9" height="9">{text}</image></annotations>')
    picture(tmp_path / "a.png", (9, 9))
    if message is None:
        assert read(f"cvat:{file}", tmp_path).skipped == {"boxes without points": 2}
    else:
        with pytest.raises(InputError, match=message):
            read(f"cvat:{file}", tmp_path)


# --- Label Studio --------------------------------------------------------------------------------------------------

ORIGIN = {"original_width": 1600, "original_height": 1200, "image_rotation": 0, "to_name": "img-1", "origin": "manual"}


def region(identity, kind, value, **more):
    return {"id": identity, "type": kind, "from_name": kind, **ORIGIN, "value": value, **more}


def task(*results, **more):
    """A task after the document of the task format; each result is an annotation."""
    done = {"was_cancelled": False, "ground_truth": False, "lead_time": 4.288, "result_count": 0, "task": 1}
    annotations = [{"id": 1001 + i, "completed_by": 10, **done, "result": list(r)} for i, r in enumerate(results)]
    whole = {"id": 1, "created_at": "2021-03-09T21:52:49.513742Z", "project": 83, "file_upload": "0a1b2c3d-1.jpg"}
    guess = {"model_version": "model 1", "result": [region("p", "keypointlabels", {"x": 1, "y": 1})]}
    data = {"img": "/data/upload/83/0a1b2c3d-1.jpg"}
    return {**whole, "data": data, "annotations": annotations, "drafts": [], "predictions": [guess], **more}


FACE = [
    region(
        "a",
        "rectanglelabels",
        {"x": 50, "y": 5, "width": 12.5, "height": 10, "rotation": 0, "rectanglelabels": ["cat"]},
    ),
    region("b", "keypointlabels", {"x": 53.1, "y": 8.2, "width": 2, "keypointlabels": ["Face"]}),
    region("c", "keypointlabels", {"x": 55.0, "y": 9.0, "width": 2, "keypointlabels": ["Nose"]}, parentID="a"),
    {"type": "relation", "from_id": "b", "to_id": "a", "direction": "right", "labels": ["similar"]},
]


def exported(tmp_path, *tasks):
    picture(tmp_path / "1.jpg")
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    return read(f"labelstudio:{tmp_path / 'export.json'}", tmp_path)


def test_an_export_as_label_studio_documents_it_is_read(tmp_path):
    found = exported(tmp_path, task(FACE, FACE))
    (item,) = found.objects
    assert item.image == tmp_path / "1.jpg" and item.category.names == ["Face", "Nose"]
    assert item.category.name == "cat" and item.box == (800, 60, 200, 120)
    np.testing.assert_allclose(item.points, [[849.6, 98.4], [880, 108]])
    assert found.skipped == {"annotations by further annotators": 1}


def test_labels_that_come_as_results_of_their_own_belong_to_the_region_of_their_id(tmp_path):
    """<Rectangle> and <KeyPoint> with <Labels> give two results for one region, and <TextArea perRegion> a third."""
    box = {"x": 50, "y": 5, "width": 12.5, "height": 10, "rotation": 0}
    results = [
        region("a", "rectangle", box),
        region("a", "labels", {**box, "labels": ["dog"]}),
        region("b", "keypoint", {"x": 53, "y": 8, "width": 2}),
        region("b", "labels", {"x": 53, "y": 8, "width": 2, "labels": ["Nose"]}),
        region("b", "textarea", {"x": 53, "y": 8, "width": 2, "text": ["wet"]}),
    ]
    found = exported(tmp_path, task(results))
    (item,) = found.objects
    assert item.category.name == "dog" and item.category.names == ["Nose"] and found.skipped == {"textarea regions": 1}
    np.testing.assert_allclose(item.points, [[848, 96]])
    with pytest.raises(InputError, match="region 'b', key 'keypointlabels'"):
        exported(tmp_path, task([results[2]]))


def test_a_region_of_a_turned_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match="region 'b' was drawn on the picture turned by 90"):
        exported(tmp_path, task([FACE[1] | {"image_rotation": 90}]))


@pytest.mark.parametrize("states", [(3200, 2400), (1600, 2400)])
def test_percentages_are_of_the_picture_and_a_region_that_states_another_size_is_told(tmp_path, states):
    other = dict(zip(("original_width", "original_height"), states, strict=True))
    odd = {**FACE[1], "value": {**FACE[1]["value"], "x": 25, "y": 75}, "parentID": "a", **other}
    found = exported(tmp_path, task([FACE[0], FACE[2], odd]))
    document = load(f"labelstudio:{tmp_path / 'export.json'}", tmp_path).document()
    sizes = [fault.text for fault in examine(document, tmp_path).faults if fault.kind == "picture's size"]
    np.testing.assert_allclose(found.objects[0].points, [[880, 108], [400, 900]])
    assert "1 regions state another size" in found.notes[0]
    assert sizes == [f"1.jpg is 1600 x 1200 pixels, but the labels say {states[0]} x {states[1]}"]


def test_a_region_that_was_drawn_on_the_lying_picture_keeps_its_places_and_check_tells(tmp_path):
    lying = {**FACE[1], "original_width": 1200, "original_height": 1600}
    found = exported(tmp_path, task([lying]))
    np.testing.assert_allclose(found.objects[0].points, [[637.2, 131.2]])
    document = load(f"labelstudio:{tmp_path / 'export.json'}", tmp_path).document()
    assert "lying on its side" in examine(document, tmp_path).faults[0].text
