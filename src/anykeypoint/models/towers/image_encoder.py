"""What every image encoder shares: a picture in; tokens for a language model, or a feature map for a matcher, out.

Letters: B pictures, H x W pixels, S pixels a side of a square picture, N = rows * columns tokens, C channels, h x w
cells of a feature map.

Whatever order a network works in inside, token r * columns + c stands for row r, column c of the picture's grid, and so
does cell (r, c) of the map.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ...configs.checks import check_whole
from ...errors import InputError
from ..sources import packages
from ..sources.hub import load_config, load_model
from ..sources.released import part_of, read_released
from ..tuning import tune
from .vision_config import RANDOM, VisionConfig

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, standard deviation of R, G, B in [0, 1]

FILES = (".safetensors", ".pth", ".pt")  # endings of a single file of weights under their authors' names
_PREFIXES = ("backbone.", "encoder.")  # in front of the encoder's names in the file of a whole model


@dataclass(frozen=True)
class Published:
    """One published set of weights of a network.

    source: the hub id; None where the weights come as the package of the encoder's name (see `sources.packages`).
    image_size: side in pixels of the pictures that it was trained on.
    sizes: the sizes of the network under the names of its transformers config; they build it with random weights.
    drop_path: probability with which the published training left out the last block.
    """

    source: str | None
    image_size: int
    sizes: Mapping[str, Any] = field(default_factory=dict)
    drop_path: float = 0.0


class ImageEncoder(nn.Module):
    """A network with its options. A family of networks derives from it and says what is its own:

    published: name in the registry -> its published weights.
    network: the class of the network, of transformers or of ours.
    model_types: the `model_type` that config.json of such a network may have; the first is the usual one.
    statistics: mean and standard deviation of the colours that the network was trained with.
    adjustable: keys of `sizes` that no weight depends on, or that say how many of the layers are taken.
    stated: keys of `sizes` that a config states even where they are the usual ones, so that a saved model keeps them.
    kept: names of tensors of ours in `model`, which a model's folder keeps even where the other weights are published.
    stays_float32: whether it computes in float32 in a model of half precision too (see `precision.to_precision`).
    has_drop_path: whether it can leave out blocks in training.
    unused: beginnings of the names in `model` whose output no token depends on.
    `_tokens`: from pixels to tokens; it is all that a family must write.

    model: the network.
    config: the options that it was built with.
    dim: channels C of a token.
    stride: side in pixels of the square that a token stands for.
    groups: numbers of channels of the parts of a cell of the map, where it joins maps of several kinds.
    channels: channels of a cell of the map, the sum of the groups.
    map_stride: side in pixels of the square that a cell of the map stands for.
    multiple: the sides of a picture must be multiples of so many pixels.
    """

    published: ClassVar[Mapping[str, Published]]
    network: ClassVar[type[nn.Module]]
    model_types: ClassVar[tuple[str, ...]] = ()
    statistics: ClassVar[Statistics] = IMAGENET
    adjustable: ClassVar[tuple[str, ...]] = ()
    stated: ClassVar[tuple[str, ...]] = ()
    kept: ClassVar[tuple[str, ...]] = ()
    stays_float32: ClassVar[bool] = False
    has_drop_path: ClassVar[bool] = False
    unused: tuple[str, ...] = ()

    def __init__(
        self,
        model: nn.Module,
        config: VisionConfig,
        *,
        dim: int,
        stride: int,
        multiple: int | None = None,
        groups: tuple[int, ...] | None = None,
        map_stride: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.dim = dim
        self.stride = stride
        self.multiple = multiple or stride
        self.groups = groups or (dim,)
        self.channels = sum(self.groups)
        self.map_stride = map_stride or stride
        self.mean, self.std = self.statistics
        self.grid(config.image_size)  # refuses a size that does not fit

    # --- from pictures to tokens and maps -----------------------------------------------------------------------------

    def grid(self, image_size: int) -> tuple[int, int]:
        """(rows, columns) of tokens for a square picture of that side; InputError where the side does not fit."""
        check_whole(image_size, "The image size of an encoder, in pixels,")
        if image_size < self.multiple or image_size % self.multiple:
            near = max(round(image_size / self.multiple), 1) * self.multiple
            raise InputError(
                f"{self.config.name} takes pictures whose sides are multiples of {self.multiple} pixels, but got "
                f"{image_size}; use {near}."
            )
        return image_size // self.stride, image_size // self.stride

    def normalise(self, images: Tensor) -> Tensor:
        """Pictures B H W 3 (RGB) -> pixels float32 B 3 H W: (value / 255 - mean) / standard deviation.

        images: uint8, or float32 of the same range, as crops have that were not rounded.
        """
        if images.dtype not in (torch.uint8, torch.float32) or images.ndim != 4 or images.shape[-1] != 3:
            raise InputError(
                f"Pictures to normalise must be uint8 or float32 of shape B H W 3, but got {images.dtype} "
                f"{list(images.shape)}."
            )
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=images.device).view(3, 1, 1)
            for values in (self.mean, self.std)
        )
        return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std

    def tokens(self, pixels: Tensor) -> Tensor:
        """Normalised pixels B 3 H W -> tokens B N C, row by row."""
        if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
            raise InputError(
                f"Pixels must be floats of shape B 3 H W, but got {pixels.dtype} {list(pixels.shape)}; use normalise."
            )
        for side in pixels.shape[2:]:
            self.grid(side)
        return self._tokens(pixels.to(next(self.model.parameters()).dtype))

    def map(self, pixels: Tensor) -> Tensor:
        """Normalised pixels B 3 H W -> feature map B channels h w, where h = H / map_stride and w = W / map_stride."""
        return self._token_map(pixels).contiguous()

    @property
    def detail_groups(self) -> tuple[int, ...]:
        """Numbers of channels of `details`, those of a layer together."""
        return self.groups

    def details(self, pixels: Tensor) -> Tensor:
        """Normalised pixels B 3 H W of small patches -> the map B C h w that tells their places apart; `map` for most.

        What knows things but places them coarsely has no part in it (see `joined`).
        """
        return self.map(pixels)

    def forward(self, pixels: Tensor) -> Tensor:
        """`tokens`."""
        return self.tokens(pixels)

    def _token_map(self, pixels: Tensor) -> Tensor:
        """Pixels B 3 H W -> the first `channels` channels of the tokens in their grid: B channels rows columns."""
        tokens = self.tokens(pixels)[..., : self.channels]
        return tokens.transpose(1, 2).unflatten(2, [side // self.stride for side in pixels.shape[2:]])

    def _tokens(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Set training mode, which a frozen encoder ignores: it drops no branches.

        Batch norm keeps its published statistics in any mode, as batches of a few crops would ruin them.
        """
        super().train(mode and self.config.tuning != "frozen")
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    # --- building -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_model(cls, model: nn.Module, config: VisionConfig) -> Self:
        """An encoder round a network that is there already, in eval mode; the network is tuned in place.

        Raises InputError where the network is of another class, or where size or tuning do not fit.
        """
        if not isinstance(model, cls.network):
            raise InputError(f"{config.name} needs a {cls.network.__name__}, but got a {type(model).__name__}.")
        encoder = cls(model, config)
        tune(encoder.model, config.tuning, config.lora, encoder.unused)
        return encoder.eval()

    @classmethod
    def load_network(cls, config: VisionConfig, dtype: torch.dtype) -> nn.Module:
        """The network with the weights that the config names, in eval mode where they are pretrained.

        Raises InputError where the weights cannot be had or do not fit.
        """
        if config.source == RANDOM:
            return cls.random_network(config).to(dtype)
        source = config.source or cls.published[config.name].source or str(packages.fetch(config.name))
        if source.endswith(FILES):
            return cls.released_network(read_released(source), config, dtype)
        found = load_config(source).model_type
        if found not in cls.model_types:
            raise InputError(
                f"{source} holds a model of type {found}, but {config.name} needs one of type {cls.model_types[0]}."
            )
        return load_model(cls.network, source, dtype, **cls.load_options(config))

    @classmethod
    def packages_of(cls, name: str) -> tuple[str, ...]:
        """The packages that the published weights of that name come from; none where a hub has them."""
        return () if cls.published[name].source is not None or name not in packages.PACKAGES else (name,)

    @classmethod
    def load_options(cls, config: VisionConfig) -> dict[str, Any]:
        """Fields of the network's transformers config that the folder or hub id does not decide."""
        return {}

    @classmethod
    def random_network(cls, config: VisionConfig) -> nn.Module:
        """The network with random weights; InputError for sizes of which none can be built."""
        sizes = {**cls.published[config.name].sizes, **config.sizes}
        try:
            return cls.make_network(config, sizes)
        except InputError:
            raise
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"A {config.name} of the sizes {sizes} cannot be built ({error}); choose others."
            ) from error

    @classmethod
    def make_network(cls, config: VisionConfig, sizes: Mapping[str, Any]) -> nn.Module:
        """The network of the given sizes, untrained."""
        return cls.network(cls.network.config_class(**sizes))  # type: ignore[operator]

    @classmethod
    def released_network(
        cls, state: Mapping[str, Tensor], config: VisionConfig, dtype: torch.dtype = torch.float32
    ) -> nn.Module:
        """The network with the tensors of a released checkpoint, in eval mode; its sizes come from the tensors.

        state: tensors under their authors' names, bare or under `backbone.` or `encoder.`. Where some are under such a
            prefix, the others are left out.

        Raises InputError for a network without such names, and listing unknown, missing and wrongly shaped tensors.
        """
        return cls.official_network(part_of(state, _PREFIXES), config, dtype)

    @classmethod
    def official_network(cls, state: Mapping[str, Tensor], config: VisionConfig, dtype: torch.dtype) -> nn.Module:
        """The network from a state dict under its authors' bare names; see `released_network`."""
        raise InputError(f"{config.name} cannot be read from a single file; give a folder or hub id.")

    def official_names(self) -> dict[str, tuple[str, ...]]:
        """The authors' name of each tensor -> our names; where there are several, the tensor is cut into equal parts.

        Empty for a network that has no other names than ours.
        """
        return {}

    # --- saving -------------------------------------------------------------------------------------------------------

    def saved_config(self) -> VisionConfig:
        """Options that build this very network without fetching anything, to be kept with its tensors."""
        return replace(self.config, source=RANDOM, sizes=self.own_sizes())

    def own_sizes(self) -> dict[str, Any]:
        """The sizes of this very network, under the names of its published ones."""
        own = getattr(self.model, "config", None)
        return {key: getattr(own, key) for key in self.published[self.config.name].sizes}

    def kept_tensors(self) -> dict[str, Tensor]:
        """The tensors that `kept` names, under their names in `model`; they share memory with it."""
        return {name: tensor for name, tensor in self.model.state_dict().items() if name in self.kept}

    def resized(self, image_size: int) -> Self:
        """The same weights for square pictures of another side in pixels; InputError for a side that does not fit.

        The network is built anew, as Swin V2's windows are laid out for one size.
        """
        config = replace(self.saved_config(), image_size=image_size)
        other = self.from_model(self.random_network(config), config)
        other.load_state_dict(self.state_dict())
        like = next(self.parameters())
        return other.to(like.device, like.dtype).train(self.training)
