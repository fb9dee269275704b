"""KptLLM and KptLLM++: an LLM that names the keypoint it is shown, and finds a keypoint by words, by examples or both.

    F_q, F_s = encoder(query), encoder(example)      Sec. 3.1   N C each
    z_q = projection(F_q)                                       N D
    z_p = Linear(extractor(PE(x), F_s))              Eq. 1, 2   D, one token for each keypoint
    u = language([z_q, z_p, question])               Eq. 3
    answer = " nose" or " nose\n [0.123,0.456]"      Eq. 4, 8; in KptLLM a token and a decoder write the point, Eq. 5

z_q stands first, so that all questions about an image share it. KptLLM++ is the default, `PRESETS` has both.

Letters: B images, S crop side in pixels, N image tokens, C encoder width, D model width, T tokens, K keypoints,
R prompt tokens.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...category import Category, Keypoint
from ...decoding import Engine, packed_forward
from ...errors import InputError
from ...example import Example
from ...geometry import Box
from ...images import ImageSource
from ...instructions import neutral
from ...instructions.tasks import TaskForm, settled_tasks, task_form
from ...pose import Pose
from ..cache import CachingModule
from ..towers.language import LanguageConfig
from ..towers.vision import VisionConfig, VisionEncoder
from ..tuning import ROLES, LoraOptions
from .base import ANSWERS, GenerativeModel
from .keypoint_token import KEYPOINT
from .prompts import PooledPrompts, PromptExtractor

if TYPE_CHECKING:
    from ...pose import Identified
    from .kptllm_view import KptView

PROJECTORS, EXTRACTORS = ("linear", "mlp"), ("attention", "pool")
NOTHING_SAID = Category("object", (Keypoint("point"),))  # for questions without words
PROMPT = KEYPOINT - 1  # in lists of token ids, PROMPT - r stands for the prompt token of row r

_LORA = LoraOptions(r=128, alpha=256, targets=ROLES)
_VISION_LORA = LoraOptions(r=128, alpha=256, targets=("q", "k", "v", "o", "up", "down"))  # a ViT's have no gate


@dataclass(frozen=True)
class KptLLMConfig:
    """Everything that makes one model; KptLLM++ by default."""

    vision: VisionConfig = field(
        default_factory=lambda: VisionConfig("dinov2-l", image_size=224, tuning="lora", lora=_VISION_LORA)
    )
    language: LanguageConfig = field(default_factory=lambda: LanguageConfig("vicuna-7b", tuning="lora", lora=_LORA))
    projector: str = "linear"  # of the query image; "mlp": LLaVA-1.5's two layers
    extractor: str = "attention"  # of prompt tokens; "pool": the mean of the features round the point (Table 14)
    layers: int = 2  # of cross-attention
    heads: int = 8  # in each; the paper does not say
    frequencies: int = 64  # of the position embedding, in x and in y
    sigma: float = 2 / 64  # of the pooled Gaussian, a share of the crop; POMNet's
    instruction: str | TaskForm = "kptllm"  # task form: a name, or a YAML file, which is kept with all it says
    answer: str = "text"  # "text": coordinates as digits; "token": one token and a decoder (KptLLM), keypoint_token.py
    identify_first: bool = True  # an answer names the keypoint, then gives the point
    spaced: bool = False  # True: "[0.123, 0.456]", False: "[0.123,0.456]"
    crop_scale: float = 1.0  # crop side over the box's longer side
    strategy: str = "greedy"  # how an answer is read when the caller names no strategy

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruction", settled_tasks(self.instruction))
        for key, known in (("projector", PROJECTORS), ("extractor", EXTRACTORS), ("answer", ANSWERS)):
            if getattr(self, key) not in known:
                raise InputError(f"A model's {key} must be one of {', '.join(known)}, but got {getattr(self, key)!r}.")
        for key in ("layers", "heads", "frequencies"):
            if type(getattr(self, key)) is not int or getattr(self, key) < 1:
                raise InputError(f"A model's {key} must be a whole number from 1, but got {getattr(self, key)!r}.")
        for key in ("sigma", "crop_scale"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise InputError(f"A model's {key} must be a number above 0, but got {value!r}.")
        for key in ("identify_first", "spaced"):
            if type(getattr(self, key)) is not bool:
                raise InputError(f"A model's {key} must be true or false, but got {getattr(self, key)!r}.")
        if self.answer == "token" and self.strategy != "greedy":
            raise InputError(f"A <KEYPOINT> answer has no strategy, but got {self.strategy!r}; leave it out.")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "KptLLMConfig":
        """Strict: unknown keys are refused. `preset` names one of PRESETS, from which the other keys differ."""
        data = dict(data)
        preset = data.pop("preset", "kptllm++")
        if preset not in PRESETS:
            raise InputError(f"There is no preset {preset!r} of KptLLM; known are {', '.join(PRESETS)}.")
        if unknown := sorted(set(data) - set(cls.__dataclass_fields__)):
            raise InputError(f"The model's config has the unknown key {unknown[0]!r}; it may be of a newer version.")
        parts = dict(data)
        for key, kind in (("vision", VisionConfig), ("language", LanguageConfig)):
            if isinstance(data.get(key), dict):
                parts[key] = kind.from_dict(data[key])
        if isinstance(form := data.get("instruction"), dict):
            parts["instruction"] = TaskForm.from_dict(form, "The model's task form")
        return replace(PRESETS[preset], **parts)

    def to_dict(self) -> dict[str, Any]:
        """The form that `from_dict` reads."""
        return asdict(self)


# The paper's sizes (Sec. 4.1.3). KptLLM starts from LLaVA-1.5's shapes, here with the plain Vicuna's weights.
PRESETS = {
    "kptllm": KptLLMConfig(
        vision=VisionConfig("clip-vit-l-336", image_size=336, tuning="full"), projector="mlp", answer="token"
    ),
    "kptllm++": KptLLMConfig(),
}


class KptLLM(GenerativeModel, CachingModule):
    """The model (Fig. 2). `language` is a causal LM of transformers, `tokenizer` its own."""

    model_type = "kptllm"
    prompts = ("text", "example", "both", "identify")

    def __init__(self, config: KptLLMConfig, encoder: VisionEncoder, language: nn.Module, tokenizer: Any) -> None:
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
        """Crops B 3 S S -> [BOS ; before ; z_q] embeddings, without BOS where the tokenizer has none."""
        return self.begun(self.visual(pixels), self.form.text.before)

    def prompt_tokens(self, features: Tensor, points: Tensor) -> Tensor:
        """z_p of places (B K 2, fractions of the crop) in images of which the encoder gave features B N C: B K D, in
        the language model's precision (Eq. 1, 2)."""
        grid = self.encoder.grid(self.config.vision.image_size)
        found = self.extractor(features, points, grid)
        return self.prompt_projection(found.to(self.prompt_projection.weight.dtype)).to(self.language.dtype)

    def embed(self, tokens: Tensor, prompts: Tensor | None = None) -> Tensor:
        """Tokens of any shape -> embeddings. Beside ids they may be KEYPOINT, where the model answers with it, and
        PROMPT - r for row r of the prompt tokens R D."""
        table = self.language.get_input_embeddings()
        plain = tokens.clamp(min=KEYPOINT)
        found = table(plain.clamp(min=0)) if self.keypoint_token is None else self.keypoint_token.embed(table, plain)
        if prompts is None:
            return found
        rows = (PROMPT - tokens).clamp(min=0)
        return torch.where((tokens <= PROMPT)[..., None], prompts[rows], found)

    def forward(
        self,
        pixels: Tensor,
        tokens: Tensor,
        sees: Tensor,
        positions: Tensor,
        shown: Tensor | None = None,
        owners: Tensor | None = None,
        points: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states B T D of questions and answers packed behind their images, as training reads them.

        pixels: normalised crops of the queries, B 3 S S. tokens: B T as `embed` takes. sees: B T T bool, text to text;
        all text sees the whole prefix. positions: B T, behind the prefix.
        The R prompt tokens are of the places `points` (R 2) in the crops `owners` (R): below B a query's own, from B on
        one of `shown`, the examples' normalised crops E 3 S S.
        """
        features = self.encoder(pixels)
        prefix = self.begun(self.project(features), self.form.text.before)  # B P D
        prompts = None
        if points is not None:
            looks = features if shown is None else torch.cat([features, self.encoder(shown)])
            prompts = self.prompt_tokens(looks[owners], points[:, None])[:, 0]
        count, size = prefix.shape[:2]
        length = tokens.shape[1]
        embeddings = torch.cat([prefix, self.embed(tokens, prompts)], dim=1)
        whole = torch.ones(count, size + length, size + length, dtype=torch.bool, device=prefix.device).tril()
        whole[:, size:, size:] = sees
        places = torch.cat([torch.arange(size, device=prefix.device).expand(count, -1), positions + size], dim=1)
        return packed_forward(self.language, embeddings, whole, places)[:, size:]

    # --- pictures -----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, image: ImageSource, box: Box | None = None) -> "KptView":
        """Look at one object once; ask the returned view as often as you like.

        image: a file, bytes, PIL image or uint8 array H W 3. box: x, y, w, h in image pixels; None takes all of it.
        """
        from .kptllm_view import KptView

        sight = self.look(image, box)
        features = self.encoder(self.normalised(sight.pixels))
        engine = Engine(self.language, self.codec)
        prefix = engine.read(self.begun(self.project(features), self.form.text.before))
        return KptView(self, sight, features, engine, prefix)

    def predict(
        self,
        image: ImageSource,
        category: Category,
        box: Box | None = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        **options: Any,
    ) -> Pose:
        """Find a category's keypoints in one picture: `encode` and `KptView.predict` in one call."""
        return self.encode(image, box).predict(category, example, words, **options)

    def identify(
        self, image: ImageSource, points: np.ndarray, *, box: Box | None = None, category: Category | None = None
    ) -> "Identified | list[Identified]":
        """What is at these points of one picture: `encode` and `KptView.identify` in one call."""
        return self.encode(image, box).identify(points, category)

    def question(
        self, task: str, category: Category = NOTHING_SAID, keypoint: int = 0, describe: str = "detailed"
    ) -> list[int]:
        """The tokenised question of one of `instructions.tasks.TASKS`, to follow the prefix and a prompt token, if the
        task has one. category, keypoint, describe: for tasks that are asked in words."""
        segments = self.form.of(task).prompt(category, keypoint, describe, special=self.control_tokens)
        return [token for ids in self.tokenize([segment.text for segment in segments]) for token in ids]

    def name_tokens(self, name: str) -> list[int]:
        """A name as an answer starts with it, without what ends it."""
        return self.tokenize([self.form.named(name, self.control_tokens)])[0]

    def text(self, ids: Sequence[int]) -> str:
        """What written tokens say, in one line."""
        return neutral(self.tokenizer.decode(list(ids), skip_special_tokens=True))
