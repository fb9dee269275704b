"""<KEYPOINT>: one new token as the whole answer, and a small decoder that reads the point off it (Sec. B.2, Table 17).

The token has an input embedding beside the language model's table, whose vocabulary does not change. The answer is
always this token, so the model never has to write it. It has no distribution over positions, so such an answer comes
without density and without confidence.

Letters: n tokens, K keypoints, D model width.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ...decoding import Branches, Prefix, passes

ANSWERS = ("text", "token")  # how a model answers: coordinates as digits, or this token
KEYPOINT = -1  # stands for this token in lists of token ids


class KeypointToken(nn.Module):
    """The token's embedding and the decoder, both float32.

    table: V D, the language model's embeddings, whose mean the token's embedding starts from.
    """

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        width = table.shape[1]
        self.embedding = nn.Parameter(table.detach().float().mean(0))
        self.decoder = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2))

    def embed(self, table: nn.Module, tokens: Tensor) -> Tensor:
        """Token ids of any shape ..., KEYPOINT among them -> embeddings ... D in the table's precision.

        table: the language model's embedding layer.
        """
        embeddings = table(tokens.clamp(min=0))
        return torch.where((tokens == KEYPOINT)[..., None], self.embedding.to(embeddings.dtype), embeddings)

    def forward(self, states: Tensor) -> Tensor:
        """Final hidden states n D of the token -> points n 2, fractions of the crop, float32."""
        with torch.autocast(states.device.type, enabled=False):
            return self.decoder(states.float()).sigmoid()

    def locate(
        self,
        language: nn.Module,
        prefix: Prefix,
        questions: Sequence[Sequence[int]],
        embed: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The points K 2, fractions of the crop, that answer K tokenised questions about one image.

        All questions are read in one pass behind the prefix; none attends to another.

        language: the causal language model that read the prefix.
        embed: tokens n, KEYPOINT among them -> embeddings n D; None takes the language model's table and the token's
            own embedding.
        """
        embed = embed or partial(self.embed, language.get_input_embeddings())
        points = []
        for packed in passes([[*question, KEYPOINT] for question in questions]):
            branches = Branches.of(language, prefix, embed).repeated(len(packed))
            points.append(self(branches.advance(packed)[-1]))
        return torch.cat(points)
