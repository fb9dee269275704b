"""Values that spreadsheets, scripts and other tools write: read as meant, or one bad object."""

import json

import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.coco import from_document
from anykeypoint.forms.faults.changes import take_back
from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.faults.repair import mend
from anykeypoint.forms.registry import convert, load, read

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


def test_files_that_windows_saved_as_utf_16_are_read_and_bytes_that_are_no_text_told(put, tmp_path):
    texts = {"coco": coco({}), "dlc": DLC, "tps": "LM=1\n5 6\nIMAGE=a.png\n"}
    for form, text in texts.items():
        for encoding in ("utf-16-le", "utf-16-be"):
            file = put(f"x.{form}", ("\ufeff" + text).encode(encoding))
            assert len(read(f"{form}:{file}", tmp_path).objects) == 1
    for form in ("coco", "dlc"):
        file = put(f"y.{form}", texts[form].encode().replace(b"foot", b"f\xfc").replace(b"nose", b"n\xe4"))
        with pytest.raises(InputError, match=r"is not UTF-8 text \(byte \d+\); save it as UTF-8"):
            read(f"{form}:{file}", tmp_path)


def test_xml_in_another_encoding_is_read_where_it_says_so_and_told_what_to_do_where_not(put, tmp_path):
    body = '<annotations><image id="0" name="a.png"><points label="bête" points="1,2"/></image></annotations>'
    head = '<?xml version="1.0" encoding="{}"?>'
    for encoding in ("utf-8", "ISO-8859-1", "windows-1252"):
        (item,) = read(f"cvat:{put('x.xml', (head.format(encoding) + body).encode(encoding))}", tmp_path).objects
        assert item.category.names == ["bête"]
    for text in (body.encode("latin-1"), (head.format("gbk") + body.replace("ê", "图")).encode("gbk")):
        with pytest.raises(InputError, match=r"is not valid XML: .*; save it as UTF-8"):
            read(f"cvat:{put('y.xml', text)}", tmp_path)
    with pytest.raises(InputError, match=r"is not valid XML: [^;]*$"):
        read(f"cvat:{put('z.xml', '<annotations>')}", tmp_path)


def test_a_tps_file_in_the_code_page_of_windows_finds_its_pictures(put, tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "größe.png")
    put("a.txt", "")
    text = "LM=1\n5 6\nIMAGE=C:\\Jörg\\a.png\nCOMMENT=schön\nLM=1\n7 8\nIMAGE=größe.png\n"
    data = read(f"tps:{put('x.tps', text.encode('cp1252'))}")
    assert [item.image.name for item in data.objects] == ["a.png", "größe.png"]


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


@pytest.mark.parametrize("edges", [[[0, 1], [2, 2]], [[0, 1], [2, 9]], [[0, 1], ["foot", "gone"]], [[0, 1], None]])
def test_a_bad_edge_is_named_and_costs_no_object(put, tmp_path, edges):
    data = read(f"coco:{put('x.json', coco({}, skeleton=edges))}", tmp_path)
    assert data.categories[1].skeleton == ((0, 1),) and len(data.objects) == 1
    assert len(data.faults) == 1 and "category 1: 'odd lamp', key 'skeleton', has the edge" in data.faults[0]
    assert not data.skipped


def test_points_at_places_that_mean_not_labelled_are_told_and_kept_wherever_labels_are_read(put, tmp_path):
    lost = {"keypoints": [10, 10, 2, 40, 40, 2, -1, -1, 2]}
    data = read(f"coco:{put('x.json', coco(lost, {}, lost))}", tmp_path)
    assert data.notes == (
        "2 labelled points lie at (-1, -1), which is how tools say 'not labelled'; taken as labelled: mend the labels "
        "with `data check --fix`.",
    )
    assert [item.points[2].tolist() for item in data.objects] == [[-1, -1], [9, 11], [-1, -1]]
    assert not read(f"coco:{put('x.json', coco({}, {'keypoints': [0, 0, 0, 40, 40, 2, 9, 9, 2]}))}", tmp_path).notes


# --- pictures ------------------------------------------------------------------------------------------------------


def region(name, x, **more):
    """A keypoint of a Label Studio export, on a picture of 96 x 64."""
    size = {"original_width": 96, "original_height": 64}
    value = {"x": x, "y": 50, "width": 1, "keypointlabels": [name]}
    return {"id": name, "type": "keypointlabels", "to_name": "left", "value": value, **size, **more}


