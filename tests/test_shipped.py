"""What is said of every shipped model: it is small, has a card that is honest about it, and no optimiser or pickle.

And of the held-out checkpoints beside them: every shipped model has one, and it is what it says it is.
"""

import json
from pathlib import Path

import pytest

from anykeypoint import cli
from anykeypoint.models.loading import find
from anykeypoint.models.shipped import HELD_OUT, held_out_folder, held_out_names, shipped_folder
from anykeypoint.models.sources import packages
from anykeypoint.models.sources.packages import PACKAGES

MOST_TRAINED, MOST_IN_WHEEL, MOST_TOGETHER = 20e6, 35e6, 90e6  # bytes of one file, and of all of them
ROOT = Path(__file__).parents[1]
MOST = {"fast": 20e6, "accurate": 15e6, "capellm-small": 25e6, "kptllm-small": 25e6}  # bytes
NEEDED = {
    "capellm-small": {"smollm2-135m", "efficientnet-lite2"},
    "fast": {"efficientnet-lite2", "minilm-l6"},
    "accurate": {"efficientnet-lite2", "clip-vit-b16", "minilm-l6"},
    "kptllm-small": {"smollm2-135m", "efficientnet-lite2"},
}


@pytest.mark.parametrize("name", MOST)
def test_it_is_small_and_safe_and_has_a_card(name):
    folder = find(name)
    expected = {"README.md", "config.json", "model.safetensors", "seen_names.json"}
    assert {path.name for path in folder.iterdir()} == expected
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST[name]
    card = (folder / "README.md").read_text()
    for word in ("PCK", "licence", "baseline", "non-commercial", "interval"):
        assert word in card


def test_every_shipped_model_is_listed_here():
    assert sorted(path.name for path in find("fast").parent.iterdir()) == sorted(MOST)


@pytest.mark.parametrize("name", NEEDED)
def test_its_base_weights_are_fetched_by_its_name(name, monkeypatch):
    fetched = []
    monkeypatch.setattr(packages, "fetch", lambda needed, report: fetched.append(needed))
    with pytest.raises(SystemExit) as ended:
        cli.main(["weights", name])
    assert ended.value.code == 0
    assert set(fetched) == NEEDED[name] <= set(PACKAGES)


def weights(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def test_trained_files_are_below_the_limits():
    files = [path for folder in (shipped_folder(), held_out_folder()) for path in folder.rglob("*.safetensors")]
    assert len(files) >= len(MOST) and max(path.stat().st_size for path in files) < MOST_TRAINED
    assert weights(shipped_folder()) < MOST_IN_WHEEL
    assert weights(shipped_folder()) + weights(held_out_folder()) < MOST_TOGETHER


def test_every_shipped_model_has_a_held_out_checkpoint_that_no_wheel_takes():
    assert sorted(held_out_names()) == sorted(f"{name}{HELD_OUT}" for name in MOST)
    assert held_out_folder() == ROOT / "pretrained" / "held_out"  # setuptools takes packages of src alone


@pytest.mark.parametrize("name", MOST)
def test_a_held_out_checkpoint_has_other_weights_and_saw_fewer_names(name):
    held_out, shipped = held_out_folder() / name, shipped_folder() / name
    assert (held_out / "model.safetensors").read_bytes() != (shipped / "model.safetensors").read_bytes()
    assert (held_out / "config.json").read_text() == (shipped / "config.json").read_text()
    names = [set(json.loads((folder / "seen_names.json").read_text())["names"]) for folder in (held_out, shipped)]
    assert names[0] < names[1]
