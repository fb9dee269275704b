"""Features of a frozen backbone, computed once: a few augmented crops of each object instead of a new one each time.

Training then runs on the head alone, many times faster, and sees the same crops again and again.

Letters: N objects, V versions of each, C h w a feature map.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from rich.progress import track
from torch import Tensor, nn

from ...crops.batches import LabelledCrop
from ...data.episodes import EpisodeConfig, EpisodeSampler, label_crop
from ...errors import InputError
from ...forms.dataset import Dataset

ABOUT, DONE, MAPS = "about.json", "done.npy", "features.npy"


class VersionedPlan(EpisodeSampler):
    """Episodes whose pictures are drawn among `versions` fixed augmented crops of each object.

    Which one a picture takes hangs on the seed and its place. What a version is hangs on the object's number in the
    data and its own alone, so that trainings with other seeds can share their features.
    """

    def __init__(self, data: Dataset, config: EpisodeConfig, versions: int) -> None:
        super().__init__(data, config)
        self.versions = versions

    def crop(self, index: int, at: int, picture: int, read: bool = True) -> LabelledCrop:
        drawn = np.random.default_rng([self.config.seed, 6, at, picture]).integers(self.versions)
        return self.version(index, int(drawn), read)

    def version(self, index: int, number: int, read: bool = True) -> LabelledCrop:
        """One of an object's crops, numbered from 0."""
        return label_crop(self.objects[index], self.config, np.random.default_rng([7, index, number]), read)


class CachedPlan(VersionedPlan):
    """The same episodes with feature maps (C h w float16) where the pixels would be; maps: N V C h w."""

    def __init__(self, data: Dataset, config: EpisodeConfig, maps: np.ndarray) -> None:
        super().__init__(data, config, maps.shape[1])
        self.maps = maps

    def version(self, index: int, number: int, read: bool = True) -> LabelledCrop:
        labels = super().version(index, number, read=False)
        cells = self.maps[index, number] if read else np.zeros(self.maps.shape[2:], self.maps.dtype)
        return LabelledCrop(cells, labels.points, labels.visible, labels.heatmaps)


def compute_features(
    plan: VersionedPlan,
    backbone: nn.Module,
    features: Callable[[np.ndarray], Tensor],
    folder: Path,
    accelerator: Accelerator,
) -> np.ndarray:
    """Feature maps of all versions of all objects, N V C h w float16, a file in `folder` that is read as needed.

    features: crops (B S S 3 uint8) -> maps (B C h w). Processes share the objects; a stopped run goes on with those
    that are missing. Raises InputError where the folder holds features of other crops or another backbone, and where
    features are beyond float16.
    """
    about = _about(plan, backbone)
    if accelerator.is_main_process:
        _prepare(folder, about, (len(plan.objects), plan.versions), lambda: features(_crops(plan, 0)[:1]).shape[1:])
    accelerator.wait_for_everyone()
    maps, done = (np.load(folder / name, mmap_mode="r+") for name in (MAPS, DONE))
    mine = range(accelerator.process_index, len(plan.objects), accelerator.num_processes)
    missing = [index for index in mine if not done[index]]
    for index in track(missing, "features", disable=not (missing and accelerator.is_main_process)):
        found = features(_crops(plan, index)).half().cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError(
                f"The features of object {plan.objects[index].id} are beyond {maps.dtype}; train with features: live."
            )
        maps[index] = found
        maps.flush()
        done[index] = True
        done.flush()
    accelerator.wait_for_everyone()
    return np.load(folder / MAPS, mmap_mode="r")


def _crops(plan: VersionedPlan, index: int) -> np.ndarray:
    return np.stack([plan.version(index, number).pixels for number in range(plan.versions)])


def _prepare(folder: Path, about: dict[str, Any], shape: tuple[int, int], cells: Callable[[], tuple]) -> None:
    """Empty files for the features, once; `about` is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ABOUT
    if path.exists():
        if json.loads(path.read_text()) != about:
            raise InputError(f"{folder} holds features of other crops or another backbone; remove it or use another.")
        return
    for name, kind, size in ((MAPS, np.float16, (*shape, *cells())), (DONE, np.bool_, shape[:1])):
        np.lib.format.open_memmap(folder / name, mode="w+", dtype=kind, shape=size).flush()
    scratch = folder / f".{ABOUT}.{os.getpid()}"
    scratch.write_text(json.dumps(about, indent=1))
    os.replace(scratch, path)


def _about(plan: VersionedPlan, backbone: nn.Module) -> dict[str, Any]:
    """All that the features hang on."""
    config = plan.config
    objects = hashlib.sha256()
    for item in plan.objects:
        objects.update(f"{item.image.name} {[float(side) for side in item.box]}\n".encode("utf-8", "surrogateescape"))
    weights = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    crops = {name: getattr(config, name) for name in ("size", "crop_scale", "released_crop")}
    return {
        "versions": plan.versions,
        **crops,
        "augment": asdict(config.augment),
        "objects": objects.hexdigest(),
        "backbone": weights.hexdigest(),
    }
