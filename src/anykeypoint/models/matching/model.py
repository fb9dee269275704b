"""A matcher as a whole: a query, and examples or words of a category, in; a pose out.

    features = backbone(crop)                     of the query, and of every example
    support  = features under the keypoints       of examples (`support.pool`), or phrases of a text encoder, or both
    points   = head(features, support, skeleton)

CapeFormer, GraphCape and CapeX are this with a `Head`, POMNet with a `POMNet`, the fusion paper's two with a
`FeatureFusion` or a `DecisionFusion` round a `Head`. Training calls the same `forward`.

Letters: B objects, M examples, K keypoints, S crop side in pixels, C channels, h x w cells of features, N x N cells of
heat maps, D channels of a phrase.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from ...category import Category, Keypoint, spoken
from ...errors import InputError
from ...example import Example
from ...geometry import Box
from ...images import ImageSource, read_image
from ...pose import Pose
from ..cache import CachingModule
from ..maps import pool
from ..towers.backbones import Backbone, build_backbone
from ..towers.text import TextEncoder, build_text_encoder
from .heads.evidence import EvidenceConfig, EvidenceHead
from .heads.fusion import DecisionFusion, DecisionFusionConfig, FeatureFusion, FeatureFusionConfig
from .heads.graph import Head
from .heads.graph_config import HeadConfig
from .heads.pomnet import POMNet, POMNetConfig
from .matcher_config import AnyHead, MatcherConfig, published_head
from .parts.losses import HEAT_WEIGHT
from .parts.skeleton import Skeleton

if TYPE_CHECKING:
    from ...pose import Explanation
    from .inputs import Encoded
    from .matcher_view import MatchView

_HEADS = {HeadConfig: Head, POMNetConfig: POMNet, EvidenceConfig: EvidenceHead}


class Answer(Protocol):
    """What any head answers; in slots that were not asked for it is finite and means nothing.

    found: the points (B K 2), fractions of the query's crop. chances: where they seem to be, probabilities (B K h w)
    over cells that tile the crop. A head has `losses`, of an answer of its own, and their names, `parts`.
    """

    @property
    def found(self) -> Tensor: ...

    @property
    def chances(self) -> Tensor: ...


class MatchingModel(CachingModule):
    """backbone, head (of _HEADS, or a fusion round one) and text (a frozen TextEncoder, or None).

    example_backbone: what looks at examples; None where the one backbone looks at both. config: with the sizes of this
    very head. Built by `build`, or loaded from a folder.
    """

    def __init__(
        self,
        config: MatcherConfig,
        backbone: Backbone,
        head: nn.Module,
        text: TextEncoder | None = None,
        example_backbone: Backbone | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.example_backbone = example_backbone
        self.head = head
        self.text = text

    @property
    def device(self) -> torch.device:
        return next(self.head.parameters()).device

    @property
    def prompts(self) -> tuple[str, ...]:
        """What it answers to: of "text", "example", "both"."""
        return self.config.prompts

    @property
    def kept(self) -> dict[str, nn.Module]:
        """What is saved with it, by name: all but the text encoder."""
        parts = {"backbone": self.backbone, "example_backbone": self.example_backbone, "head": self.head}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def looker(self) -> Backbone:
        """The backbone that looks at examples."""
        return self.backbone if self.example_backbone is None else self.example_backbone

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write the folder that `from_pretrained` and `anykeypoint.load` read (see `folder.save`)."""
        from . import matcher_folder as folders

        folders.save(self, folder, dtype)

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> "MatchingModel":
        """The model of a folder."""
        from . import matcher_folder as folders

        return folders.load(folder, dtype)

    def resize(self, image_size: int) -> None:
        """Look at objects in so many pixels a side from now on, with the same weights.

        InputError for a size that the backbone cannot take.
        """
        resized = {name: part.resized(image_size) for name, part in self.kept.items() if name != "head"}
        for name, backbone in resized.items():
            setattr(self, name, backbone)
        cells = max(1, round(self.config.cells * image_size / self.config.backbone.image_size))
        self.config = replace(self.config, backbone=replace(self.config.backbone, image_size=image_size), cells=cells)
        self.cache.clear()

    # --- tensors -----------------------------------------------------------------------------------------------------

    def features(self, pixels: Tensor, examples: bool = False) -> Tensor:
        """Normalised crops of queries, or of examples, ... 3 S S -> feature maps ... C h w."""
        backbone = self.looker if examples else self.backbone
        return backbone(pixels.flatten(0, -4)).unflatten(0, pixels.shape[:-3])

    def phrases(self, category: Category, described: bool = True) -> Tensor:
        """A category's keypoints as the text encoder reads them: K D. described: False leaves descriptions out."""
        if self.text is None:
            raise InputError(f"{self.config.name} has no text encoder and reads no words; show it an example.")
        return self.text.phrases([self.phrase(point, described) for point in category.keypoints])

    def phrase(self, point: Keypoint, described: bool = True) -> str:
        """A keypoint as its text encoder reads it."""
        name = spoken(point.name)
        return f"{name}: {point.description}" if described and self.config.described and point.description else name

    def forward(
        self,
        query: Tensor,
        valid: Tensor,
        skeletons: Sequence[Skeleton] | None = None,
        *,
        examples: Tensor | None = None,
        heat: Tensor | None = None,
        shown: Tensor | None = None,
        phrases: Tensor | None = None,
        told: Tensor | None = None,
    ) -> Answer:
        """`match` from pixels: normalised crops of the queries (B 3 S S) and of the examples (B M 3 S S)."""
        looks = None if examples is None else self.features(examples, examples=True)
        return self.match(
            self.features(query), valid, skeletons, examples=looks, heat=heat, shown=shown, phrases=phrases, told=told
        )

    def match(
        self,
        query: Tensor,
        valid: Tensor,
        skeletons: Sequence[Skeleton] | None = None,
        *,
        examples: Tensor | None = None,
        heat: Tensor | None = None,
        shown: Tensor | None = None,
        phrases: Tensor | None = None,
        told: Tensor | None = None,
    ) -> Answer:
        """Find K keypoints in each of B queries from feature maps (B C h w).

        valid (B K) bool: the slots that are keypoints and asked for; skeletons: see `Head.forward`.
        examples: feature maps (B M C h w) with heat maps (B M K N N); shown (B M K) bool: which keypoints an example
        shows; None for all. phrases: (B K D); told (B K) bool: which keypoints have one; None for all. A row of False
        is an object without examples, or without words: fusions find it by the other. A slot for which there is
        neither means nothing in the answer, and must not be labelled in the losses.
        Raises InputError where the prompt is none that this model answers to.
        """
        self.check_prompt(examples is not None, phrases is not None)
        looks = seen = None
        if examples is not None and heat is None:
            raise InputError("Examples need their heat maps, B M K N N; pass heat too.")
        if isinstance(self.head, EvidenceHead):  # it compares with each example by itself
            heat = None if heat is None else heat.to(query.dtype)
            words = None if phrases is None else phrases.to(query.dtype)
            return self.head(query, valid, examples=examples, heat=heat, shown=shown, phrases=words, told=told)
        if examples is not None:
            looks = pool(examples, heat.to(examples.dtype), shown)
            seen = None if shown is None else shown.any(dim=1)
        words = None if phrases is None else phrases.to(query.dtype)
        if self.config.fusion is None:
            known = told if looks is None else seen
            valid = valid if known is None else valid & known
            return self.head(query, words if looks is None else looks, valid, skeletons)
        return self.head(query, words, looks, valid, skeletons, told, seen)

    def losses(
        self,
        answer: Answer,
        points: Tensor,
        heat_maps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heat_weight: float = HEAT_WEIGHT,
    ) -> dict[str, Tensor]:
        """What training minimises the sum of, by the head's own choice.

        points, heat_maps, labelled: see `matching_losses`; labelled are at most those that the prompt covers.
        """
        return self.head.losses(answer, points, heat_maps, labelled, valid, heat_weight)

    def check_prompt(self, examples: bool, words: bool) -> None:
        """InputError unless it answers to what it is given."""
        given = {(True, True): "both", (True, False): "example", (False, True): "text"}.get((examples, words))
        if given in self.prompts:
            return
        name = self.config.name
        if self.text is None:
            raise InputError(
                f"{name} has no text encoder and cannot be asked by words; ask with an example alone."
                if words
                else f"{name} needs an example of the category; pass one or more as example."
            )
        if not self.config.looks:
            raise InputError(
                f"{name} reads words and looks at no example; leave the example out."
                if examples
                else f"{name} is asked by words alone; ask with words."
            )
        raise InputError(f"{name} needs words or an example; pass an example, or ask with words.")

    # --- pictures ----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, image: ImageSource, box: Box | None = None) -> "MatchView":
        """Look at one object once; ask the returned view as often as you like.

        image: a file, bytes, PIL image or uint8 array H W 3. box: x, y, w, h in image pixels; None takes all of it.
        """
        from .inputs import cut
        from .matcher_view import MatchView

        picture = read_image(image)
        pixels, crop, box = cut(picture, box, self.config)
        name = str(image) if isinstance(image, str) or hasattr(image, "__fspath__") else ""
        return MatchView(self, self._look(pixels), crop, box, picture.size, name)

    def predict(
        self,
        image: ImageSource,
        category: Category,
        box: Box | None = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        **options: Any,
    ) -> Pose:
        """Find a category's keypoints in one picture: `encode` and `MatchView.predict` in one call."""
        return self.encode(image, box).predict(category, example, words, **options)

    def explain(self, image: ImageSource, category: Category, box: Box | None = None, **options: Any) -> "Explanation":
        """How `predict` comes to its answer: `encode` and `MatchView.explain` in one call."""
        return self.encode(image, box).explain(category, **options)

    def _look(self, pixels: Any, example: bool = False) -> Tensor:
        """A crop S S 3 uint8 -> features 1 C h w."""
        return self.features(self.backbone.normalise(torch.from_numpy(pixels)[None].to(self.device)), example)

    def look_at(self, example: "Encoded") -> Tensor:
        """The features of an example's crop, 1 C h w; those of the last `cache_size` are kept, by the crop's pixels."""
        return self.cache.get(example.key, lambda: self._look(example.pixels, example=True))


