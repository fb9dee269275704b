"""YOLOv3-tiny (Redmon and Farhadi, 2018) as published for darknet: the network, its file of weights, its boxes.

Letters: B pictures, S pixels a side, G cells a side of a grid, C classes, N boxes.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import InputError

SIDE = 416  # side of the network's input in pixels
EPSILON = 1e-6  # darknet adds it to the standard deviation, not to the variance
# Width and height in pixels of the anchors of the coarse grid and of the fine grid. The configuration that is published
# today has (10, 14) and the next two for the fine grid, but the weights were trained with these: with the others the
# boxes are too small.
ANCHORS = (((81, 82), (135, 169), (344, 319)), ((23, 27), (37, 58), (81, 82)))


class YoloTinyNetwork(nn.Module):
    """Thirteen convolutions; batch norm is folded into those that had one.

    width: channels of the first convolution, 16 in the published network.
    classes: number of classes C.
    """

    def __init__(self, width: int = 16, classes: int = 80) -> None:
        super().__init__()
        heads = 3 * (5 + classes)
        sides = (  # channels in and out, side of the kernel, in the order of the weights file
            *((3 if i == 0 else width << (i - 1), width << i, 3) for i in range(7)),
            *((64 * width, 16 * width, 1), (16 * width, 32 * width, 3), (32 * width, heads, 1)),
            *((16 * width, 8 * width, 1), (24 * width, 16 * width, 3), (16 * width, heads, 1)),
        )
        self.convs = nn.ModuleList(nn.Conv2d(i, o, kernel, padding=kernel // 2) for i, o, kernel in sides)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels B 3 S S in 0..1, S a multiple of 32 -> the coarse and the fine grid, B 3(5+C) G G.

        G is S / 32 for the coarse grid and S / 16 for the fine one. Each cell has 3 boxes of 5 + C channels.
        """

        def step(number: int, values: Tensor) -> Tensor:
            return F.leaky_relu(self.convs[number](values), 0.1)

        values = pixels
        for number in range(5):
            values = step(number, values if number == 0 else F.max_pool2d(values, 2))
        fine = values  # stride 16
        values = step(5, F.max_pool2d(fine, 2))
        padded = F.pad(values, (0, 1, 0, 1), value=-torch.inf)  # darknet pads the right and the bottom
        values = F.max_pool2d(padded, 2, stride=1)
        values = step(7, step(6, values))
        coarse = self.convs[9](step(8, values))
        raised = F.interpolate(step(10, values), scale_factor=2, mode="nearest")
        return coarse, self.convs[12](step(11, torch.cat([raised, fine], dim=1)))


def decode(grids: tuple[Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Grids of one picture [3(5+C), G, G] -> boxes [N, 4] and scores [N, C].

    A box is left, top, width and height in fractions of the square that the network read. A score is the probability of
    an object times that of the class; classes do not exclude each other.
    """
    boxes, scores = [], []
    for grid, anchors in zip(grids, ANCHORS, strict=True):
        cells = grid.shape[-1]
        values = grid.detach().cpu().double().numpy().reshape(len(anchors), -1, cells, cells)
        rows, columns = np.mgrid[:cells, :cells]
        middle = (_sigmoid(values[:, :2]) + np.stack([columns, rows])) / cells
        with np.errstate(over="ignore"):  # an infinite box is cut at the picture's edges later
            size = np.exp(values[:, 2:4]) * np.array(anchors)[:, :, None, None] / SIDE
        places = np.concatenate([middle - size / 2, size], axis=1)
        boxes.append(places.transpose(0, 2, 3, 1).reshape(-1, 4))
        score = _sigmoid(values[:, 4:5]) * _sigmoid(values[:, 5:])
        scores.append(score.transpose(0, 2, 3, 1).reshape(-1, score.shape[1]))
    return np.concatenate(boxes), np.concatenate(scores)


def convert_package(files: list[Path], folder: Path) -> None:
    """Write the one weights file of a package as a folder with config.json and model.safetensors."""
    (source,) = files
    save_file(read_weights(source), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "yolov3-tiny"}) + "\n")


def read_weights(path: Path, width: int = 16, classes: int = 80) -> dict[str, Tensor]:
    """The state dict of a `YoloTinyNetwork` from a weights file of darknet.

    path: the file: three int32 (major, minor, revision of the format), the number of pictures of the training (8 bytes
        from version 0.2 on, else 4), then float32 numbers for each convolution: biases, or with batch norm its shifts,
        scales, means and variances, and the weights [out, in, k, k].
    width, classes: of the network.

    Raises InputError for a file that holds more or less than that, and for numbers that are not finite.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    shapes = [tuple(conv.weight.shape) for conv in YoloTinyNetwork(width, classes).convs]
    plain = (9, 12)  # indices of the two convolutions without batch norm, which give the grids
    needed = sum(out * deep * k * k + out * (1 if i in plain else 4) for i, (out, deep, k, _) in enumerate(shapes))
    major, minor = np.frombuffer(data[:8], "<i4").tolist() if len(data) >= 8 else (0, 0)
    header = 20 if 10 * major + minor >= 2 else 16
    if len(data) != header + 4 * needed:
        raise InputError(
            f"{path} has {len(data)} bytes, but YOLOv3-tiny of width {width} with {classes} classes takes "
            f"{header + 4 * needed}; give its own darknet weights."
        )
    numbers = np.frombuffer(data, "<f4", offset=header)
    if not np.isfinite(numbers).all():
        raise InputError(f"{path} holds weights that are no numbers; get the file again.")
    state, at = {}, 0

    def take(*shape: int) -> np.ndarray:
        nonlocal at
        at += int(np.prod(shape))
        return numbers[at - int(np.prod(shape)) : at].reshape(shape).astype(np.float64)

    for i, (out, *rest) in enumerate(shapes):
        bias = take(out)
        if i in plain:
            weight = take(out, *rest)
        else:
            scale, mean, variance = take(out), take(out), take(out)
            if (variance < 0).any():
                raise InputError(f"{path} holds a variance below 0; get the file again.")
            factor = scale / (np.sqrt(variance) + EPSILON)
            weight = take(out, *rest) * factor[:, None, None, None]
            bias = bias - mean * factor
        state[f"convs.{i}.weight"] = torch.from_numpy(weight).float()
        state[f"convs.{i}.bias"] = torch.from_numpy(bias).float()
    return state


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(values / 2))
