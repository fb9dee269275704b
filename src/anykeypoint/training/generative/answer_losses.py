"""The loss of answers: of tokens, of digit distributions and of <KEYPOINT> points.

Letters: B sequences, T text tokens, P prefix tokens, D width of the language model, n targets.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...decoding import packed_forward
from ...models.generative.base import GenerativeModel
from ...models.generative.capellm import CapeLLM
from ...models.generative.keypoint_token import KEYPOINT
from .capellm_config import CapeLLMTrainConfig
from .guidance import guided_losses, prefixed_mask
from .sequence_batch import SequenceBatch
from .sequences import training_form


def training_losses(
    model: CapeLLM,
    batch: SequenceBatch,
    config: CapeLLMTrainConfig,
    answered: bool = True,
    readers: nn.ModuleDict | None = None,
) -> dict[str, Tensor]:
    """One forward pass of CapeLLM. Returns scalars: "loss", and its terms without gradient.

    model: the model that is trained.
    batch: sequences that were built for it.
    config: the options of the run.
    answered: False where the batch has questions alone; guidance is then the whole loss.
    readers: the modules of `guidance.make_readers`, where the recipe has any.
    """

    def states() -> Tensor:
        prefix = model.prefix(model.encoder.normalise(batch.pixels), training_form(model, config))  # B P D
        count, size = prefix.shape[:2]
        embeddings = torch.cat([prefix, model.embed(batch.tokens)], dim=1)
        start = torch.arange(size, device=prefix.device).expand(count, -1)
        positions = torch.cat([start, batch.positions + size], dim=1)
        return packed_forward(model.language, embeddings, prefixed_mask(batch.mask, size), positions)[:, size:]

    def answers(hidden: Tensor) -> dict[str, Tensor]:
        terms = {"answers": _answer_loss(model, hidden, batch, config)}
        return terms | spread_loss(model, hidden, batch)

    return guided_losses(model, batch, config.guide, states, answers, answered, readers)


def _answer_loss(model: CapeLLM, hidden: Tensor, batch: SequenceBatch, config: CapeLLMTrainConfig) -> Tensor:
    """The loss of CapeLLM's answers from the final hidden states of the text, B T D."""
    if model.keypoint_token is not None:
        distance = point_loss(model, hidden, batch)
        return distance + text_loss(model, hidden, batch.text_targets) if len(batch.text_targets) else distance
    if config.loss == "text":
        return text_loss(model, hidden, batch.text_targets)
    return digits_loss(model, hidden, batch)


def text_loss(model: GenerativeModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of the next token, mean over tokens. Logits are computed where there is a target, nowhere else.

    model: its output embeddings make the logits, and where it writes <KEYPOINT> that token's output vector.
    hidden: final hidden states of the text, B T D.
    targets: n 3, see `SequenceBatch.text_targets`.
    """
    states, wanted = hidden[targets[:, 0], targets[:, 1]], targets[:, 2]
    if model.writes_token:
        logits = model.keypoint_token.logits(model.language, states)
        return F.cross_entropy(logits, torch.where(wanted == KEYPOINT, logits.shape[1] - 1, wanted))
    return F.cross_entropy((states @ model.language.get_output_embeddings().weight.T).float(), wanted)


def digits_loss(model: GenerativeModel, hidden: Tensor, batch: SequenceBatch) -> Tensor:
    """Kullback-Leibler divergence from the target distributions: sum over an answer's positions, mean over answers.

    hidden: final hidden states of the text, B T D.
    """
    head = model.language.get_output_embeddings().weight
    total = hidden.new_zeros((), dtype=torch.float32)
    codec = model.codec
    for (positions, target), ids in ((batch.lead_targets, codec.leads), (batch.digit_targets, codec.digits[0])):
        logits = (hidden[positions[:, 0], positions[:, 1]] @ head[list(ids)].T).float()
        # The divergence, unlike the cross entropy, is 0 for a perfect answer, however wide its target is.
        total = total + F.kl_div(logits.log_softmax(-1), target, reduction="sum")
    return total / batch.answers


def point_loss(model: GenerativeModel, hidden: Tensor, batch: SequenceBatch) -> Tensor:
    """L1 distance of the points of <KEYPOINT> answers from the true ones in normalised coordinates, mean over points.

    hidden: final hidden states of the text, B T D.
    """
    positions, target_points = batch.point_targets
    points = model.keypoint_token(hidden[positions[:, 0], positions[:, 1]])
    return (points - target_points).abs().sum(-1).mean()


def spread_loss(model: GenerativeModel, hidden: Tensor, batch: SequenceBatch) -> dict[str, Tensor]:
    """The term "spread" of a model that estimates the spread of <KEYPOINT> answers; none of any other model.

    It is the negative log-likelihood of the true points under Laplace distributions round the decoded ones, sum over x
    and y, mean over points. Nothing but the decoder of the spread gets a gradient from it.

    hidden: final hidden states of the text, B T D.
    """
    token = model.keypoint_token
    if token is None or token.spread is None or not batch.answers:
        return {}
    positions, target_points = batch.point_targets
    states = hidden[positions[:, 0], positions[:, 1]].detach()
    distances, scales = (token(states).detach() - target_points).abs(), token.spreads(states)
    return {"spread": (distances / scales + (2 * scales).log()).sum(-1).mean()}
