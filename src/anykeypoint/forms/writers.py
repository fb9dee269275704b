"""Labels written in other forms: COCO, Label Studio, a DeepLabCut table and the tidy table of `formats`.

Each writer says what its form has no room for, so that nothing is lost in silence.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..pose import Pose
from .dataset import Dataset, LabelledObject
from .labelstudio import HIDDEN
from .pictures import picture_size
from .poses import csv_text

Written = tuple[str, list[str]]  # the file's text, and a sentence for each thing that is lost


def convert(dataset: Dataset, images: Path, form: str) -> Written:
    """The objects of a data set in another form, in their order; pictures are named from the folder `images`.

    form: a key of `FORMS`. Raises InputError for another one, and for what the form cannot hold at all.
    """
    if form not in FORMS:
        raise InputError(f"Labels can be written as {', '.join(FORMS)}, but got {form!r}.")
    if not dataset.objects:
        raise InputError("There is no labelled object to write; check the data with `data check`.")
    return FORMS[form](dataset, images)


def coco(dataset: Dataset, images: Path) -> Written:
    """COCO's form: labels and ids as read, skeletons from 0, as MP-100 has them and `read_coco` tells."""
    names: dict[str, int] = {}
    pictures, annotations = [], []
    for item in dataset.objects:
        name = _name(item, images)
        if name not in names:
            names[name] = len(names) + 1
            size = picture_size(item.image)
            more = {} if size is None else {"width": size[0], "height": size[1]}
            group = {} if item.group is None else {"group": item.group}
            pictures.append({"id": names[name], "file_name": name, **more, **group})
        there = item.visibility > 0
        rows = np.column_stack([np.where(there[:, None], item.points, 0.0), item.visibility]).tolist()
        entry = {"id": item.id, "image_id": names[name], "category_id": item.category_id}
        entry["keypoints"] = [value for x, y, v in rows for value in (x, y, int(v))]
        more = {
            "num_keypoints": int(there.sum()),
            "bbox": list(item.box),
            "area": item.box[2] * item.box[3] if item.area is None else item.area,
            "iscrowd": 0,
        }
        outline = {} if item.segmentation is None else {"segmentation": item.segmentation}
        annotations.append({**entry, **more, **outline})
    categories = []
    for identity, category in dataset.categories.items():
        labels = [point.label or point.name for point in category.keypoints]
        entry = {"id": identity, "name": category.name, "supercategory": "", "keypoints": labels}
        categories.append({**entry, "skeleton": [list(edge) for edge in category.skeleton]})
    return _json({"images": pictures, "annotations": annotations, "categories": categories}), []


def label_studio(dataset: Dataset, images: Path) -> Written:
    """Label Studio's tasks, to be imported: a rectangle per object, its keypoints below it (`parentID`).

    Regions are named `bbox` and `kp` and belong to the picture `image`, as in a labelling setup with RectangleLabels,
    KeyPointLabels and Image of these names.
    """
    tasks: dict[str, dict] = {}
    for item in dataset.objects:
        name = _name(item, images)
        size = picture_size(item.image)
        if size is None:
            raise InputError(f"{item.image} is no readable picture, and Label Studio's places are shares of its size.")
        if name not in tasks:
            data = {"image": name, "keypoints": {}} | ({} if item.group is None else {"group": item.group})
            tasks[name] = {"id": len(tasks) + 1, "data": data, "annotations": [{"id": len(tasks) + 1, "result": []}]}
        category = item.category
        labels = [point.label or point.name for point in category.keypoints]
        tasks[name]["data"]["keypoints"][category.name] = labels
        scale = 100 / np.array([*size, *size], dtype=np.float64)
        common = {"to_name": "image", "original_width": size[0], "original_height": size[1], "image_rotation": 0}
        parent = f"object{item.id}"
        x, y, w, h = (np.array(item.box) * scale).tolist()
        value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [category.name]}
        regions = [{"id": parent, "type": "rectanglelabels", "from_name": "bbox", **common, "value": value}]
        for i in np.flatnonzero(item.visibility > 0):
            x, y = (item.points[i] * scale[:2]).tolist()
            value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [labels[i]]}
            region = {"id": f"{parent}_{i}", "type": "keypointlabels", "from_name": "kp", "parentID": parent, **common}
            note = {"meta": {"text": [HIDDEN]}} if item.visibility[i] == 1 else {}
            regions.append({**region, **note, "value": value})
        tasks[name]["annotations"][0]["result"] += regions
    lost = ["skeletons"] if any(item.category.skeleton for item in dataset.objects) else []
    return _json(list(tasks.values())), [*lost, *_outlines(dataset.objects), "the objects' ids"]


