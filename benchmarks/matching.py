"""How long matchers take: the published sizes with random weights, looking once for many categories, any saved model.

    python benchmarks/matching.py --json matching.json
    python benchmarks/matching.py --model folder/ --threads 1 2
    python benchmarks/matching.py --table5 --device cuda --threads 1

Forward: GraphCape (one example) and CapeX (words) with Swin-V2-T and -S at 256 pixels, from normalised crops to points,
in ms for one image, and each one's share of it that the backbone takes. CapeX is given its phrases, as they are read
once. Many categories: the query's features once and then N matches, beside looking anew for each. Batch, keypoints and
model are compared within one round, so the machine cancels out of the ratios.

--onnx: the same forward pass for one image by ONNX Runtime beside torch (exporting takes a minute or more before).
Both are given the example's features, so both look once.

--table5: the fusion paper's Table 5: GraphCape, CapeX, FLF and DLF with Swin-V2-S, as the mean time and the frames a
second of --runs runs (100 in the paper, on an RTX 3060; --device says where). One query, ten keypoints, one example
where the model takes one, and ten phrases of six tokens through a text encoder of gte-base-en-v1.5's sizes where it
reads text, as in the published code, which keeps neither between two runs. The printed times stand beside ours.

--model: a saved matcher from the encoded file in memory to points in original pixels, by each prompt that it answers
to. `example` has the example's features kept, as in use; `new_example` looks at it too. With --onnx also the forward
pass from the crop, by ONNX Runtime beside torch.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import anykeypoint as ak
from anykeypoint.example import Example
from anykeypoint.models.matching.export import ExportedMatcher, export, prompt_inputs
from anykeypoint.models.matching.heads.base import Prompt
from anykeypoint.models.matching.heads.registry import head_class
from anykeypoint.models.matching.inputs import cut
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import MatchingModel, assemble
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

PHOTO = Path(__file__).resolve().parents[1] / "examples" / "astronaut.jpg"
TABLE_5 = {"graphcape": 61.85, "capex": 38.27, "flf": 61.35, "dlf": 68.85}  # the printed ms
TEN, SIX = 10, 6  # keypoints, and tokens of a phrase, that the table's FLOPs fit (`tools/fusion_costs.py`)
SIZE, CELLS, WORDS = 256, 64, 768  # pixels a side; cells a side of a heat map; channels of a phrase


def rounds(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run in each of `repeats` rounds, in which all take turns; a first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                found[name].append(time.perf_counter() - start)
    return found


def ratio(first: list[float], second: list[float]) -> float:
    """The median over the rounds of first / second."""
    return statistics.median(a / b for a, b in zip(first, second, strict=True))


def random_matcher(name: str, backbone: str) -> MatchingModel:
    """GraphCape or CapeX at its published size, without a text encoder."""
    kind = head_class(name)
    config = MatcherConfig(name, VisionConfig(backbone, RANDOM, SIZE), head=kind.published())
    torch.manual_seed(0)
    return MatchingModel(config, build_encoder(config.vision), kind(config.head)).eval()


def prompt(name: str, batch: int, keypoints: int) -> dict[str, Tensor]:
    """Random phrases for CapeX, heat maps and pixels of a random example for GraphCape."""
    if name == "capex":
        return {"phrases": torch.randn(batch, keypoints, WORDS)}
    heat = torch.rand(batch, 1, keypoints, CELLS, CELLS)
    return {"examples": torch.randn(batch, 1, 3, SIZE, SIZE), "heat": heat}


def ask(
    model: MatchingModel, query: Tensor, valid: Tensor, given: Mapping[str, Tensor], skeletons: list | None = None
) -> Tensor:
    """The points of queries given as pixels."""
    asked = Prompt(phrases=given.get("phrases"), heatmaps=given.get("heat"), skeletons=skeletons)
    return model(query, valid, asked, given.get("examples")).points


def forward(backbone: str, batch: int, keypoints: int, repeats: int) -> dict[str, float]:
    """Times of one forward pass, for one image of the batch."""
    query, valid = torch.randn(batch, 3, SIZE, SIZE), torch.ones(batch, keypoints, dtype=torch.bool)
    skeletons = [[(i, i + 1) for i in range(keypoints - 1)]] * batch
    models = {name: random_matcher(name, backbone) for name in ("graphcape", "capex")}
    told = {name: prompt(name, batch, keypoints) for name in models}
    runs = {name: lambda name=name: ask(models[name], query, valid, told[name], skeletons) for name in models}
    taken = rounds({"backbone": lambda: models["capex"].features(query), **runs}, repeats)
    return {
        **{f"{name}_ms": 1000 * statistics.median(taken[name]) / batch for name in models},
        "capex_of_graphcape": ratio(taken["capex"], taken["graphcape"]),
        "backbone_of_graphcape": 2 * ratio(taken["backbone"], taken["graphcape"]),
        "backbone_of_capex": ratio(taken["backbone"], taken["capex"]),
    }


def many_categories(backbone: str, categories: int, keypoints: int, repeats: int) -> dict[str, float]:
    """Asking one picture about N categories by words: with its features kept, and looking at it for each."""
    model = random_matcher("capex", backbone)
    query, valid = torch.randn(1, 3, SIZE, SIZE), torch.ones(1, keypoints, dtype=torch.bool)
    asked = [prompt("capex", 1, keypoints) for _ in range(categories)]

    def once() -> list[Tensor]:
        features = model.features(query)
        return [model.match(features, valid, Prompt(**one)).points for one in asked]

    def anew() -> list[Tensor]:
        return [ask(model, query, valid, one) for one in asked]

    taken = rounds({"once": once, "anew": anew}, repeats)
    return {
        "once_ms": 1000 * statistics.median(taken["once"]),
        "anew_ms": 1000 * statistics.median(taken["anew"]),
        "speedup": ratio(taken["anew"], taken["once"]),
        "same_points": all(torch.equal(a, b) for a, b in zip(once(), anew(), strict=True)),
    }


def runtime(
    model: MatchingModel, prompt: str, inputs: Mapping[str, Tensor], threads: int, repeats: int
) -> dict[str, float]:
    """One image by ONNX Runtime and by torch, from the same inputs."""
    import onnxruntime

    asked = ExportedMatcher(model, prompt)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(model, path, asked.prompt)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {name: inputs[name] for name in asked.names}
    arrays = {name: tensor.numpy() for name, tensor in given.items()}
    runs = {"torch": lambda: asked(*given.values()), "onnx": lambda: session.run(None, arrays)}
    taken = rounds(runs, repeats)
    apart = np.abs(session.run(["points"], arrays)[0] - asked(*given.values())[0].numpy()).max()
    return {
        **{f"{name}_ms": 1000 * statistics.median(values) for name, values in taken.items()},
        "onnx_of_torch": ratio(taken["onnx"], taken["torch"]),
        "pixels_apart": float(apart) * model.config.vision.image_size,
    }


def runtimes(backbone: str, keypoints: int, threads: int, repeats: int) -> dict[str, float]:
    """`runtime` of GraphCape and CapeX at their published sizes."""
    figures = {}
    for name in ("graphcape", "capex"):
        model, inputs = random_matcher(name, backbone), prompt(name, 1, keypoints)
        inputs |= {"pixels": torch.randn(1, 3, SIZE, SIZE), "skeleton": torch.zeros(1, keypoints, keypoints)}
        if "examples" in inputs:
            inputs["examples"] = model.features(inputs["examples"])
            inputs["shown"] = torch.ones(1, 1, keypoints, dtype=torch.bool)
        asked = "example" if "examples" in inputs else "text"
        figures |= {f"{name} {key}": value for key, value in runtime(model, asked, inputs, threads, repeats).items()}
    return figures


class Words(nn.Module):
    """A random text encoder of gte-base-en-v1.5's sizes."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import GteConfig, GteModel

        rope = {"rope_type": "default", "rope_theta": 500_000.0}
        self.model = GteModel(GteConfig(vocab_size=30_528, type_vocab_size=0, rope_parameters=rope)).eval()
        self.dim = self.model.config.hidden_size

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids [K, T] -> phrases [1, K, D]."""
        return F.normalize(self.model(tokens).last_hidden_state[:, 0], dim=-1)[None]


def table_5(runs: int, device: str) -> dict[str, float]:
    """Mean ms and frames a second of the four models of Table 5, over `runs` runs in which they take turns."""
    torch.manual_seed(0)
    backbone, words = build_encoder(VisionConfig("swinv2-s", RANDOM, SIZE)), Words()
    query, example = (torch.randn(size, device=device) for size in ((1, 3, SIZE, SIZE), (1, 1, 3, SIZE, SIZE)))
    tokens = torch.randint(1000, 2000, (TEN, SIX), device=device)
    heat = torch.rand(1, 1, TEN, CELLS, CELLS, device=device)
    valid = torch.ones(1, TEN, dtype=torch.bool, device=device)
    skeletons = [[(i, i + 1) for i in range(TEN - 1)]]

    def run(model: MatchingModel) -> float:
        asked = Prompt(
            heatmaps=heat if model.config.takes_examples else None,
            phrases=words(tokens) if model.config.takes_text else None,
            skeletons=skeletons,
        )
        points = model(query, valid, asked, example if model.config.takes_examples else None).points
        return float(points.sum())  # waits for the device

    models = {}
    for name in TABLE_5:
        config = MatcherConfig(name, backbone.config)
        models[name] = assemble(config, backbone, words if config.takes_text else None).eval().to(device)
    taken = rounds({name: lambda model=model: run(model) for name, model in models.items()}, runs)
    figures: dict[str, float] = {}
    for name, seconds in taken.items():
        mean = statistics.fmean(seconds)
        figures |= {f"{name} ms": 1000 * mean, f"{name} fps": 1 / mean, f"{name} ms printed": TABLE_5[name]}
    return figures


def saved(model: MatchingModel, repeats: int) -> dict[str, float]:
    """ms from an encoded picture to its pose, by each prompt; 17 points of a body."""
    category = ak.category("human_body")
    photo = PHOTO.read_bytes()
    places = np.random.default_rng(0).uniform(150, 350, (len(category), 2))
    shown = Example(PHOTO, places, category=category)
    asked = {"text": {"words": True}, "example": {"example": shown, "words": False}}
    asked["both"] = {"example": shown, "words": True}
    asked = {name: options for name, options in asked.items() if name in model.config.prompts}
    runs = {name: lambda o=options: model.predict(photo, category, **o) for name, options in asked.items()}

    def new_example() -> None:
        model.eval()  # forgets the examples' features
        model.predict(photo, category, **asked["example"])

    taken = rounds(runs | ({"new_example": new_example} if "example" in asked else {}), repeats)
    figures = {f"{name}_ms": 1000 * statistics.median(values) for name, values in taken.items()}
    first = next(iter(asked))
    others = {f"{name}_of_{first}": ratio(taken[name], taken[first]) for name in taken if name != first}
    return figures | others


def saved_runtimes(model: MatchingModel, threads: int, repeats: int) -> dict[str, float]:
    """`runtime` of a saved matcher on the photo, by each prompt."""
    category = ak.category("human_body")
    places = np.random.default_rng(0).uniform(150, 350, (len(category), 2))
    pixels = cut(PHOTO, None, model.config).pixels
    figures = {}
    for prompt in model.config.prompts:
        shown = None if prompt == "text" else Example(PHOTO, places, category=category)
        inputs = {
            name: torch.from_numpy(value)
            for name, value in prompt_inputs(model, category, shown, prompt != "example").items()
        }
        inputs["pixels"] = model.encoder.normalise(torch.from_numpy(pixels)[None])
        figures |= {f"{prompt} {key}": value for key, value in runtime(model, prompt, inputs, threads, repeats).items()}
    return figures


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="time this saved matcher instead: a name or a folder")
    parser.add_argument("--backbones", nargs="+", default=["swinv2-t", "swinv2-s"])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--keypoints", type=int, nargs="+", default=[17, 100])
    parser.add_argument("--categories", type=int, default=10)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--onnx", action="store_true", help="ONNX Runtime beside torch, too")
    parser.add_argument("--table5", action="store_true", help="the fusion paper's Table 5 instead")
    parser.add_argument("--runs", type=int, default=100, help="runs of --table5")
    parser.add_argument("--device", default="cpu", help="device of --table5")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for threads in options.threads:
        torch.set_num_threads(threads)
        if options.table5:
            found = {f"{options.device}, ": table_5(options.runs, options.device)}
        elif options.model is not None:
            model = ak.load(options.model, device="cpu")
            found = {"": saved(model, options.repeats)}
            if options.onnx:
                found[""] |= saved_runtimes(model, threads, options.repeats)
        else:
            found = {}
            for backbone in options.backbones:
                for batch in options.batch:
                    for count in options.keypoints:
                        key = f"{backbone}, batch {batch}, K {count}, "
                        found[key] = forward(backbone, batch, count, options.repeats)
                count = options.keypoints[0]
                key = f"{backbone}, {options.categories} categories, K {count}, "
                found[key] = many_categories(backbone, options.categories, count, options.repeats)
                if options.onnx:
                    key = f"{backbone}, K {count}, "
                    found[key] = runtimes(backbone, count, threads, options.repeats)
        for key, values in found.items():
            for name, value in values.items():
                figures[f"{key}threads {threads}, {name}"] = value
                print(f"{key + f'threads {threads}, ' + name:64} {value:.4g}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
