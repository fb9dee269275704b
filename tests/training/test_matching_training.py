"""Training matchers: what an episode asks, exact resumes, and what stays as it was."""

import json
from dataclasses import replace

import pytest
import tiny_trainees
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from training.killed import run_until_killed

from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset
from anykeypoint.models.matching.model import MatchingModel
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig, ModalityDropout
from anykeypoint.training.matching.matcher_trainer import MatcherTrainer, train

CONFIG = MatcherTrainConfig(sampling="balanced", steps=4, batch=2, lr=1e-3, warmup=2, drops=(0.5,), save_every=2)
ALL = replace(  # everything at once that a checkpoint could forget
    CONFIG,
    accumulate=2,
    ema=0.9,
    clip=1.0,
    encoder_lr=1e-4,
    support_points_fraction=0.7,
    modality_dropout=ModalityDropout(words_only=0.3, example_only=0.3),
)
LONG = replace(ALL, steps=500, save_every=1, versions=2)
EPOCHS = replace(CONFIG, sampling="released", steps=0, epochs=1, schedule="cosine", weight_decay=0.1)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 8, seed=2), folder / "images")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Where the tiny text encoder lies."""
    return tmp_path_factory.mktemp("base")


def run(base, data, out, config=CONFIG, name="dlf", model=None, **options):
    """A run from the same start; its model and the figures of its steps."""
    figures = []
    model = model or tiny_trainees.matcher(name, base, "full", dropout=0.1)
    train(model, data, config, out, on_step=lambda step, found: figures.append(found), **options)
    return model, figures


def same(one: MatchingModel, other: MatchingModel) -> bool:
    ours, theirs = one.saved_tensors(), other.saved_tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# --- runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [ALL, EPOCHS], ids=["all", "epochs"])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, base, data, config):
    whole, figures = run(base, data, tmp_path / "whole", config)
    _, first = run(base, data, tmp_path / "parts", config, stop_after=3)  # the checkpoint is from step 2
    resumed, second = run(base, data, tmp_path / "parts", config)
    assert first + second[1:] == figures and second[0] == first[2] and len(figures) == 4
    assert same(whole, resumed)
    saved = MatchingModel.from_pretrained(tmp_path / "parts" / "model")
    assert same(saved, whole) and not saved.training


def test_what_batch_norms_remember_is_resumed_too(tmp_path, base, data):
    whole, _ = run(base, data, tmp_path / "whole", name="pomnet")
    run(base, data, tmp_path / "parts", name="pomnet", stop_after=3)
    resumed, _ = run(base, data, tmp_path / "parts", name="pomnet")
    assert same(whole, resumed) and whole.head.matching[1].num_batches_tracked == 4


def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path, base, data, one_thread):
    tiny_trainees.config("flf", base)  # writes the text encoder
    log = tmp_path / "killed" / "log.jsonl"
    before = run_until_killed(log, 2, lambda: run(base, data, tmp_path / "killed", LONG, "flf"))
    run(base, data, tmp_path / "killed", LONG, "flf", stop_after=before + 2)
    _, figures = run(base, data, tmp_path / "whole", LONG, "flf", stop_after=before + 2)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, before + 3))
    assert [line["loss"] for line in lines] == [found["loss"] for found in figures]


def test_two_passes_are_one_of_twice_the_episodes(tmp_path, base, data):
    def trained(out, **options):
        config = replace(CONFIG, modality_dropout=ModalityDropout(words_only=0.4, example_only=0.4), **options)
        model = tiny_trainees.matcher("dlf", base)  # no dropout: its draws are a pass's own
        return run(base, data, tmp_path / out, config, model=model)

    (twice, figures), (once, others) = trained("twice", batch=2, accumulate=2), trained("once", batch=4)
    for found, other in zip(figures, others, strict=True):
        assert found == pytest.approx(other, rel=1e-4)
    for name, tensor in twice.saved_tensors().items():
        if name.endswith("in_proj_bias"):  # the keys' part has no gradient but rounding, which Adam makes large
            continue
        assert torch.allclose(tensor, once.saved_tensors()[name], atol=1e-5), name


def test_a_frozen_backbone_and_the_words_stay_and_the_rest_moves(tmp_path, base, data):
    model = tiny_trainees.matcher("flf", base)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run(base, data, tmp_path / "out", model=model)
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and all(name.startswith("head.") for name in moved)
    assert {"head.fusion.gamma", "head.guest_projection.weight"} <= moved


def test_a_backbone_that_trains_has_a_rate_of_its_own(tmp_path, base, data):
    model = tiny_trainees.matcher("graphcape", base, "full")
    trainer = MatcherTrainer(model, data, replace(CONFIG, encoder_lr=1e-5))
    head, backbone = trainer.parameter_groups()
    assert (head["lr"], backbone["lr"]) == (1e-3, 1e-5)
    assert len(head["params"]) + len(backbone["params"]) == len(list(model.parameters()))
    assert [group["lr"] for group in MatcherTrainer(model, data, CONFIG).parameter_groups()] == [1e-3, 1e-3]
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    run(base, data, tmp_path, replace(CONFIG, encoder_lr=1e-5), model=model, stop_after=1)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in model.encoder.state_dict().items())


def test_the_average_of_the_weights_is_what_is_saved(tmp_path, base, data):
    model = tiny_trainees.matcher("capex", base)
    parameter = model.head.steps[-1][-1].bias
    average, decay = parameter.detach().clone(), 0.6

    def follow(step, figures):
        average.lerp_(parameter.detach(), 1 - min(decay, step / (step + 9)))

    train(model, data, replace(CONFIG, ema=decay), tmp_path, on_step=follow)
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert torch.allclose(saved[f"head.steps.{len(model.head.steps) - 1}.6.bias"], average, atol=1e-7)
    assert torch.equal(parameter.detach(), saved[f"head.steps.{len(model.head.steps) - 1}.6.bias"])


def test_every_phrase_is_encoded_once(tmp_path, base, data, monkeypatch):
    model = tiny_trainees.matcher("capex", base)
    encoded = []
    encode = model.text_encoder._encode
    monkeypatch.setattr(model.text_encoder, "_encode", lambda phrase: encoded.append(phrase) or encode(phrase))
    run(base, data, tmp_path, model=model)
    assert encoded and len(encoded) == len(set(encoded))


def test_the_step_rate_reaches_the_optimiser(tmp_path, base, data):
    _, figures = run(base, data, tmp_path, name="graphcape", model=tiny_trainees.matcher("graphcape", base))
    shares = [0.001, 0.5005, 0.1, 0.1]
    assert [found["lr"] for found in figures] == pytest.approx([1e-3 * share for share in shares], rel=1e-12)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_what_model_and_recipe_do_not_share_is_refused(tmp_path, base, data):
    capex = tiny_trainees.matcher("capex", base)
    with pytest.raises(InputError, match="capex takes one of them only"):
        MatcherTrainer(capex, data, replace(CONFIG, modality_dropout=ModalityDropout(words_only=0.5)))
    with pytest.raises(InputError, match="set its tuning to frozen"):
        tuned = tiny_trainees.matcher("graphcape", base, "full")
        MatcherTrainer(tuned, data, replace(CONFIG, features="cached", versions=2))
    with pytest.raises(InputError, match="set own_example_encoder to false"):
        pomnet = tiny_trainees.matcher("pomnet", base)
        MatcherTrainer(pomnet, data, replace(CONFIG, features="cached", versions=2))
    with pytest.raises(InputError, match="Nothing of the model is trainable"):
        train(tiny_trainees.matcher("capex", base).requires_grad_(False), data, CONFIG, tmp_path)


def test_a_warm_up_longer_than_the_run_is_refused(tmp_path, base, data):
    """Eight objects of two categories make one step an epoch."""
    trainer = MatcherTrainer(tiny_trainees.matcher("capex", base), data, MatcherTrainConfig(epochs=80))
    with pytest.raises(InputError, match=r"rises for 1000 steps, but the run has 80; write a smaller warmup"):
        trainer.prepare(Accelerator(), tmp_path)


def test_another_run_is_not_continued(tmp_path, base, data):
    run(base, data, tmp_path, stop_after=2)
    with pytest.raises(InputError, match="other settings"):
        run(base, data, tmp_path, replace(CONFIG, lr=0.5))
    with pytest.raises(InputError, match="another model"):
        run(base, data, tmp_path, name="graphcape")


def test_a_nan_loss_stops_with_the_objects_named(tmp_path, base, data):
    model = tiny_trainees.matcher("graphcape", base)
    with torch.no_grad():
        model.head.token_projection.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"loss became nan at step 1 on objects \d"):
        train(model, data, CONFIG, tmp_path)


# --- categories of one object ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["released", "balanced"])
def test_a_category_of_one_object_is_trained_by_words_and_never_with_itself_as_its_example(
    tmp_path, base, data, sampling, capsys
):
    kept = {}
    for item in data.objects:
        kept.setdefault(item.category_id, item)
    alone = Dataset(list(kept.values()), data.categories, {})
    config = replace(CONFIG, sampling=sampling, modality_dropout=ModalityDropout(words_only=0.2, example_only=0.4))
    trainer = MatcherTrainer(tiny_trainees.matcher("dlf", base), alone, config)
    trainer.prepare(Accelerator(cpu=True), tmp_path)
    for number in range(20):
        ((batch, _),) = trainer.load(range(number, number + 1), step=number).batches
        assert batch.prompts[0].text and not batch.prompts[0].example and not len(batch.with_examples)
    assert "trained by words alone" in capsys.readouterr().err
    run(base, alone, tmp_path / "run", config)
    with pytest.raises(InputError, match="needs 2 objects of a category"):
        run(base, alone, tmp_path / "other", name="graphcape")
