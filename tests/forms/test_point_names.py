"""A name of a point in another spelling is the same point; two spellings of it in one object are a fault."""

import json

import pytest
from PIL import Image

from anykeypoint.forms.faults.doctor import examine_labels
from anykeypoint.forms.registry import load, read

PLACES = [(10, 20), (30, 40), (50, 35)]


def labelme(folder, pictures):
    for picture, names in pictures.items():
        shapes = [
            {"label": name, "points": [place], "group_id": 1, "shape_type": "point", "flags": {}}
            for name, place in zip(names, PLACES, strict=False)
        ]
        text = json.dumps({"shapes": shapes, "imagePath": f"{picture}.png"})
        (folder / f"{picture}.json").write_text(text)
    return f"labelme:{folder}"


def labelstudio(folder, pictures):
    size = {"original_width": 100, "original_height": 100}
    tasks = []
    for picture, names in pictures.items():
        result = [
            {"id": name, "type": "keypointlabels", **size, "value": {"x": x, "y": y, "keypointlabels": [name]}}
            for name, (x, y) in zip(names, PLACES, strict=False)
        ]
        tasks.append({"id": picture, "data": {"image": f"{picture}.png"}, "annotations": [{"result": result}]})
    (folder / "l.json").write_text(json.dumps(tasks))
    return f"labelstudio:{folder / 'l.json'}"


def imglab(folder, pictures):
    entries = []
    for picture, names in pictures.items():
        parts = [f"<part name='{n}' x='{x}' y='{y}'/>" for n, (x, y) in zip(names, PLACES, strict=False)]
        box = f"<box top='5' left='5' width='60' height='60'>{''.join(parts)}</box>"
        entries.append(f"<image file='{picture}.png'>{box}</image>")
    (folder / "l.xml").write_text(f"<dataset><images>{''.join(entries)}</images></dataset>")
    return f"imglab:{folder / 'l.xml'}"


def via(folder, pictures):
    entries = {}
    for picture, names in pictures.items():
        regions = [
            {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": {"part": name}}
            for name, (x, y) in zip(names, PLACES, strict=False)
        ]
        entries[picture] = {"filename": f"{picture}.png", "size": 1, "regions": regions}
    (folder / "l.json").write_text(json.dumps(entries))
    return f"via:{folder / 'l.json'}"


def cvat(folder, pictures):
    entries = []
    for picture, names in pictures.items():
        parts = [f'<points label="{n}" points="{x},{y}"/>' for n, (x, y) in zip(names, PLACES, strict=False)]
        skeleton = f'<skeleton label="cat">{"".join(parts)}</skeleton>'
        entries.append(f'<image id="{picture}" name="{picture}.png">{skeleton}</image>')
    (folder / "l.xml").write_text(f"<annotations>{''.join(entries)}</annotations>")
    return f"cvat:{folder / 'l.xml'}"


def dlc(folder, pictures):
    """A table for each picture, joined into one file, as people join the tables of videos."""
    lines = []
    for picture, names in pictures.items():
        heads = [(f"{name},{name}", "x,y", f"{x},{y}") for name, (x, y) in zip(names, PLACES, strict=False)]
        parts, axes, places = (",".join(cells) for cells in zip(*heads, strict=True))
        lines += ["scorer" + ",me,me" * len(heads), f"bodyparts,{parts}", f"coords,{axes}", f"{picture}.png,{places}"]
    (folder / "l.csv").write_text("\n".join(lines))
    return f"dlc:{folder / 'l.csv'}"


FORMS = pytest.mark.parametrize("write", [labelme, labelstudio, imglab, via, cvat, dlc])


def put(folder, write, pictures):
    for picture in pictures:
        Image.new("RGB", (100, 100)).save(folder / f"{picture}.png")
    return write(folder, pictures)


@FORMS
@pytest.mark.parametrize(
    ("usual", "other"), [("nose", "Nose"), ("left_ear", "left ear"), ("é", "e\u0301"), ("nose", "\u200bno\ufeffse")]
)
def test_a_name_in_another_spelling_is_the_point_that_most_objects_name(tmp_path, write, usual, other):
    spec = put(tmp_path, write, {"1": [other, "tail"], "2": [usual, "tail"], "3": [usual, "tail"]})
    data = read(spec, tmp_path, strict=True)
    assert [sorted(k.label or k.name for k in item.category.keypoints) for item in data.objects] == [
        sorted([usual, "tail"])
    ] * 3
    assert all(PLACES[0] in map(tuple, item.points.tolist()) for item in data.objects)
    (note,) = [note for note in data.notes if "same name" in note]
    assert note.startswith(f"1 points {other!r} of ") and "1.png" in note and f"read as {usual!r}" in note
    report = examine_labels(load(spec, tmp_path), tmp_path)
    assert not [fault for fault in report.faults if fault.kind in ("names of points", "cannot be read")]


@FORMS
def test_two_spellings_of_a_name_in_one_object_cost_it_alone_and_are_named(tmp_path, write):
    spec = put(tmp_path, write, {"1": ["nose", "tail"], "2": ["nose", "tail", "Nose"]})
    data = read(spec, tmp_path)
    assert [item.image.name for item in data.objects] == ["1.png"]
    (fault,) = data.faults
    assert str(tmp_path) in fault and "2" in fault.replace(str(tmp_path), "") and "'nose' and 'Nose'" in fault


def test_confidences_and_edges_go_with_the_name(tmp_path):
    regions = [
        {"id": name, "type": "keypointlabels", "original_width": 100, "original_height": 100, "score": score}
        | {"value": {"x": 1, "y": 1, "keypointlabels": [name]}}
        for name, score in (("Nose", 0.25), ("tail", 0.5))
    ]
    prediction = {"annotations": [], "predictions": [{"result": regions}]}
    tasks = [
        {"id": 1, "data": {"image": "1.png", "keypoints": {"object": ["nose", "tail"]}}, **prediction},
        {"id": 2, "data": {"image": "2.png"}, "annotations": [], "predictions": [{"result": regions[1:]}]},
    ]
    other = [{**regions[0], "value": {"x": 1, "y": 1, "keypointlabels": ["nose"]}}]
    tasks += [{"id": 3, "data": {"image": f"{i}.png"}, "annotations": [{"result": other}]} for i in (3, 4)]
    for i in range(1, 5):
        Image.new("RGB", (100, 100)).save(tmp_path / f"{i}.png")
    (tmp_path / "l.json").write_text(json.dumps(tasks))
    first = read(f"labelstudio:{tmp_path / 'l.json'}", tmp_path).objects[0]
    assert first.category.names == ["nose", "tail"] and first.confidence.tolist() == [0.25, 0.5]
    svg = "".join(
        f'&lt;circle data-node-id="{i}" data-label-name="{name}"/&gt;' for i, name in enumerate(("Nose", "tail"))
    )
    svg += '&lt;line data-node-from="0" data-node-to="1"/&gt;'
    drawing = f"<meta><label><name>cat</name><svg>{svg}</svg></label></meta>"
    spec = cvat(tmp_path, {"1": ["nose", "tail"]})
    file = tmp_path / "l.xml"
    file.write_text(file.read_text().replace("<annotations>", f"<annotations>{drawing}"))
    assert read(spec, tmp_path).objects[0].category.skeleton == ((0, 1),)
