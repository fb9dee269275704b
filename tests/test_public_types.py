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


def test_the_public_names_have_their_types_and_no_others(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(Path(ak.__file__).parents[1]))
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"), "--strict"]
    said, failed, _ = api.run([*options, str(tmp_path / "script.py")])
    assert not failed, failed
    kinds = [kind.rsplit(".", 1)[-1] for kind in re.findall(r'Revealed type is "([^"]*)"', said)]
    assert kinds == ["MatchingModel", "MatchingModel", "KptLLM", "UprightPicture", "Pose"], said
    assert re.findall(r'has no attribute "(\w+)"', said) == ["xz", "Exemple", "wort"], said
    assert said.count("error:") == 3, said
