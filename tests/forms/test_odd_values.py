"""Values that spreadsheets, scripts and other tools write: read as meant, or one bad object."""

import json

import pytest
from PIL import Image

from anykeypoint.forms.registry import convert, read

DLC = "scorer,me,me,me,me\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\na.png,10.5,20.25,30,40\n"


@pytest.fixture
def put(tmp_path):
    """A function that writes a picture of 96 x 64 and one file of labels, and returns the file's path."""

    def written(name, content):
        Image.new("RGB", (96, 64)).save(tmp_path / "a.png")
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return written


def coco(*annotations, **category):
    """A COCO document of one picture and one category of three points."""
    rows = [
        {
            "id": i,
            "image_id": 1,
            "category_id": 1,
            "bbox": [5, 5, 80, 50],
            "keypoints": [10, 10, 2, 40, 40, 2, 9, 9 + i, 2],
        }
        for i, _ in enumerate(annotations, start=1)
    ]
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.png"}],
            "annotations": [row | more for row, more in zip(rows, annotations, strict=True)],
            "categories": [{"id": 1, "name": "odd lamp", "keypoints": ["foot", "neck", "bulb"], **category}],
        }
    )


@pytest.mark.parametrize("sign", [";", "\t"])
def test_tables_of_spreadsheets_with_semicolons_or_tabs_and_decimal_commas(put, tmp_path, sign):
    text = "\ufeff" + DLC.replace(",", sign).replace("10.5", "10,5").replace("20.25", "20,25").replace("\n", "\r\n")
    (item,) = read(f"dlc:{put('x.csv', text)}", tmp_path).objects
    assert item.points.tolist() == [[10.5, 20.25], [30, 40]]
    table = convert(read(f"dlc:{put('x.csv', DLC)}", tmp_path), tmp_path, "csv").content
    changed = table.replace(",", sign).replace(".", ",").replace("a,png", "a.png")
    (again,) = read(f"csv:{put('mine.csv', changed)}", tmp_path).objects
    assert again.points.tolist() == item.points.tolist() and again.box == item.box


def test_a_short_row_of_via_costs_itself(put):
    rows = [["filename", "region_count", "region_shape_attributes", "region_attributes"]]
    for i, name in enumerate(("nose", "tail")):
        rows.append(["a.png", "2", json.dumps({"name": "point", "cx": 9 + i, "cy": 20}), json.dumps({"part": name})])
    text = "\n".join(";".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    data = read(f"via:{put('x.csv', text + chr(10) + 'a.png;2')}")
    assert [item.points.tolist() for item in data.objects] == [[[9, 20], [10, 20]]]
    assert len(data.faults) == 1 and "row 3 under the header has 2 cells" in data.faults[0]


def test_an_id_of_thousands_of_digits_costs_its_object(put, tmp_path):
    data = read(f"coco:{put('x.json', coco({}, {'id': '9' * 6000}))}", tmp_path)
    assert len(data.objects) == 1 and len(data.faults) == 1 and "'id', must be a whole number" in data.faults[0]


def test_an_outline_with_nan_is_noted_and_costs_no_object_in_any_form(put, tmp_path):
    outline = [[5, 5, 80, 5, 80, float("nan")]]
    data = read(f"coco:{put('x.json', coco({'segmentation': outline}))}", tmp_path)
    assert data.objects[0].segmentation is None and "annotation 1, key 'segmentation'" in data.notes[0]
    json.loads(convert(data, tmp_path, "coco").content)


@pytest.mark.parametrize("edges", [[[0, 1], [2, 2]], [[0, 1], [2, 9]], [[0, 1], ["foot", "bulb"]], [[0, 1], None]])
def test_a_bad_edge_is_named_and_costs_no_object(put, tmp_path, edges):
    data = read(f"coco:{put('x.json', coco({}, skeleton=edges))}", tmp_path)
    assert data.categories[1].skeleton == ((0, 1),) and len(data.objects) == 1
    assert len(data.faults) == 1 and "category 1: 'odd lamp', key 'skeleton', has the edge" in data.faults[0]
    assert not data.skipped
