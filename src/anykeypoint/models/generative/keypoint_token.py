"""<KEYPOINT>: one new token as the whole answer, and a small decoder that reads the point off it (Sec. B.2, Table 17).

The token is an input embedding of its own beside the language model's table, whose vocabulary stays as it is; that the
answer is this token is given, so the model never has to write it. As it has no distribution over places, such an answer
comes without density and without confidence.

Letters: K keypoints, N prefix tokens, D model width.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ...decoding import Branches, Prefix, passes

ANSWERS = ("text", "token")  # how a model answers: coordinates as digits, or this token
KEYPOINT = -1  # stands for the token in lists of token ids


class KeypointToken(nn.Module):
    """The token's embedding, at first the mean of a table of embeddings, and the decoder; float32."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        width = table.shape[1]
        self.embedding = nn.Parameter(table.detach().float().mean(0))
        self.decoder = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2))

    def embed(self, table: nn.Module, tokens: Tensor) -> Tensor:
        """Token ids of any shape, KEYPOINT among them -> embeddings in the table's precision."""
        embeddings = table(tokens.clamp(min=0))
        return torch.where((tokens == KEYPOINT)[..., None], self.embedding.to(embeddings.dtype), embeddings)

    def forward(self, states: Tensor) -> Tensor:
        """Final hidden states at the token, n D -> points n 2, x and y as fractions of the crop; float32."""
        with torch.autocast(states.device.type, enabled=False):
            return self.decoder(states.float()).sigmoid()

    def locate(
        self,
        language: nn.Module,
        prefix: Prefix,
        questions: Sequence[Sequence[int]],
        embed: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Where the keypoints of K tokenised questions about one image are: K 2, fractions of the crop.

        All questions are read in one pass behind the prefix, none seeing another. embed: of what they hold and of
        KEYPOINT; None takes the language model's table and the token's own.
        """
        embed = embed or partial(self.embed, language.get_input_embeddings())
        points = []
        for some in passes([[*question, KEYPOINT] for question in questions]):
            branches = Branches.of(language, prefix, embed).repeated(len(some))
            points.append(self(branches.advance(some)[-1]))
        return torch.cat(points)