def deeplabcut(dataset: Dataset, images: Path) -> Written:
    """DeepLabCut's table of labelled data: of one animal where no picture has two, else of several."""
    kinds = {item.category_id for item in dataset.objects}
    if len(kinds) > 1:
        raise InputError(
            f"A DeepLabCut table is for one kind of object, but the data have {len(kinds)}; choose one, as in "
            "coco/NAME:FILE."
        )
    category = dataset.objects[0].category
    labels = [point.label or point.name for point in category.keypoints]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise InputError(f"A DeepLabCut table goes by names, but two points are called {min(twice)!r}; rename one.")
    by_image: dict[str, list[LabelledObject]] = {}
    for item in dataset.objects:
        by_image.setdefault(_name(item, images), []).append(item)
    most = max(map(len, by_image.values()))
    columns = [(f"object{number}", label, axis) for number in range(1, most + 1) for label in labels for axis in "xy"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scorer", *["anykeypoint"] * len(columns)])
    if most > 1:
        writer.writerow(["individuals", *(column[0] for column in columns)])
    writer.writerow(["bodyparts", *(column[1] for column in columns)])
    writer.writerow(["coords", *(column[2] for column in columns)])
    for name, items in by_image.items():
        cells = [value for item in items for value in item.points.ravel().tolist()]
        cells += [np.nan] * (len(columns) - len(cells))
        writer.writerow([name, *("" if np.isnan(value) else value for value in cells)])
    lost = ["boxes", "the objects' ids", *_outlines(dataset.objects), *_hidden(dataset.objects)]
    if category.skeleton:
        lost.append("the skeleton")
    if category.name != "object":
        lost.append(f"the name {category.name!r} (read it again as dlc/{category.name}:FILE)")
    return text.getvalue(), lost


def table(dataset: Dataset, images: Path) -> Written:
    """The tidy table that `predict` writes; confidence is left empty."""
    poses = []
    for item in dataset.objects:
        there = item.visibility > 0
        poses.append(
            Pose(
                names=[point.label or point.name for point in item.category.keypoints],
                xy=item.points,
                confidence=np.full(len(there), np.nan),
                present=there,
                image_size=picture_size(item.image) or (1, 1),
                category=item.category.name,
                image=_name(item, images),
            )
        )
    lost = ["boxes", "groups", "skeletons", "the objects' ids", *_outlines(dataset.objects), *_hidden(dataset.objects)]
    return csv_text(poses), lost


FORMS: dict[str, Callable[[Dataset, Path], Written]] = {
    "coco": coco,
    "labelstudio": label_studio,
    "dlc": deeplabcut,
    "csv": table,
}


def _name(item: LabelledObject, images: Path) -> str:
    return item.image.relative_to(images).as_posix()


def _hidden(objects: Sequence[LabelledObject]) -> list[str]:
    count = sum(int((item.visibility == 1).sum()) for item in objects)
    return [f"that {count} points are hidden"] if count else []


def _outlines(objects: Sequence[LabelledObject]) -> list[str]:
    count = sum(item.segmentation is not None for item in objects)
    return [f"{count} outlines"] if count else []


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
