"""Pictures that are stored lying and carry an orientation: labels belong to the picture as it is opened."""

import json

import pytest
from PIL import Image

from anykeypoint.forms import registry
from anykeypoint.forms.pictures import Pictures
from anykeypoint.images import read_image


@pytest.mark.parametrize("kind", ["tif", "jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_labels_of_a_turned_picture_keep_their_places_in_label_studio(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (200, 160)).save(tmp_path / f"1.{kind}", exif=exif)
    document = {
        "images": [{"id": 1, "file_name": f"1.{kind}"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [40, 180, 2], "bbox": [30, 50, 100, 145]}
        ],
        "categories": [{"id": 1, "name": "thing", "keypoints": ["a"], "skeleton": []}],
    }
    (tmp_path / "l.json").write_text(json.dumps(document))
    assert read_image(tmp_path / f"1.{kind}").size == (160, 200)
    assert Pictures(tmp_path).size(tmp_path / f"1.{kind}") == (160, 200)
    data = registry.read(f"coco:{tmp_path}/l.json", tmp_path)
    text = registry.convert(data, tmp_path, "labelstudio").content
    value = next(r["value"] for r in json.loads(text)[0]["annotations"][0]["result"] if r["type"] == "keypointlabels")
    assert (value["x"], value["y"]) == (25, 90)
