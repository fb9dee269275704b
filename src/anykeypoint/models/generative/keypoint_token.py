"""<KEYPOINT>: one new token as the whole answer, and a small decoder that reads the point off it (Sec. B.2, Table 17).

The token is an input embedding of its own beside the language model's table, whose vocabulary stays as it is; that the
answer is this token is given, so the model never has to write it. As it has no distribution over places, such an answer
comes without density and without confidence.

Letters: K keypoints, N prefix tokens, D model width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...decoding import Prefix, packed_forward

KEYPOINT = -1  # stands for the token in lists of token ids
_PACKED = 2048  # tokens in one forward pass at most; more questions go in several


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

    def locate(self, language: nn.Module, prefix: Prefix, questions: Sequence[Sequence[int]]) -> Tensor:
        """Where the keypoints of K tokenised questions about one image are: K 2, fractions of the crop.

        All questions are read in one pass behind the prefix, none seeing another.
        """
        points, start = [], 0
        while start < len(questions):
            stop, size = start + 1, len(questions[start]) + 1
            while stop < len(questions) and size + len(questions[stop]) + 1 <= _PACKED:
                size += len(questions[stop]) + 1
                stop += 1
            points.append(self._locate(language, prefix, questions[start:stop]))
            start = stop
        return torch.cat(points)

    def _locate(self, language: nn.Module, prefix: Prefix, questions: Sequence[Sequence[int]]) -> Tensor:
        device = self.embedding.device
        counts = torch.tensor([len(question) + 1 for question in questions], device=device)
        owner = torch.arange(len(questions), device=device).repeat_interleave(counts)
        sees = (owner[:, None] == owner[None]).tril()
        sees = torch.cat([sees.new_ones(len(sees), prefix.length), sees], dim=1)
        positions = torch.cat([torch.arange(count, device=device) for count in counts.tolist()]) + prefix.length
        tokens = torch.tensor([i for question in questions for i in (*question, KEYPOINT)], device=device)
        embeddings = self.embed(language.get_input_embeddings(), tokens)
        hidden = packed_forward(language, embeddings[None], sees[None], positions[None], prefix.cache())[0]
        return self(hidden[counts.cumsum(0) - 1])
