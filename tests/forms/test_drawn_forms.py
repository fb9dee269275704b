"""Forms whose points and rectangles are drawn one by one, labelme and VGG Image Annotator, in every spelling."""

import json

import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.registry import convert, read
from anykeypoint.forms.writing import save


@pytest.fixture
def put(tmp_path):
    """A function that writes pictures and JSON or text files below a folder, and returns that folder."""

    def written(**files):
        for name, value in files.items():
            name = name.replace("__", "/").replace("_json", ".json").replace("_png", ".png").replace("_csv", ".csv")
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".png"):
                Image.new("RGB", (96, 64)).save(tmp_path / name)
            else:
                (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value))
        return tmp_path

    return written


def shape(label, *points, group=1, kind="point", **more):
    return {"label": label, "points": [list(p) for p in points], "group_id": group, "shape_type": kind, **more}


def page(*shapes, image="a.png", **more):
    return {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None, **more}


BOX = shape("beast", (80, 60), (10, 12), kind="rectangle")


def named(item):
    """Name of each labelled point -> its place and visibility."""
    rows = zip(item.category.names, item.points.tolist(), item.visibility.tolist(), strict=True)
    return {name: (*place, seen) for name, place, seen in rows if seen}


# --- labelme -------------------------------------------------------------------------------------------------------


def test_shapes_of_labelme_that_are_no_list_are_a_fault_of_their_file(put):
    null = page() | {"shapes": None}
    other = {"imagePath": "b.png"}
    data = read(
        f"labelme:{put(a_png=0, b_png=0, a_json=page(BOX, shape('nose', (20, 30))), b_json=null, c_json=other)}"
    )
    assert len(data.objects) == 1 and data.skipped["JSON files that are not labelme's"] == 1
    assert len(data.faults) == 1 and "b.json, key 'shapes', must be a list, but got 'None'; save it" in data.faults[0]


def test_hidden_files_are_no_labels_of_labelme(put, hide):
    folder = put(a_png=0, a_json=page(BOX, shape("nose", (20, 30))))
    hide(folder)
    data = read(f"labelme:{folder}")
    assert len(data.objects) == 1 and not data.faults and not data.skipped


def test_corners_come_in_any_order_and_points_go_by_group(put):
    other = shape("beast", (50, 1), (90, 1), (90, 60), (50, 60), group=2, kind="rectangle")
    shapes = [shape("nose", (20.5, 30)), BOX, shape("nose", (60, 20), group=2), other, shape("tail", (70, 50))]
    data = read(f"labelme:{put(a_png=0, a_json=page(*shapes))}")
    assert [item.box for item in data.objects] == [(10, 12, 70, 48), (50, 1, 40, 59)]
    assert [named(item) for item in data.objects] == [
        {"nose": (20.5, 30, 2), "tail": (70, 50, 2)},
        {"nose": (60, 20, 2)},
    ]


@pytest.mark.parametrize(
    "mark",
    [
        {"flags": {"occluded": True}},
        {"flags": {"Hidden": True}},
        {"flags": {"visible": False}},
        {"difficult": True},
        {"attributes": {"occluded": True}},
        {"description": "occluded"},
        {"flags": {"visibility": 1}},
        {"flags": {"visibility": 1.0}},
        {"flags": {"not-visible": True}},
    ],
)
def test_people_write_hidden_points_in_many_ways(put, mark):
    seen = shape(
        "tail",
        (1, 2),
        flags={"occluded": False, "hidden": 0.0, "visible": True, "truncated": True},
        description="furry",
    )
    data = read(f"labelme:{put(a_png=0, a_json=page(BOX, shape('nose', (20, 30), **mark), seen))}")
    assert named(data.objects[0]) == {"nose": (20, 30, 1), "tail": (1, 2, 2)}


def test_points_without_a_group_belong_to_the_rectangle_round_them(put):
    other = shape("beast", (82, 1), (95, 60), group=None, kind="rectangle")
    one = {**BOX, "group_id": None}
    shapes = [one, other, shape("nose", (20, 30), group=None), shape("nose", (90, 30), group=None)]
    data = read(f"labelme:{put(a_png=0, a_json=page(*shapes, shape('tail', (81, 62), group=None)))}")
    assert [named(item) for item in data.objects] == [{"nose": (20, 30, 2)}, {"nose": (90, 30, 2)}]
    assert len(data.faults) == 1 and "'tail'" in data.faults[0] and "lies in none of the picture's 2" in data.faults[0]
    alone = read(f"labelme/cow:{put(a_png=0, a_json=page(shape('nose', (20, 30), group=None)))}").objects[0]
    assert alone.category.name == "cow" and alone.box == (16, 26, 8, 8)


