"""Features of a frozen image encoder, computed once for a few augmented crops of each object.

Training then runs the head alone, which is many times faster, and takes the same crops again and again.

Letters: N objects, V versions (crops) of each object, S side of a crop in pixels, C h w a feature map.
"""

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from filelock import FileLock
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ...crops.batches import LabelledCrop
from ...data.episodes import EpisodeConfig, EpisodeSampler, label_crop
from ...errors import InputError
from ...forms.dataset import Dataset, picture_names
from ...io import write_bytes
from ...models.tensors import float32_hash
from ...models.towers.image_encoder import ImageEncoder
from ..claims import LOCK

ABOUT, DONE, MAPS = "about.json", "done.npy", "features.npy"
FULL = "fp32"  # the precision that features have where their folder states none


class FixedCropSampler(EpisodeSampler):
    """Episodes whose crops are drawn from V fixed augmented crops of each object.

    Which of them an episode takes depends on the seed. The crops themselves depend on the index of the object and of
    the version alone, so that runs with different seeds can share the features.
    """

    def __init__(self, data: Dataset, config: EpisodeConfig, versions: int, alone: bool = False) -> None:
        """versions: V, number of crops of each object. alone: see `EpisodeSampler`."""
        super().__init__(data, config, alone)
        self.versions = versions

    def crop(self, index: int, number: int, picture: int, read: bool = True) -> LabelledCrop:
        drawn = np.random.default_rng([self.config.seed, 6, number, picture]).integers(self.versions)
        return self.version(index, int(drawn), read)

    def version(self, index: int, version: int, read: bool = True) -> LabelledCrop:
        """One of the crops of an object.

        index: index of the object in the data.
        version: index of the crop, from 0 to V - 1.
        read: False leaves the picture unread and the crop black.
        """
        return label_crop(self.objects[index], self.config, np.random.default_rng([7, index, version]), read)


class CachedFeatureSampler(FixedCropSampler):
    """The episodes of `FixedCropSampler` with feature maps in the place of pixels."""

    def __init__(self, data: Dataset, config: EpisodeConfig, maps: np.ndarray, alone: bool = False) -> None:
        """maps: N V C h w float16, see `compute_features`. alone: see `EpisodeSampler`."""
        super().__init__(data, config, maps.shape[1], alone)
        self.maps = maps

    def version(self, index: int, version: int, read: bool = True) -> LabelledCrop:
        labels = super().version(index, version, read=False)
        features = self.maps[index, version] if read else np.zeros(self.maps.shape[2:], self.maps.dtype)
        return LabelledCrop(features, labels.points, labels.visible, labels.heatmaps)


def compute_features(
    sampler: FixedCropSampler,
    encoder: ImageEncoder,
    features: Callable[[np.ndarray], Tensor],
    folder: Path,
    accelerator: Accelerator,
    quiet: bool = False,
    precision: str = FULL,
) -> np.ndarray:
    """Feature maps of all crops of all objects, N V C h w float16, memory-mapped from a file in `folder`.

    The processes share the objects, and a run that was stopped computes only those that are missing; runs at the same
    time may have one folder, as each writes the same. Raises InputError where the folder holds features of other crops,
    of another encoder or in another precision, where its disk has no room for them, and where a feature exceeds
    float16.

    sampler: the objects and their crops.
    encoder: the image encoder, whose weights and sizes identify the features.
    features: the encoder with its normalisation: crops B S S 3 uint8 to feature maps B C h w.
    folder: where the features are kept.
    accelerator: the processes of the run.
    quiet: neither their size nor a progress bar on stderr.
    precision: what `features` computes in, see `RunConfig`; folders of features in FULL do not state it.
    """
    about = {**_about(sampler, encoder), **({} if precision == FULL else {"precision": precision})}
    if accelerator.is_main_process:
        objects = (len(sampler.objects), sampler.versions)
        with _alone(folder):
            _prepare(folder, about, objects, lambda: features(_crops(sampler, 0)[:1]).shape[1:], quiet)
    accelerator.wait_for_everyone()
    maps, done = (np.load(folder / name, mmap_mode="r+") for name in (MAPS, DONE))
    own = range(accelerator.process_index, len(sampler.objects), accelerator.num_processes)
    missing = [index for index in own if not done[index]]
    shown = bool(missing) and accelerator.is_main_process and not quiet
    for index in track(missing, "features", console=Console(stderr=True), disable=not shown):
        if done[index]:  # by another run, meanwhile
            continue
        computed = features(_crops(sampler, index)).half().cpu().numpy()
        if not np.isfinite(computed).all():
            raise InputError(
                f"The features of object {sampler.objects[index].id} are beyond {maps.dtype}; train with features: "
                "live."
            )
        maps[index] = computed
        maps.flush()
        done[index] = True
        done.flush()
    accelerator.wait_for_everyone()
    return np.load(folder / MAPS, mmap_mode="r")


