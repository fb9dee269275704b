"""Table 5 of the fusion paper from our own counter: parameters, and multiply-accumulates for one image.

    python tools/fusion_costs.py

Everything is built on torch's device "meta", so nothing is fetched and nothing is computed.

The printed parameters come out to the digit with Swin-V2-S, a gte-base-en-v1.5 where words are read, and the backbone's
classifier of 1000 classes, which is never used. The printed FLOPs are less than what the models compute: they are what
a common counter (thop) sees of 10 keypoints, which leaves out attention, the query, key and value projections of the
backbone and the layers of the detection framework that the code is built on. So 8.643 G stand for a look at a picture
that costs 12.8, and 6.799 for ten phrases of six tokens.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from anykeypoint.models.counting import cost, count_macs, count_parameters
from anykeypoint.models.matching.heads.base import Prompt
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import MatchingModel, assemble
from anykeypoint.models.towers.text import TextConfig
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.reproduction.networks import empty_text

# Model -> its printed parameters in millions, and its printed FLOPs in billions.
PRINTED = {
    "graphcape": (58.742, 17.657),
    "capex": (195.519, 15.813),
    "flf": (195.715, 24.456),
    "dlf": (203.742, 24.827),
}
SIZE, CLASSES, CELLS = 256, 1000, 64
KEYPOINTS, TOKENS = 10, 6  # what the printed FLOPs fit: so many phrases of so many tokens


@dataclass(frozen=True)
class Row:
    """parameters: with the unused classifier; macs: of one query with one example and ten phrases, as it reads them."""

    parameters: int
    macs: int


def table() -> dict[str, Row]:
    """The rows by the models' names."""
    with torch.device("meta"):
        backbone, words = (
            build_encoder(VisionConfig("swinv2-s", RANDOM, SIZE)),
            empty_text(TextConfig("gte-base-en-v1.5")),
        )
        look = cost(backbone, torch.zeros(1, 3, SIZE, SIZE)).macs
        read = cost(words.model, torch.zeros(KEYPOINTS, TOKENS, dtype=torch.long)).macs
        unused = count_parameters(nn.Linear(backbone.channels, CLASSES))
        rows = {}
        for name in PRINTED:
            config = MatcherConfig(name, backbone.config)
            model = assemble(config, backbone, words if config.takes_text else None)
            macs = look * (1 + config.takes_examples) + read * config.takes_text + _matching(model)
            rows[name] = Row(count_parameters(model) + unused, macs)
        return rows


def _matching(model: MatchingModel) -> int:
    """The multiply-accumulates behind backbone and text encoder."""
    side = SIZE // model.encoder.map_stride
    features = torch.zeros(1, model.encoder.channels, side, side)
    given = {}
    if model.config.takes_text:
        given["phrases"] = torch.zeros(1, KEYPOINTS, model.text_encoder.dim)
    if model.config.takes_examples:
        given |= {"example_features": features[:, None], "heatmaps": torch.zeros(1, 1, KEYPOINTS, CELLS, CELLS)}
    valid = torch.ones(1, KEYPOINTS, dtype=torch.bool)
    return count_macs(lambda: model.eval().match(features, valid, Prompt(**given)))


def main(say: Callable[[str], None] = print, arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a count of parameters is not the printed one."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(arguments)
    say(f"{'':10} {'parameters (M)':>15} {'printed':>9} {'MACs (G)':>9} {'printed':>9}")
    wrong = 0
    for name, row in table().items():
        millions, billions = PRINTED[name]
        found = f"{row.parameters / 1e6:.3f}"
        wrong += found != f"{millions:.3f}"
        say(f"{name:10} {found:>15} {millions:9.3f} {row.macs / 1e9:9.3f} {billions:9.3f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
