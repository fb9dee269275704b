"""Our files in the tools that people use, and theirs in ours. Each tool is driven where it is installed.

None of them belongs to the packages that the tests need, so most tests are skipped: `pip install label-studio-sdk
datumaro fiftyone supervision ultralytics dlib sleap-io movement pandas tables`, best each in an environment of its own.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anykeypoint.forms.dlc_predictions import write_predictions
from anykeypoint.forms.label_ids import label_ids
from anykeypoint.forms.labelstudio_tasks import setup_text
from anykeypoint.forms.poses import write_coco
from anykeypoint.forms.registry import convert, read
from anykeypoint.forms.renumber import renumber
from anykeypoint.forms.writing import save
from anykeypoint.pose import Pose

NAN = float("nan")
NAMES = ["left tip", "middle", "right tip", "loose button"]  # the last is in no edge
EDGES = ((0, 1), (1, 2))
PLACES = {  # picture -> points of each object with their visibility, and its box
    "a.png": [([[20.5, 30.25, 2], [50, 40, 1], [80, 31, 2], [45, 55, 2]], [10, 20, 80, 50])],
    "sub/b c.png": [
        ([[110.125, 40, 2], [0, 0, 0], [150, 45, 2], [130, 70, 2]], [100, 30, 60, 50]),
        ([[15, 15, 2], [25, 20, 2], [35, 16, 2], [0, 0, 0]], [5, 5, 40, 25]),
    ],
}
SIZE = (200, 120)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "photos"
    for name in PLACES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, "gray").save(folder / name)
    return folder


@pytest.fixture
def labels(images, tmp_path):
    """The labels as a data set, with the category's id 106, as it was read from a file; the file is labels.json."""
    pictures = [{"id": 7 + i, "file_name": name, "width": 200, "height": 120} for i, name in enumerate(PLACES)]
    entries = []
    for picture in pictures:
        for points, box in PLACES[picture["file_name"]]:
            entry = {"id": 50 + len(entries), "image_id": picture["id"], "category_id": 106, "iscrowd": 0, "bbox": box}
            entry["keypoints"] = [value for row in points for value in row]
            entries.append({**entry, "num_keypoints": sum(row[2] > 0 for row in points), "area": box[2] * box[3]})
    kind = {"id": 106, "name": "gadget", "keypoints": NAMES, "skeleton": [[a + 1, b + 1] for a, b in EDGES]}
    document = {"info": {"skeleton_base": 1}, "images": pictures, "annotations": entries, "categories": [kind]}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    return read(f"coco:{tmp_path / 'labels.json'}", images)


@pytest.fixture
def poses(labels, images):
    """Answers that are right, with confidences, as `predict` has them."""
    made = []
    for item in labels.objects:
        present = item.visibility > 0
        sure = np.where(present, 0.5 + 0.1 * np.arange(len(NAMES)), NAN)
        name = item.image.relative_to(images).as_posix()
        made.append(
            Pose(
                names=NAMES, xy=item.points, confidence=sure, present=present, image_size=SIZE, box=item.box,
                category="gadget", skeleton=EDGES, image=name,
            )
        )  # fmt: skip
    return made


def same(ours, theirs, atol, hidden=True):
    """The objects have the same points, in the same pictures, and where the tool knows it the same visibility."""
    assert len(ours) == len(theirs)
    for one, other in zip(sorted(ours, key=_place), sorted(theirs, key=_place), strict=True):
        assert one.image.name == other.image.name and other.category.names == NAMES
        np.testing.assert_allclose(one.points, other.points, rtol=0, atol=atol)
        if hidden:
            assert one.visibility.tolist() == other.visibility.tolist()


def _place(item):
    return item.image.name, tuple(np.nan_to_num(item.points).ravel().tolist())


# --- Label Studio --------------------------------------------------------------------------------------------------


def test_label_studio_finds_no_fault_in_tasks_predictions_and_setup(labels, poses, images, tmp_path):
    interface = pytest.importorskip("label_studio_sdk.label_interface", reason="label-studio-sdk is not installed")
    setup = interface.LabelInterface(setup_text(labels))
    setup.validate()
    assert setup.is_valid
    for task in json.loads(convert(labels, images, "labelstudio")[0]):
        assert setup.validate_annotation(task["annotations"][0]) is True
    write_coco(poses, tmp_path / "poses.json")
    answers = json.loads(convert(read(f"coco:{tmp_path / 'poses.json'}", images), images, "labelstudio")[0])
    for task in answers:
        assert task["annotations"] == []
        assert setup.validate_prediction(task["predictions"][0], return_errors=True) == []


