"""<KEYPOINT>: one new token as the answer, and a small decoder that reads the point off it (Sec. B.2, Table 17).

The token has an input embedding beside the language model's table. With "given" the answer is always this token, so
the model never has to write it; with "written" the token has an output vector beside the language model's head, and the
model writes it as any other word. A decoder of its own may estimate how far off the point is.

Letters: n tokens, K keypoints, V vocabulary of the language model, D model width.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...configs.checks import check_choice, check_flag
from ...decoding import Branches, Prefix, passes
from ...errors import InputError
from ...geometry import CONFIDENCE_RADIUS
from ..maps import full_precision

ANSWERS = ("text", "token")  # how a model answers: coordinates as digits, or this token
TOKENS = ("given", "written")  # how the token gets into the answer
KEYPOINT = -1  # stands for this token in lists of token ids
LIMIT = 32  # largest number of tokens that the model may write in front of the token, the token included
LEAST_SPREAD = 1e-3  # smallest spread that the decoder can give, a share of the crop; half of the last digit's step


def check_token(config: Any) -> None:
    """InputError unless a model's options `answer`, `strategy`, `keypoint_token` and `spread` go together."""
    check_choice(config.answer, "A model's answer", ANSWERS)
    check_choice(config.keypoint_token, "A model's keypoint_token", TOKENS)
    check_flag(config.spread, "A model's spread")
    if config.answer == "token" and config.strategy != "greedy":
        raise InputError(f"A <KEYPOINT> answer has no strategy, but got {config.strategy!r}; leave it out.")
    if config.answer != "token" and (config.spread or config.keypoint_token != "given"):
        raise InputError("keypoint_token and spread are for the answer 'token'; leave them out.")


@dataclass(frozen=True)
class TokenAnswers:
    """What was read off K <KEYPOINT> answers, on the CPU.

    points: K 2 float64, fractions of the crop; NaN where the model did not write the token.
    confidence: K float64; NaN where it is unknown, and where there is no point.
    """

    points: Tensor
    confidence: Tensor


class KeypointToken(nn.Module):
    """The token's embedding, its output vector if it is written, and the decoders; all float32.

    language: the language model; the token's vectors start as the mean of its embeddings, or of its output vectors.
    written: whether the model writes the token itself.
    spread: whether a second decoder estimates the spread of the point.
    """

    def __init__(self, language: nn.Module, written: bool = False, spread: bool = False) -> None:
        super().__init__()
        table = language.get_input_embeddings().weight
        width = table.shape[1]
        self.embedding = nn.Parameter(table.detach().float().mean(0))
        self.decoder = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2))
        self.output: nn.Parameter | None = None
        if written:
            self.output = nn.Parameter(language.get_output_embeddings().weight.detach().float().mean(0))
        self.spread = nn.Linear(width, 2) if spread else None

    def embed(self, table: nn.Module, tokens: Tensor) -> Tensor:
        """Token ids of any shape ..., KEYPOINT among them -> embeddings ... D in the table's precision.

        table: the language model's embedding layer.
        """
        embeddings = table(tokens.clamp(min=0))
        return torch.where((tokens == KEYPOINT)[..., None], self.embedding.to(embeddings.dtype), embeddings)

    def forward(self, states: Tensor) -> Tensor:
        """Final hidden states n D of the token -> points n 2, fractions of the crop, float32."""
        with full_precision(states):
            return self.decoder(states.float()).sigmoid()

    def spreads(self, states: Tensor) -> Tensor:
        """Final hidden states n D of the token -> mean distances n 2 of x and of y from the truth, in fractions.

        They are the scales of two Laplace distributions round the point. The states get no gradient from them.
        """
        with full_precision(states):
            return F.softplus(self.spread(states.detach().float())) + LEAST_SPREAD

    def logits(self, language: nn.Module, states: Tensor) -> Tensor:
        """Logits n V+1 float32 of the next token; the last is this token's.

        states: n D, final hidden states of the language model.
        """
        return torch.cat([language.get_output_embeddings()(states).float(), (states.float() @ self.output)[:, None]], 1)

    # --- asking -------------------------------------------------------------------------------------------------------

    def locate(
        self,
        language: nn.Module,
        prefix: Prefix,
        questions: Sequence[Sequence[int]],
        embed: Callable[[Tensor], Tensor] | None = None,
        stops: Collection[int] = (),
    ) -> TokenAnswers:
        """The answers to K tokenised questions about one image.

        All questions are branches behind the prefix; none attends to another. A token that is given is read in one pass
        with its question. One that is written follows the likeliest tokens, at most LIMIT of them.

        The confidence is, with a spread, the probability that x lies within CONFIDENCE_RADIUS of the point, times the
        same of y; else the probability with which the token was written; NaN where it was given.

        language: the causal language model that read the prefix.
        embed: tokens n, KEYPOINT among them -> embeddings n D; None takes the language model's table and the token's
            own embedding.
        stops: tokens that end an answer, in which this token is then missing.
        """
        embed = embed or partial(self.embed, language.get_input_embeddings())
        points, confidence = [], []
        own = [list(question) for question in questions]
        given = self.output is None
        for packed in passes(own, lambda question: len(question) + (1 if given else LIMIT)):
            branches = Branches.of(language, prefix, embed).repeated(len(packed))
            if given:
                states = branches.advance([[*question, KEYPOINT] for question in packed])[-1]
                chance = torch.full((len(packed),), torch.nan, device=states.device)
            else:
                states, chance = self._written(branches, packed, stops)
            found = self(states)
            if self.spread is not None:
                within = -torch.expm1(-CONFIDENCE_RADIUS / self.spreads(states))
                chance = torch.where(found.isfinite().all(1), within.prod(1), torch.nan)
            points.append(found)
            confidence.append(chance)
        return TokenAnswers(torch.cat(points).cpu().double(), torch.cat(confidence).cpu().double().clamp(0, 1))

    def _written(
        self, branches: Branches, questions: Sequence[Sequence[int]], stops: Collection[int]
    ) -> tuple[Tensor, Tensor]:
        """Let the model write until it writes the token.

        Returns the token's final hidden states n D and the probability of each token at its place, n; both NaN where it
        was not written.
        """
        states = branches.advance(questions)[-1]
        found, chance = torch.full_like(states, torch.nan), torch.full(states.shape[:1], torch.nan).to(states.device)
        going = list(range(len(questions)))
        for step in range(LIMIT):
            logits = self.logits(branches.language, states[going])
            best = logits.softmax(-1).max(-1)
            place = logits.shape[1] - 1  # of this token
            tokens = {
                b: KEYPOINT if token == place else token for b, token in zip(going, best.indices.tolist(), strict=True)
            }
            last = step + 1 == LIMIT
            going = [b for b, token in tokens.items() if token not in stops and not (last and token != KEYPOINT)]
            if not going:
                break
            states = branches.advance([[tokens[b]] if b in going else [] for b in range(len(questions))])[-1]
            for b, p in zip(tokens, best.values, strict=True):
                if tokens[b] == KEYPOINT:
                    found[b], chance[b] = states[b], p
            going = [b for b in going if tokens[b] != KEYPOINT]
            if not going:
                break
        return found, chance