def shared_folder(root: Path, sampler: FixedCropSampler, encoder: ImageEncoder, precision: str = FULL) -> Path:
    """The folder below `root` of the features of these crops by this encoder, which runs that have both can share."""
    about = json.dumps([_about(sampler, encoder), precision], sort_keys=True)
    return root / hashlib.sha256(about.encode()).hexdigest()[:16]


def _alone(folder: Path) -> FileLock:
    """A context for one process of the machine at a time: files that another one is filling must not be made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / LOCK)


def _crops(sampler: FixedCropSampler, index: int) -> np.ndarray:
    """The pixels of all crops of an object, V S S 3."""
    return np.stack([sampler.version(index, version).pixels for version in range(sampler.versions)])


def _prepare(
    folder: Path, about: dict[str, Any], objects: tuple[int, int], shape: Callable[[], tuple], quiet: bool
) -> None:
    """Make the files of the features, unless they are there. The description is written last.

    about: the description, see `_about`.
    objects: N and V.
    shape: gives C, h and w.
    quiet: the size of the files is not said on stderr.
    """
    path = folder / ABOUT
    if path.exists():
        theirs = json.loads(path.read_text())
        before, now = (one.get("precision", FULL) for one in (theirs, about))
        if before != now and {**theirs, "precision": now} == {**about, "precision": now}:
            raise InputError(
                f"{folder} holds features in the precision {before}, but the recipe's is {now}; remove it, use another "
                f"folder, or write precision: {before}."
            )
        if theirs != about:
            raise InputError(
                f"{folder} holds features of other objects, other crops or another image encoder; remove it, or give "
                "another output folder."
            )
        return
    sizes = (*objects, *shape())
    needed, free = 2 * math.prod(sizes), shutil.disk_usage(folder).free
    if needed > free:  # a file that is written beyond a full disk through memory stops the process without a word
        raise InputError(
            f"The features of {objects[0]} objects in {objects[1]} versions take {needed / 1e9:.1f} GB, but the disk "
            f"of {folder} has {free / 1e9:.1f} GB left; make room, choose fewer versions, or train with features: live."
        )
    if not quiet:
        print(f"features: {needed / 1e9:.2f} GB in {folder}", file=sys.stderr)
    for name, kind, size in ((MAPS, np.float16, sizes), (DONE, np.bool_, objects[:1])):
        np.lib.format.open_memmap(folder / name, mode="w+", dtype=kind, shape=size).flush()
    write_bytes(path, json.dumps(about, indent=1).encode())


def _about(sampler: FixedCropSampler, encoder: ImageEncoder) -> dict[str, Any]:
    """A description of all that the features depend on."""
    config = sampler.config
    objects = hashlib.sha256()
    for item, name in zip(sampler.objects, picture_names(sampler.objects), strict=True):
        never = " never mirrored" if config.augment.flip and not item.category.flips else ""
        objects.update(f"{name} {[float(side) for side in item.box]}{never}\n".encode("utf-8", "surrogateescape"))
    sizes = encoder.config.sizes  # those that no weight shows, as the scale of a picture inside a joined encoder
    crops = {name: getattr(config, name) for name in ("size", "crop_scale", "released_crop")}
    about = {
        "versions": sampler.versions,
        **crops,
        "augment": asdict(config.augment),
        "objects": objects.hexdigest(),
        "encoder": float32_hash(encoder),
        **({"sizes": dict(sizes)} if sizes else {}),
    }
    return json.loads(json.dumps(about))  # as it is read again
