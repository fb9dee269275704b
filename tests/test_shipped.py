"""What is said of every shipped model: it is small, has a card that is honest about it, and no optimiser or pickle."""

import pytest

from anykeypoint import cli
from anykeypoint.models.loading import find
from anykeypoint.models.sources import packages
from anykeypoint.models.sources.packages import PACKAGES

MOST = {"fast": 20e6, "capellm-small": 25e6, "kptllm-small": 25e6}  # bytes
NEEDED = {
    "capellm-small": {"smollm2-135m", "efficientnet-lite2"},
    "fast": {"efficientnet-lite2", "minilm-l6"},
    "kptllm-small": {"smollm2-135m", "efficientnet-lite2"},
}


@pytest.mark.parametrize("name", MOST)
def test_it_is_small_and_safe_and_has_a_card(name):
    folder = find(name)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
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
