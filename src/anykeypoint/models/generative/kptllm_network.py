"""The network of KptLLM and KptLLM++: tensors and tokens of questions, without pictures.

    F_q, F_s = encoder(query), encoder(example)      Sec. 3.1   N C each
    z_q = projection(F_q)                                       N D
    z_p = Linear(extractor(PE(x), F_s))              Eq. 1, 2   D, one token for each keypoint
    u = language([z_q, z_p, question])               Eq. 3
    answer = " nose" or " nose\n [0.123,0.456]"      Eq. 4, 8; in KptLLM a token and a decoder give the point, Eq. 5

z_q stands first, so that all questions about an image share it.

Letters: B queries, E crops of examples, S crop side in pixels, N image tokens, P prefix tokens, C encoder width,
D model width, T tokens, K keypoints, R prompt tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...category import Category, Keypoint
from ...decoding import packed_forward
from ...instructions import neutral
from ...instructions.tasks import task_form
from ..cache import CachingModule
from ..towers.image_encoder import ImageEncoder
from .base import GenerativeModel
from .keypoint_token import KEYPOINT
from .kptllm_config import KptLLMConfig
from .prompts import PooledPrompts, PromptExtractor

NAMELESS = Category("object", (Keypoint("point"),))  # stands for the category in questions that do not mention it
PROMPT = KEYPOINT - 1  # in lists of token ids, PROMPT - r stands for the prompt token of row r


class KptLLMNetwork(GenerativeModel, CachingModule):
    """The model (Fig. 2) up to hidden states; `KptLLM` adds pictures. Its cache holds features of examples' crops.

    config: what makes it one KptLLM.
    encoder: the image encoder.
    language: a causal language model of transformers.
    tokenizer: the language model's tokenizer.
    """

    model_type = "kptllm"
    config_class = KptLLMConfig

    def __init__(self, config: KptLLMConfig, encoder: ImageEncoder, language: nn.Module, tokenizer: Any) -> None:
        width, size = encoder.dim, language.config.hidden_size
        projection: nn.Module = nn.Linear(width, size)
        if config.projector == "mlp":
            projection = nn.Sequential(projection, nn.GELU(), nn.Linear(size, size))
        super().__init__(config, encoder, language, tokenizer, projection)
        if config.extractor == "pool":
            self.extractor: nn.Module = PooledPrompts(config.sigma)
        else:
            self.extractor = PromptExtractor(width, config.layers, config.heads, config.frequencies)
        self.prompt_projection = nn.Linear(width, size)
        self.form = task_form(config.instruction)

    # --- tensors ------------------------------------------------------------------------------------------------------

    def prefix(self, pixels: Tensor) -> Tensor:
        """Normalised crops B 3 S S -> embeddings of [BOS ; text before the image ; z_q], B P D."""
        return self.prefix_of(self.encoder(pixels))

    def prefix_of(self, features: Tensor) -> Tensor:
        """As `prefix`, of the encoder's features B N C."""
        return self.with_start(self.project(features), self.form.text.before)

    def prompt_tokens(self, features: Tensor, points: Tensor) -> Tensor:
        """z_p of points in images (Eq. 1, 2): B K D, in the language model's precision.

        features: B N C, the encoder's features of the images' crops.
        points: B K 2, fractions of the crop.
        """
        grid = self.encoder.grid(self.config.vision.image_size)
        extracted = self.extractor(features, points, grid)
        return self.prompt_projection(extracted.to(self.prompt_projection.weight.dtype)).to(self.language.dtype)

    def embed(self, tokens: Tensor, prompts: Tensor | None = None) -> Tensor:
        """Tokens of any shape ... -> embeddings ... D.

        tokens: token ids; KEYPOINT, where the model answers with it; and PROMPT - r for row r of the prompts.
        prompts: R D, prompt tokens; None where no token stands for one.
        """
        table = self.language.get_input_embeddings()
        plain = tokens.clamp(min=KEYPOINT)
        if self.keypoint_token is None:
            embeddings = table(plain.clamp(min=0))
        else:
            embeddings = self.keypoint_token.embed(table, plain)
        if prompts is None:
            return embeddings
        rows = (PROMPT - tokens).clamp(min=0)
        return torch.where((tokens <= PROMPT)[..., None], prompts[rows], embeddings)

    def forward(
        self,
        pixels: Tensor,
        tokens: Tensor,
        attends: Tensor,
        positions: Tensor,
        example_pixels: Tensor | None = None,
        owners: Tensor | None = None,
        points: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states B T D of questions and answers that are packed behind their images, as in training.

        pixels: B 3 S S, normalised crops of the queries.
        tokens: B T, as `embed` takes them.
        attends: B T T bool, the text tokens that each text token attends to; all attend to the whole prefix.
        positions: B T, position of each token, counted from the end of the prefix.
        example_pixels: E 3 S S, normalised crops of the examples.
        owners: R, the crop that each prompt token is about: below B that query, from B on example number owner - B.
        points: R 2, the prompt tokens' points, fractions of that crop; None where there are none.
        """
        features = self.encoder(pixels)
        prefix = self.prefix_of(features)
        prompts = None
        if points is not None:
            crops = features if example_pixels is None else torch.cat([features, self.encoder(example_pixels)])
            prompts = self.prompt_tokens(crops[owners], points[:, None])[:, 0]
        count, size = prefix.shape[:2]
        length = tokens.shape[1]
        embeddings = torch.cat([prefix, self.embed(tokens, prompts)], dim=1)
        mask = torch.ones(count, size + length, size + length, dtype=torch.bool, device=prefix.device).tril()
        mask[:, size:, size:] = attends
        start = torch.arange(size, device=prefix.device).expand(count, -1)
        return packed_forward(self.language, embeddings, mask, torch.cat([start, positions + size], dim=1))[:, size:]

    # --- text ---------------------------------------------------------------------------------------------------------

    def question(
        self,
        task: str,
        category: Category = NAMELESS,
        keypoint: int = 0,
        describe: str = "detailed",
        given: str | None = None,
    ) -> list[int]:
        """The tokenised question of a task, to follow the prefix and, where the task has one, a prompt token.

        task: one of the tasks of the model's task form.
        category, keypoint: the keypoint that is asked for, by its index; for the tasks "text" and "both".
        describe: how its description is given, one of `instructions.DESCRIBE`.
        given: the name that the user calls it by; for the misnamed tasks.
        """
        segments = self.form.of(task).prompt(category, keypoint, describe, given=given, special=self.control_tokens)
        return [token for ids in self.tokenize([segment.text for segment in segments]) for token in ids]

    def name_tokens(self, name: str) -> list[int]:
        """The tokens of a name at the start of an answer, without the ending."""
        return self.tokenize([self.form.named(name, self.control_tokens)])[0]

    def text(self, ids: Sequence[int]) -> str:
        """The text of written tokens, in one line."""
        return neutral(self.tokenizer.decode(list(ids), skip_special_tokens=True))