def test_one_bad_object_costs_itself_and_other_shapes_are_counted(put):
    shapes = [BOX, shape("nose", (20, 30)), shape("nose", (21, 30)), shape("x", (1, 2), (3, 4), (5, 6), kind="polygon")]
    good = page(BOX, shape("nose", (20, 30)), image="b.png")
    data = read(f"labelme:{put(a_png=0, b_png=0, a_json=page(*shapes), b_json=good, c_json={'nodes': []})}")
    assert [item.image.name for item in data.objects] == ["b.png"]
    assert len(data.faults) == 1 and "a.json: shape 2 ('nose') is the second point 'nose'" in data.faults[0]
    assert data.skipped["polygon shapes"] == 1 and data.skipped["JSON files that are not labelme's"] == 1


def test_a_polygon_of_the_group_stands_for_a_missing_rectangle(put):
    outline = shape("cow", (10, 12), (80, 20), (40, 60), kind="polygon")
    other = shape("grass", (1, 2), (3, 4), (5, 9), kind="polygon", group=None)
    data = read(f"labelme:{put(a_png=0, a_json=page(outline, other, shape('nose', (20, 30))))}")
    assert [(item.category.name, item.box) for item in data.objects] == [("cow", (10, 12, 70, 48))]
    assert data.skipped == {"polygon shapes, of which the box was taken": 1, "polygon shapes": 1}


def test_pictures_are_found_by_the_place_of_their_file_never_by_a_bare_name(put):
    shapes = (BOX, shape("nose", (20, 30)))
    files = {"l__in__a_json": page(*shapes), "l__b_json": page(*shapes, image="C:\\work\\pics\\b.png")}
    folder = put(pics__in__a_png=0, pics__a_png=0, pics__b_png=0, **files)
    data = read(f"labelme:{folder / 'l'}", folder / "pics")
    assert [item.image.relative_to(folder).as_posix() for item in data.objects] == ["pics/b.png", "pics/in/a.png"]


def test_a_picture_in_a_folder_beside_that_of_its_file_is_found(put):
    shapes = (BOX, shape("nose", (20, 30)))
    folder = put(pics__a_png=0, l__a_json=page(*shapes, image="..\\pics\\a.png"))
    assert [item.image for item in read(f"labelme:{folder}").objects] == [folder / "pics" / "a.png"]
    other = put(m__a_json=page(*shapes, image="../../elsewhere/b.png")) / "m"
    with pytest.raises(InputError, match=r"needs are not in .*\(b\.png\)"):
        read(f"labelme:{other}")


def test_ties_that_are_one_number_are_one_and_labels_have_no_blanks_round_them(put):
    shapes = (BOX, shape("nose ", (20, 30), group=1.0), shape(" tail", (30, 30), group="1"))
    (item,) = read(f"labelme:{put(a_png=0, a_json=page(*shapes))}").objects
    assert item.category.name == "beast" and set(named(item)) == {"nose", "tail"}


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle"])
def test_of_a_turned_rectangle_the_upright_box_is_taken_and_told(put, kind):
    turned = shape("pen", (40, 12), (80, 30), (50, 60), (10, 42), kind=kind, direction=0.4)
    data = read(f"labelme:{put(a_png=0, a_json=page(turned, shape('tip', (45, 30))))}")
    assert [(item.category.name, item.box) for item in data.objects] == [("pen", (10, 12, 70, 48))]
    assert data.notes == ("1 rectangles are turned; the upright boxes round them were taken.",)


def test_two_files_of_one_picture_are_not_merged(put):
    shapes = (BOX, shape("nose", (20, 30)))
    data = read(f"labelme:{put(a_png=0, a_json=page(*shapes), again_json=page(*shapes))}")
    assert len(data.objects) == 1 and "again.json labels the picture of" in data.faults[0]


def test_labelme_is_written_as_it_opens_it(put, tmp_path):
    folder = put(a_png=0, a_json=page(BOX, shape("nose", (20, 30)), shape("tail", (70, 50), flags={"hidden": True})))
    content, lost = convert(read(f"labelme:{folder}"), folder, "labelme")
    assert not lost and content["a.png"] == folder / "a.png"
    save(content, tmp_path / "out")
    made = json.loads((tmp_path / "out" / "a.json").read_text())
    assert (made["imagePath"], made["imageData"], made["imageWidth"], made["imageHeight"]) == ("a.png", None, 96, 64)
    assert [(one["label"], one["shape_type"], one["group_id"], one["flags"]) for one in made["shapes"]] == [
        ("beast", "rectangle", 1, {}),
        ("nose", "point", 1, {}),
        ("tail", "point", 1, {"hidden": True}),
    ]


# --- VGG Image Annotator -------------------------------------------------------------------------------------------