def build(config: MatcherConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> MatchingModel:
    """A matcher with pretrained backbone and text encoder and an untrained head, drawn from the seed, in eval mode.

    Raises InputError where weights cannot be had, and for a head or fusion that does not fit the backbone and text
    encoder.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = build_backbone(config.backbone)
        text = None if config.text is None else build_text_encoder(config.text)
        model = assemble(config, backbone, text)
    for part in model.kept.values():
        part.to(dtype)
    return model.eval()


def assemble(config: MatcherConfig, backbone: Backbone, text: TextEncoder | None) -> MatchingModel:
    """A matcher of these parts, with a head as `build` makes it."""
    looks, words = backbone.channels, None if text is None else text.dim
    fusion = config.fusion
    host_looks = not config.reads or (isinstance(fusion, FeatureFusionConfig) and fusion.host == "image")
    own, guest = (looks, words) if host_looks else (words, looks)
    published, sizes = published_head(config.name), {"image_width": looks, "support_width": own}
    if config.name == "pomnet":
        sizes["doublings"] = _doublings(config, backbone)
    fitted: dict[str, Any] = sizes
    if isinstance(published, EvidenceConfig):
        sizes = {"image_width": looks, "text_width": words}
        fitted = {**sizes, "groups": published.groups if looks == published.image_width else (looks,)}
    head = config.head or replace(published, **fitted)
    _check_widths(head, sizes, "head")
    if config.name == "flf":
        fusion = fusion or FeatureFusionConfig(guest_width=guest)
        _check_widths(fusion, {"guest_width": guest}, "fusion")
    elif config.name == "dlf":
        fusion = fusion or DecisionFusionConfig(image_support_width=looks)
        _check_widths(fusion, {"image_support_width": looks}, "fusion")
    second = build_backbone(config.backbone) if config.own_example_backbone else None
    return MatchingModel(replace(config, head=head, fusion=fusion), backbone, _head(head, fusion), text, second)


def _doublings(config: MatcherConfig, backbone: Backbone) -> int:
    """How often POMNet doubles the sides of the backbone's map, so that its heat maps have the config's cells."""
    cells = config.backbone.image_size // backbone.stride
    times = max(0, round(math.log2(config.cells / cells)))
    if cells * 2**times != config.cells:
        raise InputError(
            f"POMNet doubles the sides of the backbone's map of {cells} cells, but that never gives {config.cells}; "
            f"write cells: {cells * 2**times}."
        )
    return times


def _head(head: AnyHead, fusion: FeatureFusionConfig | DecisionFusionConfig | None) -> nn.Module:
    plain = _HEADS[type(head)](head)
    if isinstance(fusion, FeatureFusionConfig):
        return FeatureFusion(plain, fusion)
    return plain if fusion is None else DecisionFusion(plain, fusion)


def _check_widths(config: Any, wanted: dict[str, int], what: str) -> None:
    for name, width in wanted.items():
        if (found := getattr(config, name)) != width:
            raise InputError(
                f"The {what}'s {name} is {found}, but backbone and text encoder need {width}; write "
                f"{name}: {width}, or leave the {what} out."
            )