def test_a_region_of_no_picture_costs_itself_and_a_picture_without_a_size_its_object(put, tmp_path):
    def export(data, *regions):
        return json.dumps([{"id": 7, "data": data, "annotations": [{"result": regions}]}, {"id": 9}])

    pair = {"left": "a.png", "right": "b.png"}
    file = put("x.json", export(pair, region("nose", 50), region("tail", 25, to_name="nowhere")))
    data = read(f"labelstudio:{file}", tmp_path)
    assert [item.points.tolist() for item in data.objects] == [[[48, 32]]]
    assert ["task 7, region 'tail'" in data.faults[0], "task 9 has no 'data'" in data.faults[1]] == [True, True]
    listed = put("x.json", export(pair, region("nose", 50), region("tail", 25, to_name=["left"])))
    data = read(f"labelstudio:{listed}", tmp_path)
    assert len(data.objects) == 1 and "region 'tail', was drawn on \"['left']\", which is none" in data.faults[0]
    pages = export({"pages": ["a.png", "b.png"]}, region("nose", 50, item_index=0), region("tail", 25, item_index=7))
    assert len(read(f"labelstudio:{put('x.json', pages)}", tmp_path).objects) == 1
    sizeless = export({"image": "a.png"}, region("nose", 50, original_width=0))
    assert "a picture of 0 x 64 pixels" in load(f"labelstudio:{put('x.json', sizeless)}", tmp_path).faults[0]


CAT = '<skeleton label="cat"{}><points label="nose" points="{},20">{}</points></skeleton>'


def cvat(*pictures):
    return f"<annotations><version>1.1</version>{''.join(pictures)}</annotations>"


def test_two_pictures_of_one_name_in_cvat_are_named_and_one_that_is_there_twice_is_one(put, tmp_path):
    once, other = (CAT.format("", x, "") for x in (9, 30))
    two = cvat(f'<image id="0" name="a.png">{once}</image>', f'<image id="1" name="./a.png">{other}</image>')
    labels = load(f"cvat:{put('x.xml', two)}", tmp_path)
    assert not labels.annotations and "a.png (image 0) and" in labels.faults[0] and "(image 1)" in labels.faults[0]
    same = two.replace('id="1"', 'id="0"')
    assert len(read(f"cvat:{put('x.xml', same)}", tmp_path).objects) == 2


def test_attributes_and_turns_that_cvat_has_are_named(put, tmp_path):
    shape = CAT.format(' rotation="30.0"', 9, '<attribute name="seen">no</attribute>')
    file = put("x.xml", cvat(f'<image id="0" name="a.png">{shape}</image>'))
    data = read(f"cvat:{file}", tmp_path)
    assert len(data.objects) == 1 and len(data.notes) == 2
    assert "attribute 'seen' of 1 shapes" in data.notes[0] and "'rotation' of 1 skeletons" in data.notes[1]


@pytest.mark.parametrize(
    ("spec", "file", "text"),
    [
        ("cvat", "x.xml", cvat('<image id="0" name="a.png">' + CAT.format("", "x", "") + "</image>{}")),
        ("imglab", "x.xml", "<dataset><images><image file='a.png'><box ignore='1'/></image>{}</images></dataset>"),
        ("dlc", "x.csv", DLC.replace("20.25", "") + "b.png,1,2,3,4\n"),
    ],
)
def test_a_picture_whose_objects_are_left_out_is_none_without_objects(put, tmp_path, spec, file, text):
    """Written as a picture without objects it would teach a detector that nothing is there."""
    Image.new("RGB", (96, 64)).save(tmp_path / "b.png")
    good = {
        "cvat": '<image id="1" name="b.png">' + CAT.format("", 5, "") + "</image>",
        "imglab": "<image file='b.png'><box left='1' top='1' width='9' height='9'><part name='0' x='3' y='4'/></box>"
        "</image>",
    }
    Image.new("RGB", (96, 64)).save(tmp_path / "c.png")
    none = {"cvat": '<image id="2" name="c.png"/>', "imglab": "<image file='c.png'/>"}.get(spec, "")
    data = read(f"{spec}:{put(file, text.replace('{}', good.get(spec, '') + none))}", tmp_path)
    assert len(data.objects) == 1 and [path.name for path in data.empty] == (["c.png"] if none else [])


# --- what --fix must not leave out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [[None], ["b.png", "c.png"]])
def test_objects_of_an_id_that_several_pictures_have_are_read_from_none_of_them(put, tmp_path, others):
    document = json.loads(put("x.json", coco({})).read_text())
    document["images"] = [{"id": 1, "file_name": name} for name in others] + document["images"]
    data = from_document(document, tmp_path / "x.json", tmp_path)
    assert not data.objects and any("appears twice" in sentence for sentence in data.faults)
    assert not sum(sums.objects for sums in examine(document, tmp_path).counts.values())