def point(x, y, **attributes):
    return {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": attributes}


def rectangle(x, y, w, h, **attributes):
    shape_attributes = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
    return {"shape_attributes": shape_attributes, "region_attributes": attributes}


def via(*regions, name="a.png"):
    return {f"{name}100": {"filename": name, "size": 100, "regions": list(regions), "file_attributes": {}}}


REGIONS = [point(20, 30, name="nose", object="1"), point(70, 60, name="tail", object="1"), rectangle(10, 12, 70, 50)]


@pytest.mark.parametrize(
    "regions",
    [
        [*REGIONS[:2], rectangle(10, 12, 70, 50, object="1")],
        [*REGIONS[:2], rectangle(10, 12, 70, 50, object="1", name="")],
        [*REGIONS[:2], rectangle(10, 12, 70, 50, object="1", name="beast")],
        [*REGIONS[:2], rectangle(10, 12, 70, 50, object="1", kind={"beast": True, "plant": False})],
        [point(20, 30, part="nose", animal="1"), point(70, 60, part="tail", animal="1"), rectangle(10, 12, 70, 50)],
        [point(20, 30, label="nose"), point(70, 60, label="tail"), rectangle(10, 12, 70, 50, label="beast")],
        [point(20, 30, label="nose"), point(70, 60, label="tail"), rectangle(10, 12, 70, 50)],
    ],
)
def test_attributes_of_every_name_are_understood(put, regions):
    folder = put(a_png=0, via_json=via(*regions))
    (item,) = read(f"via/beast:{folder / 'via.json'}", folder).objects
    assert named(item) == {"nose": (20, 30, 2), "tail": (70, 60, 2)} and item.category.name == "beast"


def test_attributes_that_do_not_tell_are_asked_for_and_can_be_said(put):
    regions = [point(20, 30, foo="nose", bar="1"), point(70, 60, foo="tail", bar="1")]
    spec = put(a_png=0, via_json=via(*regions)) / "via.json"
    with pytest.raises(InputError, match=r"does not tell what its attributes mean \(bar, foo\); say which"):
        read(f"via:{spec}", spec.parent)
    (item,) = read(f"via/cow,name=foo,tie=bar:{spec}", spec.parent).objects
    assert set(named(item)) == {"nose", "tail"} and item.category.name == "cow"
    with pytest.raises(InputError, match=r"no attribute 'part'; the regions have bar, foo"):
        read(f"via/name=part:{spec}", spec.parent)


@pytest.mark.parametrize(
    ("key", "values", "seen"),
    [
        ("flags", [{"occluded": True, "blurred": True}, {}], [1, 2]),
        ("state", ["occluded", "clear"], [1, 2]),
        ("quality", ["blurred", "sharp"], [2, 2]),
    ],
)
def test_a_remark_on_points_is_no_tie_that_takes_an_object_apart(put, key, values, seen):
    nose, tail = ({key: value} for value in values)
    regions = [point(20, 30, name="nose", **nose), point(70, 60, name="tail", **tail)]
    folder = put(a_png=0, via_json=via(*regions))
    (item,) = read(f"via:{folder / 'via.json'}", folder).objects
    assert named(item) == {"nose": (20, 30, seen[0]), "tail": (70, 60, seen[1])}


def test_an_attribute_without_which_names_repeat_is_a_tie_in_any_spelling_of_its_numbers(put):
    regions = [point(20 + i, 30, name=name, animal=i) for name in ("nose", "tail") for i in (1, 2.0)]
    folder = put(a_png=0, via_json=via(*regions))
    assert [set(named(item)) for item in read(f"via:{folder / 'via.json'}", folder).objects] == [{"nose", "tail"}] * 2
    regions = [*REGIONS[:2], rectangle(10, 12, 70, 50, object=1.0)]
    folder = put(a_png=0, via_json=via(*regions))
    assert [item.box for item in read(f"via:{folder / 'via.json'}", folder).objects] == [(10, 12, 70, 50)]


def test_files_of_via_3_are_named_as_such(put):
    project = {"project": {"pid": "x"}, "config": {}, "attribute": {}, "file": {}, "metadata": {}, "view": {}}
    lines = "# Exported using VGG Image Annotator\n# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
    table = lines + 'spatial_coordinates,metadata\n"1_a","[""a.png""]",0,"[]","[1,20,30]","{""1"":""nose""}"\n'
    folder = put(a_png=0, via_json=project, via_csv=table)
    for name in ("via.json", "via.csv"):
        with pytest.raises(InputError, match="VGG Image Annotator 3, whose files are not read; draw the points with"):
            read(f"via:{folder / name}", folder)


def test_a_file_without_points_says_what_it_has(put):
    circle = {"shape_attributes": {"name": "circle", "cx": 1, "cy": 2, "r": 3}, "region_attributes": {"name": "nose"}}
    folder = put(a_png=0, via_json=via(circle))
    with pytest.raises(InputError, match="has no region that is a point, but circle; draw each keypoint as a point"):
        read(f"via:{folder / 'via.json'}", folder)


def test_a_file_of_which_no_region_can_be_read_says_why(put):
    folder = put(a_png=0, via_json=via({"shape_attributes": {"name": "point"}, "region_attributes": []}))
    with pytest.raises(InputError, match=r"region 0, key 'region_attributes', must be a JSON object, but got '\[\]'"):
        read(f"via:{folder / 'via.json'}", folder)


@pytest.mark.parametrize("entry", [{"regions": None}, {"regions": []}, {"regions": {}}, {}])
def test_an_entry_without_regions_is_a_picture_without_objects(put, entry):
    folder = put(a_png=0, b_png=0, via_json=via(*REGIONS) | {"b.png100": {"filename": "b.png", **entry}})
    data = read(f"via:{folder / 'via.json'}", folder)
    assert [item.image.name for item in data.objects] == ["a.png"] and not data.faults
    assert [path.name for path in data.empty] == ["b.png"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"filename": None, "regions": REGIONS}, "'b', key 'filename', must name a picture, but got 'None'"),
        ({"regions": REGIONS}, "'b', key 'filename', must name a picture, but got 'None'"),
        ({"filename": "b.png", "regions": 3}, "'b', key 'regions', must be a list, but got '3'"),
        (7, "'b' must be a JSON object with 'filename', but got '7'"),
    ],
)
def test_an_entry_that_cannot_be_read_costs_itself(put, entry, words):
    folder = put(a_png=0, b_png=0, via_json=via(*REGIONS) | {"b": entry})
    data = read(f"via:{folder / 'via.json'}", folder)
    assert [item.image.name for item in data.objects] == ["a.png"] and not data.empty
    assert len(data.faults) == 1 and words in data.faults[0]