def test_what_label_studio_would_export_comes_back(labels, images, tmp_path):
    """Its converter reads an export as its own; our reader then reads what was exported."""
    converter = pytest.importorskip("label_studio_sdk.converter", reason="label-studio-sdk is not installed")
    tasks = json.loads(convert(labels, images, "labelstudio", "/data/local-files/?d=photos/")[0])
    for task in tasks:
        task["annotations"][0] |= {"completed_by": 1, "created_at": "2026-01-01T00:00:00Z"}
        task |= {"predictions": [1], "created_at": "2026-01-01T00:00:00Z"}
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    made = converter.Converter(setup_text(labels), project_dir=None, download_resources=False)
    made.convert_to_json(str(tmp_path / "export.json"), str(tmp_path / "out"), is_dir=False)
    (result,) = (tmp_path / "out").glob("*.json")
    exported = json.loads(result.read_text())
    assert len(exported) == len(tasks)
    same(labels.objects, read(f"labelstudio:{tmp_path / 'export.json'}", images).objects, 1e-9)


# --- pycocotools ---------------------------------------------------------------------------------------------------


def test_pycocotools_joins_predictions_with_labels_by_their_ids(labels, poses, images, tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    paths = {images / name: name for name in PLACES}
    ids = label_ids(tmp_path / "labels.json", list(paths), labels.categories[106])
    named = [replace(one, image=ids.pictures[images / one.image]) for one in poses]
    write_coco(named, tmp_path / "poses.json", ids.image_ids, ids.category_id)
    truth = coco.COCO(str(tmp_path / "labels.json"))
    found = truth.loadRes(json.loads((tmp_path / "poses.json").read_text())["annotations"])
    measured = cocoeval.COCOeval(truth, found, "keypoints")
    measured.params.kpt_oks_sigmas = np.full(len(NAMES), 0.05)
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    assert measured.stats[0] == pytest.approx(1) and measured.stats[5] == pytest.approx(1)


# --- Datumaro (CVAT's importer) ------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["labels", "poses"])
def test_datumaro_reads_our_coco_with_every_point(labels, poses, images, tmp_path, what):
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed")
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    file = folder / "annotations" / "person_keypoints_all.json"
    if what == "labels":
        file.write_text(convert(labels, images, "coco")[0])
    else:
        write_coco(poses, file)
    (folder / "images").symlink_to(images, target_is_directory=True)
    found = datumaro.Dataset.import_from(str(folder), "coco_person_keypoints")
    points = {}
    for item in found:
        kinds = [one for one in item.annotations if one.type == datumaro.AnnotationType.points]
        points[item.id] = [np.array(one.points).reshape(-1, 2) for one in kinds]
    assert {Path(key).name for key in points} == {"a", "b c"}
    ours = sorted(np.nan_to_num(item.points).ravel().tolist() for item in labels.objects)
    theirs = sorted(one.ravel().tolist() for listed in points.values() for one in listed)
    np.testing.assert_allclose(theirs, ours, atol=1e-2)


# --- FiftyOne ------------------------------------------------------------------------------------------------------


def test_fiftyones_importer_reads_points_and_the_recipe_fills_in_the_rest(labels, poses, images, tmp_path):
    """The recipe of docs/tools.md, without FiftyOne's database."""
    pytest.importorskip("fiftyone", reason="fiftyone is not installed")
    from fiftyone.core.odm import KeypointSkeleton
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    write_coco(poses, tmp_path / "poses.json")
    importer = COCODetectionDatasetImporter(
        data_path=str(images), labels_path=str(tmp_path / "poses.json"), label_types=["detections", "keypoints"]
    )
    importer.setup()
    theirs = []
    for path, _, found in importer:
        for pose in found["keypoints"].keypoints:
            pose.confidence = [NAN if one is None else one for one in pose["keypoint_confidence"]]
            theirs.append((Path(path).name, np.array(pose.points) * SIZE, np.array(pose.confidence, dtype=float)))
        assert len(found["detections"].detections) == len(found["keypoints"].keypoints)
    for ours, (name, points, sure) in zip(poses, sorted(theirs, key=lambda one: one[0]), strict=True):
        assert Path(ours.image).name == name
        np.testing.assert_allclose(points, ours.xy, atol=1e-9)
        np.testing.assert_allclose(sure, ours.confidence)
    kind = json.loads((tmp_path / "poses.json").read_text())["categories"][0]
    edges = [[a - 1, b - 1] for a, b in kind["skeleton"]]
    assert KeypointSkeleton(labels=kind["keypoints"], edges=edges).edges == [list(edge) for edge in EDGES]


# --- supervision ---------------------------------------------------------------------------------------------------


def test_supervision_reads_our_boxes_and_draws_our_edges(labels, poses, images, tmp_path):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    save(convert(renumber(labels)[0], images, "coco")[0], tmp_path / "coco.json")
    found = sv.DetectionDataset.from_coco(str(images), str(tmp_path / "coco.json"))
    boxes = sorted(box.tolist() for _, _, one in found for box in one.xyxy)
    ours = sorted([x, y, x + w, y + h] for x, y, w, h in (item.box for item in labels.objects))
    np.testing.assert_allclose(boxes, ours, atol=1e-3)
    (kind,) = json.loads((tmp_path / "coco.json").read_text())["categories"]
    blank = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    points = sv.KeyPoints(xy=np.nan_to_num(poses[0].xy)[None].astype(np.float32))
    edges = [tuple(edge) for edge in kind["skeleton"]]
    drawn = sv.EdgeAnnotator(color=sv.Color.WHITE, thickness=1, edges=edges).annotate(blank.copy(), points)
    for a, b in EDGES:
        x, y = ((poses[0].xy[a] + poses[0].xy[b]) / 2).round().astype(int)
        assert drawn[y - 1 : y + 2, x - 1 : x + 2].any(), "a line runs between the points that the edge names"
    x, y = poses[0].xy[3].round().astype(int)
    assert not drawn[y - 1 : y + 2, x - 1 : x + 2].any(), "and none to the point in no edge"


# --- Ultralytics ---------------------------------------------------------------------------------------------------


def test_ultralytics_converts_our_coco_once_its_categories_count_from_one(labels, images, tmp_path):
    converter = pytest.importorskip("ultralytics.data.converter", reason="ultralytics is not installed")
    (tmp_path / "in").mkdir()
    save(convert(renumber(labels)[0], images, "coco")[0], tmp_path / "in" / "labels.json")
    converter.convert_coco(str(tmp_path / "in"), str(tmp_path / "out"), use_keypoints=True, cls91to80=False)
    rows = [line.split() for path in (tmp_path / "out").rglob("*.txt") for line in path.read_text().splitlines()]
    rows = [row for row in rows if len(row) > 5]
    assert {row[0] for row in rows} == {"0"}
    theirs = sorted((np.array(row[5:], dtype=float).reshape(-1, 3) * [*SIZE, 1]).ravel().tolist() for row in rows)
    ours = []
    for item in labels.objects:
        table = np.column_stack([np.nan_to_num(item.points), item.visibility])
        ours.append(table.ravel().tolist())
    np.testing.assert_allclose(theirs, sorted(ours), atol=1e-3)


def test_ultralytics_finds_no_fault_in_our_yolo_files(labels, images, tmp_path):
    utils = pytest.importorskip("ultralytics.data.utils", reason="ultralytics is not installed")
    save(convert(labels, images, "yolo")[0], tmp_path / "yolo")
    (settings,) = (tmp_path / "yolo").glob("*.yaml")
    data = utils.check_det_dataset(str(settings), autodownload=False)
    assert data["kpt_shape"] == [len(NAMES), 3] and data["names"] == {0: "gadget"}
    count = 0
    for picture in sorted(path for path in (tmp_path / "yolo").rglob("*") if path.suffix == ".png"):
        (label,) = utils.img2label_paths([str(picture)])
        found = utils.verify_image_label((picture, label, "", True, 1, len(NAMES), 3, False))
        assert found[0] is not None and not found[-1], found[-1]
        count += len(found[1])
    assert count == len(labels.objects)


# --- SLEAP and DeepLabCut ------------------------------------------------------------------------------------------


def test_dlib_trains_on_our_imglab_files(labels, images, tmp_path):
    """dlib refuses numbers that are not whole, and passes over the exact ones beside them."""
    dlib = pytest.importorskip("dlib")
    whole = replace(labels, objects=[item for item in labels.objects if (item.visibility > 0).all()])
    (images / "x.xml").write_text(convert(whole, images, "imglab").content)
    options = dlib.shape_predictor_training_options()
    options.oversampling_amount, options.cascade_depth, options.num_trees_per_cascade_level = 2, 2, 5
    dlib.train_shape_predictor(str(images / "x.xml"), str(tmp_path / "model.dat"), options)
    assert dlib.test_shape_predictor(str(images / "x.xml"), str(tmp_path / "model.dat")) < 1


def test_sleap_io_reads_our_coco_and_its_project_comes_back(labels, images, tmp_path):
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    save(convert(labels, images, "coco")[0], tmp_path / "coco.json")
    project = sleap_io.load_coco(str(tmp_path / "coco.json"), dataset_root=str(images))
    sleap_io.save_slp(project, str(tmp_path / "project.slp"))
    again = read(f"sleap/gadget:{tmp_path / 'project.slp'}", images)
    same(labels.objects, again.objects, 1e-6, hidden=False)
    assert again.objects[0].category.skeleton == EDGES


def test_sleap_io_reads_our_table_of_deeplabcut(labels, tmp_path):
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    folder = tmp_path / "labeled-data" / "film"
    folder.mkdir(parents=True)
    first = labels.objects[0]
    Image.new("RGB", SIZE).save(folder / "img1.png")
    item = replace(first, image=folder / "img1.png")
    save(convert(replace(labels, objects=[item], empty=()), tmp_path, "dlc")[0], folder / "CollectedData_me.csv")
    found = sleap_io.load_dlc(str(folder / "CollectedData_me.csv"))
    (frame,) = found.labeled_frames
    (animal,) = frame.instances  # sleap-io puts the names into another order
    theirs = dict(zip(animal.skeleton.node_names, animal.numpy()[:, :2].tolist(), strict=True))
    assert theirs == dict(zip(NAMES, first.points.tolist(), strict=True))


def test_movement_reads_predictions_as_deeplabcuts(tmp_path):
    load_poses = pytest.importorskip("movement.io.load_poses", reason="movement is not installed")
    places = np.array([[1.5, 2], [3, 4], [NAN, NAN], [7, 8]])
    fields = {"names": NAMES, "confidence": [0.9, 0.4, NAN, 0.3], "present": [True, True, False, True]}
    pose = Pose(xy=places, image_size=SIZE, image="b.png", **fields)
    other = Pose(xy=places + 10, image_size=SIZE, image="b.png", **fields)
    write_predictions([pose, other], tmp_path / "run.dlc.csv", NAMES, ["a.png", "b.png"], "fast")
    found = load_poses.from_dlc_file(tmp_path / "run.dlc.csv", fps=30)
    assert found.keypoints.values.tolist() == NAMES and found.individuals.values.tolist() == ["object1", "object2"]
    assert np.isnan(found.position.values[0]).all() and found.sizes["time"] == 2
    np.testing.assert_array_equal(found.position.values[1].transpose(2, 1, 0), [places, places + 10])
    np.testing.assert_array_equal(found.confidence.values[1].T, [pose.confidence, other.confidence])


def test_pandas_reads_our_table_of_deeplabcut_and_its_hdf5_comes_back(labels, images, tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("tables", reason="PyTables is not installed")
    pytest.importorskip("h5py", reason="h5py is not installed")
    save(convert(labels, images, "dlc")[0], tmp_path / "t.csv")
    table = pandas.read_csv(tmp_path / "t.csv", header=[0, 1, 2, 3], index_col=0)
    table.to_hdf(tmp_path / "t.h5", key="df_with_missing", mode="w")
    csv, h5 = (read(f"dlc/gadget:{tmp_path / name}", images).objects for name in ("t.csv", "t.h5"))
    same(csv, h5, 0)
    same(labels.objects, h5, 1e-9, hidden=False)