@pytest.mark.parametrize("name", ["/home/me/set/a.png", "C:\\set\\a.png", "\\\\server\\set\\A.PNG"])
def test_a_path_of_another_machine_is_mended_where_one_file_is_meant(put, tmp_path, name):
    document = json.loads(put("x.json", coco({})).read_text())
    document["images"][0]["file_name"] = name
    mended = mend(document, tmp_path)
    assert mended.document["images"][0]["file_name"] == "a.png" and mended.mended == {"picture elsewhere": 1}
    assert take_back(mended.document, mended.changes, "changes") == document
    document["images"][0]["file_name"] = name.replace("a.png", "gone.png").replace("A.PNG", "gone.png")
    left = mend(document, tmp_path)  # with the wrong folder of pictures, all of them would go
    assert left.document == document and left.left == {"broken entry": 1, "no object": 1}


@pytest.mark.parametrize(("more", "info"), [([], {}), ([[1, 3]], {}), ([[0, 2]], {}), ([], {"skeleton_base": 1})])
def test_edges_that_name_their_points_are_read_and_written_as_numbers(put, tmp_path, more, info):
    named = [["neck", "bulb"], ["foot", "neck"]]
    base = 1 if info or more == [[1, 3]] else 0
    document = json.loads(put("x.json", coco({}, skeleton=[*named, *more])).read_text()) | {"info": info}
    ends = ((1, 2), (0, 1), *((a - base, b - base) for a, b in more))
    data = read(f"coco:{put('x.json', json.dumps(document))}", tmp_path)
    assert data.categories[1].skeleton == ends and not data.faults
    mended = mend(document, tmp_path)
    assert mended.mended == {"shape of values": 1}
    again = read(f"coco:{put('y.json', json.dumps(mended.document))}", tmp_path)
    assert again.categories[1].skeleton == ends


def test_a_detectors_category_without_keypoints_is_counted_and_kept(put, tmp_path):
    """As CVAT writes it beside a skeleton."""
    document = json.loads(put("x.json", coco({})).read_text())
    document["categories"].append({"id": 2, "name": "background"})
    box = {"id": 9, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "segmentation": []}
    document["annotations"].append(box)
    data = read(f"coco:{put('x.json', json.dumps(document))}", tmp_path)
    assert data.skipped == {"of a category without keypoints": 1} and not data.faults
    report = examine(document, tmp_path)
    assert not report.faults and report.left_out == {"of a category without keypoints": 1}
    assert mend(document, tmp_path).document == document


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", ["coco", "labelme", "labelstudio", "dlc", "cvat"])
def test_a_place_beyond_every_picture_costs_its_object_and_can_be_mended(put, tmp_path, form):
    far = 1e308
    Image.new("RGB", (96, 64)).save(tmp_path / "b.png")
    size = {"original_width": 96, "original_height": 64}
    objects = [
        {"id": i, "image_id": i, "category_id": 1, "keypoints": [x, 5, 2, 20, 25, 2]} for i, x in ((1, far), (2, 10))
    ]
    document = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": objects,
        "categories": [{"id": 1, "name": "cat", "keypoints": ["nose", "tail"], "skeleton": []}],
    }
    texts = {
        "coco": json.dumps(document),
        "labelstudio": json.dumps(
            [
                {"id": name, "data": {"image": name}, "annotations": [{"result": [region("nose", x, **size)]}]}
                for name, x in (("a.png", far), ("b.png", 5))
            ]
        ),
        "dlc": f"scorer,me,me\nbodyparts,nose,nose\ncoords,x,y\na.png,{far},1\nb.png,1,1\n",
        "cvat": cvat(
            *(f'<image id="{i}" name="{i}.png">{CAT.format("", x, "")}</image>' for i, x in (("a", far), ("b", 5)))
        ),
    }
    if form == "labelme":
        for name, x in (("a", far), ("b", 5)):
            shape = {"label": "nose", "points": [[x, 5]], "shape_type": "point"}
            put(f"{name}.json", json.dumps({"shapes": [shape], "imagePath": f"{name}.png"}))
        spec = f"labelme:{tmp_path}"
    else:
        spec = f"{form}:{put('labels', texts[form])}"
    data = read(spec, tmp_path)
    assert [item.image.name for item in data.objects] == ["b.png"]
    assert "annotation 1, key 'keypoints', must hold finite numbers of at most 1e+09" in data.faults[0]
    convert(data, tmp_path, "coco")
    document = load(spec, tmp_path).document()
    assert "coordinates" in [fault.kind for fault in examine(document, tmp_path).faults]
    json.dumps(mend(document, tmp_path).document, allow_nan=False)