def test_projects_exports_of_version_1_and_csv_are_the_same_labels(put):
    regions = [*REGIONS[:2], rectangle(10, 12, 70, 50, object="1")]
    plain = via(*regions)
    numbered = {key: {**one, "regions": dict(enumerate(one["regions"]))} for key, one in plain.items()}
    head = "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    quoted = [
        ",".join(
            '"' + json.dumps(one[key]).replace('"', '""') + '"' for key in ("shape_attributes", "region_attributes")
        )
        for one in regions
    ]
    table = head + "".join(f'a.png,100,"{{}}",3,{i},{text}\n' for i, text in enumerate(quoted))
    folder = put(
        a_png=0,
        b_png=0,
        one_json=plain,
        two_json={"_via_settings": {}, "_via_img_metadata": plain, "_via_attributes": {}},
        three_json=numbered,
        four_csv=table + 'b.png,7,"{}",0,0,"{}","{}"\n',
    )
    all_four = [read(f"via:{folder / name}", folder) for name in ("one.json", "two.json", "three.json", "four.csv")]
    for data in all_four:
        assert [(named(item), item.box) for item in data.objects] == [
            ({"nose": (20, 30, 2), "tail": (70, 60, 2)}, (10, 12, 70, 50))
        ]
    assert [path.name for path in all_four[3].empty] == ["b.png"]


def test_a_hidden_point_a_bad_region_and_other_shapes(put):
    ellipse = {"shape_attributes": {"name": "ellipse", "cx": 1, "cy": 2}, "region_attributes": {}}
    regions = [
        point(20, 30, name="nose", object="1"),
        point(1, 2, name="nose", object="2", visible="no"),
        point(3, 4, name="", object="1"),
        point("x", 4, name="tail", object="1"),
        rectangle(10, 12, 70, 50, object="1"),
        rectangle(0, 0, 9, 9, object="2"),
        ellipse,
    ]
    folder = put(a_png=0, via_json=via(*regions))
    data = read(f"via:{folder / 'via.json'}", folder)
    assert [named(item) for item in data.objects] == [{"nose": (1, 2, 1)}]  # a bad region costs its object
    assert data.skipped["ellipse regions"] == 1 and len(data.faults) == 2
    assert (
        "region 2 is a point without the attribute 'name'" in data.faults[0] and "region 3, key 'cx'" in data.faults[1]
    )


@pytest.mark.parametrize("value", [[], {"a": 1}, {"a": {"regions": 3, "filename": "a"}}, {"images": []}])
def test_a_file_of_another_tool_is_refused_in_one_sentence(put, value):
    folder = put(via_json=value)
    with pytest.raises(InputError, match=r"via\.json"):
        read(f"via:{folder / 'via.json'}", folder)
