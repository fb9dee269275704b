"""What the two fusions of an example and text share: a graph head inside, and all three prompts."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from ...towers.vision_config import VisionConfig
from ..parts.skeleton import Skeleton
from .base import HeadOutput, MatchingHead, Prompt, check_widths
from .graph import GraphConfig

MODALITIES = ("text", "image")


class FusionHead(MatchingHead):
    """A head around a `GraphHead`, its attribute `head`."""

    prompts = ("text", "example", "both")
    text = "gte-base-en-v1.5"
    file_phrases = True

    @classmethod
    def vision(cls) -> VisionConfig:
        """Swin V2 Small, which the fusion paper has."""
        return VisionConfig("swinv2-s", tuning="full")

    def forward(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput:
        """See `MatchingHead.forward`."""
        masks = prompt.with_text(valid), prompt.with_example(valid)
        return self.locate(query, prompt.phrases, prompt.example_tokens(), *masks, prompt.skeletons)

    def locate(
        self,
        query: Tensor,
        text: Tensor | None,
        example: Tensor | None,
        with_text: Tensor,
        with_example: Tensor,
        skeletons: Sequence[Skeleton] | Tensor | None = None,
    ) -> HeadOutput:
        """Find the keypoints of tokens, wherever these come from; query and skeletons as in `forward`.

        text, example: [B, K, channels], tokens of the two modalities; None where there are none.
        with_text, with_example: [B, K] bool, where they have tokens. A keypoint with neither is not valid.
        """
        raise NotImplementedError

    @property
    def uses_skeleton(self) -> bool:
        """Whether the prompt's skeletons change the output."""
        return self.head.uses_skeleton

    @property
    def most_keypoints(self) -> int | None:
        """See `GraphHead.most_keypoints`."""
        return self.head.most_keypoints


def fitted_graph_head(config: GraphConfig | None, channels: int, tokens: int | None) -> GraphConfig:
    """The config of a fusion's graph head for encoders of these widths; None takes CapeX's.

    channels: channels of the query's feature map. tokens: channels of the tokens of its own modality.
    """
    config = config or replace(GraphConfig(), image_width=channels, token_width=tokens)
    check_widths(config, image_width=channels, token_width=tokens)
    return config
