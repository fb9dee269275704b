"""Held-out checkpoints by name: NAME@held-out, from a checkout; an installed package says where they are."""

import shutil

import pytest

from anykeypoint.cli.choice import check_model
from anykeypoint.cli.options import complete_models
from anykeypoint.cli.weights import listing
from anykeypoint.errors import InputError, RenamedWarning
from anykeypoint.models import shipped
from anykeypoint.models.loading import find
from anykeypoint.models.needed_weights import needed_weights
from anykeypoint.models.shipped import held_out_names, shipped_folder

HELD_OUT = "fast@held-out"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A copy of the repository's folders of two models."""
    package = tmp_path / "src" / "anykeypoint" / "pretrained"
    for name in ("fast", "kptllm-small"):
        (package / name).mkdir(parents=True)
        shutil.copy(shipped_folder() / name / "config.json", package / name)
        (tmp_path / "pretrained" / "held_out" / name).mkdir(parents=True)
        shutil.copy(package / name / "config.json", tmp_path / "pretrained" / "held_out" / name)
    monkeypatch.setattr(shipped, "shipped_folder", lambda: package)
    return tmp_path


def test_a_held_out_checkpoint_has_a_folder_of_its_own(repository):
    assert find(HELD_OUT) == repository / "pretrained" / "held_out" / "fast"
    assert find("fast") == repository / "src" / "anykeypoint" / "pretrained" / "fast"
    assert held_out_names() == [HELD_OUT, "kptllm-small@held-out"]


def test_a_former_name_has_the_held_out_checkpoint_of_todays(repository, monkeypatch):
    monkeypatch.setattr(shipped, "_warned", set())
    with pytest.warns(RenamedWarning, match="kptllm-small"):
        assert find("kpt@held-out") == find("kptllm-small@held-out")


def test_it_goes_through_the_verbs_by_its_name():
    check_model(HELD_OUT, ["example", "explain", "density"])
    with pytest.raises(InputError, match="'fast@held-out' takes no --strategy"):
        check_model(HELD_OUT, ["strategy"])
    assert needed_weights(HELD_OUT) == needed_weights("fast")
    assert HELD_OUT in complete_models("fa") and complete_models("fast@") == [HELD_OUT]
    assert f"  {HELD_OUT}" in listing()


def test_an_installed_package_says_where_held_out_checkpoints_are(repository):
    shutil.rmtree(repository / "pretrained")
    with pytest.raises(InputError, match=r"in the repository; .*checkout .*pretrained/held_out/fast\.$"):
        find(HELD_OUT)
    assert held_out_names() == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("capellm-small@held-out", "There is no held-out checkpoint 'capellm-small@held-out'"),
        ("fats@held-out", "There is no model 'fats@held-out'.*fast@held-out"),
        ("fast@latest", "There is no model 'fast@latest'"),
        ("@held-out", "There is no model '@held-out'"),
    ],
)
def test_a_name_that_is_none_is_refused_with_a_near_one(repository, name, says):
    with pytest.raises(InputError, match=says):
        find(name)
