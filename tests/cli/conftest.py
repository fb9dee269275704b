"""What several tests of the command line are asked about."""

import json

import pytest
from PIL import Image


@pytest.fixture
def made(tmp_path):
    """Six labelled pictures of two kinds, one of them with a box outside its picture; the options that name them."""
    folder = tmp_path / "mine"
    folder.mkdir()
    images, annotations = [], []
    for i in range(6):
        Image.new("RGB", (60, 40), (40 * i, 90, 120)).save(folder / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": 60, "height": 40, "group": f"film {i // 2}"})
        annotations.append({"id": i, "image_id": i, "category_id": i % 2, "bbox": [5, 5, 30, 30]})
        annotations[-1] |= {"keypoints": [10, 12, 2, 20, 25, 1 + i % 2], "num_keypoints": 2}
    annotations[0]["bbox"] = [5, 5, 90, 30]
    kinds = (("lamp", "furniture"), ("hook", "hardware"))
    categories = [
        {"id": i, "name": name, "supercategory": above, "keypoints": ["top", "bottom"]}
        for i, (name, above) in enumerate(kinds)
    ]
    labels = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder, [f"coco:{folder / 'labels.json'}", "--images", folder]
