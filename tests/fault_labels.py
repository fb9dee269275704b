"""Labels of an object in two pictures, their faults by kind, and their mended copy: what tests of faults share."""

import copy

from PIL import Image

from anykeypoint.configs.doubled_keys import dump_json
from anykeypoint.forms.faults.changes import changes_text, read_changes, take_back
from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.faults.repair import mend

POINTS = [60, 50, 90, 70, 120, 100]
BOX = [50, 40, 90, 70]


def triples(flat, v=2):
    return [value for i in range(0, len(flat), 2) for value in (*flat[i : i + 2], v)]


def entry(i, **more):
    places = [value + i for value in POINTS]
    base = {"id": i, "image_id": 1 + i % 2, "category_id": 1, "keypoints": triples(places), "num_keypoints": 3}
    return {**base, "bbox": [BOX[0] + i, BOX[1] + i, *BOX[2:]], "area": BOX[2] * BOX[3], "iscrowd": 0, **more}


def good_labels(folder):
    """Five objects of three points in two pictures of 200 x 160 pixels, which are written to a folder."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (200, 160)).save(folder / name)
    images = [{"id": i, "file_name": f"{name}.png", "width": 200, "height": 160} for i, name in ((1, "a"), (2, "b"))]
    categories = [{"id": 1, "name": "thing", "keypoints": ["a", "b", "c"], "skeleton": []}]
    return {"images": images, "annotations": [entry(i) for i in range(1, 6)], "categories": categories}


def spread(good):
    """The objects at different places, so that a box read in another order does not fit."""
    for item, (x, y) in zip(good["annotations"], ((0, 0), (40, 30), (20, 40), (50, 10), (45, 45)), strict=True):
        values = item["keypoints"]
        item["keypoints"] = [value + (x, y, 0)[i % 3] for i, value in enumerate(values)]
        item["bbox"] = [item["bbox"][0] + x, item["bbox"][1] + y, *item["bbox"][2:]]
    return good


def kinds(document, folder):
    return [fault.kind for fault in examine(document, folder).faults]


def mended(document, folder):
    """The mended copy; the original is unchanged, and the table of changes leads back to it."""
    before = copy.deepcopy(document)
    result = mend(document, folder)
    assert repr(document) == repr(before)
    file = folder / "changes.csv"
    file.write_text(changes_text(result.changes))
    back = take_back(result.document, read_changes(file), str(file))
    assert dump_json(back) == dump_json(before) or back == before
    return result.document
