"""What a type checker sees of the public names: a user's script is checked as the library itself is."""

import re
from pathlib import Path

import pytest

import anykeypoint as ak

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import anykeypoint as ak

reveal_type(ak.load())
reveal_type(ak.load("fast"))
reveal_type(ak.load("kptllm-small"))
reveal_type(ak.read_picture("a.jpg"))
reveal_type(ak.Client().predict("a.jpg", "bird"))
pose: ak.Pose = ak.Client().predict("a.jpg", "bird")
pose.xz
ak.Exemple
ak.Detection((0, 0, 1, 1), 0.5, "dog").wort
ak.Example("a.jpg", pose.xy).marked
ak.show(pose)
"""
ANSWERS = """
import numpy as np

import anykeypoint as ak

dog = ak.category("dog")
for model in (ak.load(), ak.load("capellm-small"), ak.load("kptllm-small")):
    reveal_type(model.predict("a.jpg", dog))
    reveal_type(model.predict("a.jpg", dog, (0, 0, 9, 9), density=True))
    reveal_type(model.predict("a.jpg", "dog", [[0, 0, 9, 9]]))
    reveal_type(model.predict(["a.jpg"], dog))
    model.predict("a.jpg", dog, box="0, 0, 9, 9")
    model.predict("a.jpg")
"""
ADAPTED = """
from pathlib import Path

import numpy as np

import anykeypoint as ak
from anykeypoint.models.matching.adapted.adapted_model import AdaptedModel


def answers(model: AdaptedModel) -> None:
    reveal_type(model.predict("a.jpg"))
    reveal_type(model.predict("a.jpg", ["beak"], (0, 0, 9, 9), density=True))
    reveal_type(model.predict(Path("a.jpg"), None, [[0, 0, 9, 9]]))
    reveal_type(model.predict("a.jpg", box=[[0, 0, 9, 9]]))
    reveal_type(model.predict("a.jpg", box=np.zeros((2, 4))))
    reveal_type(model.predict(["a.jpg"], ["beak"]))
    model.predict("a.jpg", box="0, 0, 9, 9")


reveal_type(ak.adapt("coco:labels.json", "out").predict("a.jpg"))
"""


def checked(script: str, folder: Path, monkeypatch) -> tuple[str, list[str]]:
    """What the type checker says of a script, and the types that it reveals, without their modules."""
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(Path(ak.__file__).parents[1]))
    (folder / "script.py").write_text(script, encoding="utf-8")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"), "--strict"]
    said, failed, _ = api.run([*options, str(folder / "script.py")])
    assert not failed, failed
    return said, [re.sub(r"\w+\.", "", kind) for kind in re.findall(r'Revealed type is "([^"]*)"', said)]


def test_the_public_names_have_their_types_and_no_others(tmp_path, monkeypatch):
    said, kinds = checked(SCRIPT, tmp_path, monkeypatch)
    assert kinds == ["MatchingModel", "MatchingModel", "KptLLM", "UprightPicture", "Pose"], said
    assert re.findall(r'has no attribute "(\w+)"', said) == ["xz", "Exemple", "wort"], said
    assert said.count("error:") == 3, said


def test_one_object_gives_a_pose_and_several_give_lists(tmp_path, monkeypatch):
    said, kinds = checked(ANSWERS, tmp_path, monkeypatch)
    assert kinds == ["Pose", "Pose", "list[Pose]", "list[Any]"], said  # of all three models
    assert said.count("error:") == 2, said


def test_an_adapted_model_gives_the_same_and_needs_no_category(tmp_path, monkeypatch):
    said, kinds = checked(ADAPTED, tmp_path, monkeypatch)
    assert kinds == ["Pose", "Pose", "list[Pose]", "list[Pose]", "Any", "list[Any]", "Pose"], said
    assert said.count("error:") == 1, said
