"""Configs are read strictly and written back: nested ones, unions, tuples, and keys of older versions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from anykeypoint.configs.strict import Config
from anykeypoint.errors import InputError


@dataclass(frozen=True)
class Point(Config):
    x: int
    y: int = 0


@dataclass(frozen=True)
class Circle(Config):
    called: ClassVar[str] = "The options of a circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Square(Config):
    side: float = 1.0


@dataclass(frozen=True)
class Drawing(Config):
    called: ClassVar[str] = "The options of a drawing"
    former_keys: ClassVar[Mapping[str, str]] = {"figure": "shape"}

    kind: str = "circle"
    shape: Circle | Square | None = None
    origin: Point = field(default_factory=lambda: Point(0))
    mark: Point | None = None
    path: tuple[Point, ...] = ()
    sizes: tuple[int, int] | None = None
    names: tuple[str, ...] = ()
    free: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def config_type(cls, field: str, values: Mapping[str, Any]) -> type[Config]:
        return {"circle": Circle, "square": Square}[values.get("kind", "circle")]


FULL = Drawing("square", Square(2.0), Point(1, 2), Point(3), (Point(4), Point(5, 6)), (7, 8), ("a",), {"k": (1, 2)})


def test_a_config_survives_the_round_trip_through_json():
    again = Drawing.from_dict(json.loads(json.dumps(FULL.to_dict())))
    assert again == Drawing(**{**FULL.__dict__, "free": {"k": [1, 2]}})


def test_what_is_left_out_takes_its_default_and_null_stays_none():
    assert Drawing.from_dict({}) == Drawing()
    assert Drawing.from_dict({"mark": None, "sizes": None, "shape": None}) == Drawing()


def test_another_field_decides_which_of_several_configs_a_mapping_is():
    assert Drawing.from_dict({"shape": {"radius": 3}}).shape == Circle(3)
    assert Drawing.from_dict({"kind": "square", "shape": {"side": 3}}).shape == Square(3)


def test_a_config_that_is_there_already_is_taken_as_it_is():
    assert Drawing.from_dict({"shape": Square(9.0), "origin": Point(1)}) == Drawing(shape=Square(9.0), origin=Point(1))


def test_a_key_of_an_older_version_is_read_as_the_field_of_today_and_never_written():
    drawing = Drawing.from_dict({"figure": {"radius": 2}})
    assert drawing == Drawing(shape=Circle(2)) and "figure" not in drawing.to_dict()


def test_the_data_that_is_read_stays_as_it_was():
    data = {"figure": {"radius": 2}, "path": [{"x": 1}]}
    before = json.dumps(data)
    Drawing.from_dict(data)
    assert json.dumps(data) == before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "The options of a drawing must be a mapping, but got 3"),
        ({"colour": 1}, "options of a drawing have the unknown key 'colour'; known keys are kind, shape, origin"),
        ({"shape": {"side": 1}}, "options of a circle have the unknown key 'side'"),
        ({"shape": 3}, "options of a circle must be a mapping, but got 3"),
        ({"origin": None}, "must be a mapping, but got None"),
        ({"origin": {}}, "must have a x; give one"),
        ({"path": [{"x": 1}, {"y": 1}]}, "must have a x"),
        ({"path": [{"x": 1, "z": 1}]}, "unknown key 'z'"),
        ({"figure": None, "shape": None}, "have both 'figure' and 'shape', which mean the same; give 'shape' alone"),
    ],
)
def test_wrong_options_are_refused_in_one_sentence(data, message):
    with pytest.raises(InputError, match=message) as error:
        Drawing.from_dict(data)
    assert "\n" not in str(error.value)
