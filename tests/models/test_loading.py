"""Model folders by their kind: every entry of the registry names a loader, and loading names no family."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_matchers import matcher, picture

from anykeypoint.configs.lazy import resolve
from anykeypoint.detection.registry import DETECTORS
from anykeypoint.errors import InputError
from anykeypoint.models import registry
from anykeypoint.models.device import pick_device
from anykeypoint.models.loading import from_folder, load
from anykeypoint.models.registry import MODEL_TYPES, ModelType
from anykeypoint.models.sources.packages import PACKAGES


@pytest.mark.parametrize(
    "target",
    [kind.load for kind in MODEL_TYPES.values()]
    + [package.converter for package in PACKAGES.values() if package.converter]
    + list(DETECTORS.values()),
)
def test_every_name_in_a_registry_is_something_to_call(target):
    assert callable(resolve(target))


def test_every_kind_of_folder_gives_a_kind_of_model():
    assert {kind.gives or name for name, kind in MODEL_TYPES.items()} == {
        "matcher",
        "capellm",
        "kptllm",
        "image_text",
        "few_shot",
        "adapted",
    }


@pytest.mark.parametrize("module", ["models.loading", "models.sources.packages", "models.registry"])
def test_loading_and_fetching_import_no_family_and_no_network(module):
    code = f"import sys, anykeypoint.{module}; print(*(name for name in sys.modules if name.startswith('anykeypoint')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"anykeypoint.{module}" in found
    rooms = ("matching", "generative", "fewshot", "towers")
    assert [name for name in found if name.startswith(tuple(f"anykeypoint.models.{room}" for room in rooms))] == []


def made_up(folder, dtype):
    return folder, dtype


def test_a_new_kind_of_folder_is_one_more_entry(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.MODEL_TYPES, "made_up", ModelType(f"{__name__}:made_up", options=()))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "made_up"}))
    assert from_folder(tmp_path, torch.float16) == (tmp_path, torch.float16)


@pytest.mark.parametrize("expected", [None, "matcher"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "not a model folder"),
        ("[1]", "must hold a mapping"),
        ('{"model_type": "bert"}', "does not describe a matcher"),
        ("{}", "does not describe a matcher"),
    ],
)
def test_a_folder_of_no_known_kind_is_refused(tmp_path, content, message, expected):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=message):
        from_folder(tmp_path, expected=expected)


def test_a_folder_of_another_kind_than_expected_is_refused_before_it_is_loaded(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "matcher"}')
    with pytest.raises(
        InputError, match="a capellm or cape-llm model but one of the kind matcher, which cannot be taken"
    ):
        from_folder(tmp_path, expected="capellm")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="model; give a folder that this library saved"):
        from_folder(tmp_path, expected="capellm")


def test_devices_and_precisions_are_checked_before_the_model_is_looked_up():
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="no device 'tpu9'"):
        load("no such model", device="tpu9")
    with pytest.raises(InputError, match="dtype must be one of float32, bfloat16, float16, but got 'int8'"):
        load("no such model", dtype="int8")
    with pytest.raises(InputError, match="got 'int8'"):
        load("no such model", dtype=torch.int8)
    with pytest.raises(InputError, match="There is no model 'nix'"):
        load("nix", dtype=torch.bfloat16)
    with pytest.raises(InputError, match="device 'meta' cannot be used here"):
        load("no such model", device="meta")
    with pytest.raises(InputError, match="at most 4096 pixels, but got 100000"):
        load("no such model", image_size=100_000)
    with pytest.raises(InputError, match="by its name, its folder or a hub id, but got ''"):
        load("")


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_then_apples_gpu_then_the_cpu(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device("auto") == torch.device(chosen)


def test_apples_gpu_that_is_not_there_is_refused_with_a_sentence():
    if torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match=r"'mps' cannot be used here: .*; use auto, cpu, cuda or mps"):
        pick_device("mps")


@pytest.mark.parametrize(
    ("system", "own", "set_to"), [("darwin", None, "1"), ("darwin", "0", "0"), ("linux", None, None)]
)
def test_on_apples_systems_what_the_gpu_lacks_is_computed_on_the_cpu(system, own, set_to):
    """Torch reads the setting when it is loaded, which `import anykeypoint` does not do."""
    code = (
        f"import sys; sys.platform = {system!r}; import anykeypoint, os; assert 'torch' not in sys.modules; "
        "print(os.environ.get('PYTORCH_ENABLE_MPS_FALLBACK'))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTORCH_ENABLE_MPS_FALLBACK"}
    environment |= {} if own is None else {"PYTORCH_ENABLE_MPS_FALLBACK": own}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(set_to)


def test_no_answer_is_widened_on_the_device(tmp_path):
    """Apple's GPUs have no float64: numbers leave the device before they become that."""
    sources = Path(pick_device.__code__.co_filename).parent.rglob("*.py")
    found = [str(path) for path in sources if re.search(r"\.double\(\)(\.[a-z]+\([^)]*\))*\.cpu\(\)", path.read_text())]
    assert found == []


def test_without_docstrings_the_library_says_that_no_model_can_be_loaded(tmp_path):
    """`python -OO`: transformers makes its classes from docstrings."""
    (tmp_path / "a.png").write_bytes(b"")
    loads = ["-c", "import anykeypoint as ak; print(ak.category('bird').name); ak.load('fast')"]
    asks = ["-m", "anykeypoint", "predict", str(tmp_path / "a.png"), "--keypoints", "nose", "-o", str(tmp_path / "out")]
    loading, asking = (
        subprocess.run([sys.executable, "-OO", *one], capture_output=True, text=True) for one in (loads, asks)
    )
    sentence = (
        "Models cannot be loaded under python -OO (PYTHONOPTIMIZE=2), which drops the docstrings that transformers "
        "reads; take -O or none."
    )
    assert loading.stdout == "bird\n" and loading.stderr.splitlines()[-1].endswith(f"InputError: {sentence}")
    assert (asking.returncode, asking.stderr) == (2, f"error: {sentence}\n")


def test_without_assertions_a_model_answers_the_same(tmp_path):
    """`python -O`, under which nothing may rest on them."""
    matcher("capex", tmp_path).save_pretrained(tmp_path / "model")
    Image.fromarray(picture(1)).save(tmp_path / "a.png")
    code = "import sys, anykeypoint as ak; print(ak.load(sys.argv[1]).predict(sys.argv[2], ['nose', 'left ear']).xy)"
    asked = ["-c", code, str(tmp_path / "model"), str(tmp_path / "a.png")]
    plain, without = (
        subprocess.run([sys.executable, *flags, *asked], capture_output=True, text=True, check=True).stdout
        for flags in ([], ["-O"])
    )
    assert plain == without != ""
