"""A key that stands twice: refused in small files, kept apart in files of many objects, never read as the last one."""

import copy

import pytest
import yaml

from anykeypoint.category import Category
from anykeypoint.configs.doubled_keys import doubled_objects, dump_json, open_json, strict_json, strict_yaml
from anykeypoint.configs.yaml_files import load_yaml
from anykeypoint.errors import InputError
from anykeypoint.evaluation.oks import sigmas

TEXT = '{"a": [{"id": 1, "box": [1], "box": [2]}, {"id": 2, "id": 2}]}'


def test_looking_up_a_key_with_two_values_says_where_it_is():
    first, second = open_json(TEXT, "labels.json")["a"]
    for look in (lambda: first["box"], lambda: first.get("box"), lambda: {**first}, lambda: dict(first), first.items):
        with pytest.raises(InputError, match=r"labels.json: a\[0\] has the key 'box' twice, with \[1\] and \[2\]"):
            look()
    assert first["id"] == 1 and first.get("none", 3) == 3 and {**second} == {"id": 2}


def test_what_was_read_is_written_as_it_was():
    assert dump_json(open_json(TEXT, "")) == dump_json(copy.deepcopy(open_json(TEXT, ""))) == TEXT
    assert [place for place, _ in doubled_objects(open_json(TEXT, ""))] == ["a[0]", "a[1]"]
    assert type(open_json('{"a": {"b": 1}}', "")["a"]) is dict


def test_small_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\[0\] has the key 'box' twice"):
        strict_json(TEXT)
    with pytest.raises(yaml.YAMLError, match=r"'c' stands twice \(line 2\)"):
        strict_yaml("a: 1\nb: {c: 1, c: 2}")
    assert strict_yaml("a: &x {b: 1}\nc: {<<: *x, b: 2}") == {"a": {"b": 1}, "c": {"b": 2}}
    (tmp_path / "model.yaml").write_text("steps: 5\nsteps: 7\n")
    with pytest.raises(InputError, match=r"model.yaml: the key 'steps' stands twice"):
        load_yaml(tmp_path / "model.yaml")
    (tmp_path / "cat.json").write_text('{"name": "cat", "name": "dog", "keypoints": ["nose"]}')
    with pytest.raises(InputError, match=r"cat.json: the object has the key 'name' twice"):
        Category.from_file(tmp_path / "cat.json")
    (tmp_path / "sigmas.json").write_text('{"nose": 0.1, "nose": 0.2}')
    with pytest.raises(InputError, match=r"sigmas.json: the object has the key 'nose' twice"):
        sigmas(str(tmp_path / "sigmas.json"))
