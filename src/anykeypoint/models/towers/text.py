"""Text encoders by name: phrases in, one unit vector for each out.

CapeX reads the phrase of each keypoint alone, with a frozen gte-base-en-v1.5, CLIP or multilingual BERT (its released
code has these three); MiniLM is small and needs no network access after it was fetched. Each phrase is encoded by
itself, without padding, and once: no other phrase can change its vector.

A new text encoder is one more entry of TEXT_ENCODERS.

Letters: P phrases, D channels, N tokens.
"""

import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...configs.checks import check_choice, check_text
from ...configs.strict import Config
from ...errors import InputError, ReadingWarning, first_few
from ..cache import CachingModule
from ..foreign import foreign_sentence, typo_sentence, warn_of_foreign, warn_of_typos
from ..sources import packages
from ..sources.hub import load_model, load_tokenizer, read_config
from .gte import load_gte


def _load_bert(source: str, dtype: torch.dtype) -> nn.Module:
    from transformers import BertModel

    return load_model(BertModel, source, dtype, add_pooling_layer=False)


def _load_clip(source: str, dtype: torch.dtype) -> nn.Module:
    from transformers import CLIPTextModelWithProjection

    return load_model(CLIPTextModelWithProjection, source, dtype)


@dataclass(frozen=True)
class TextEncoderKind:
    """A published text encoder.

    source: the hub id; None where the weights come as the package of its name (see `sources.packages`), or where the
        user must name a folder or hub id.
    types: the `model_type` that config.json of such a network may have.
    pooling: what becomes the phrase's vector: "first" the first token's state, "mean" the mean over all tokens,
        "projection" the network's own projection.
    tokens: number of tokens of the longest phrase that is read.
    load: called with a hub id or folder and a dtype; gives the network.
    english: whether it understands English alone.
    """

    source: str | None
    types: tuple[str, ...]
    pooling: str
    tokens: int
    load: Callable[[str, torch.dtype], nn.Module]
    english: bool = True


TEXT_ENCODERS = {
    "minilm-l6": TextEncoderKind(None, ("bert",), "mean", 256, _load_bert),
    "gte-base-en-v1.5": TextEncoderKind("Alibaba-NLP/gte-base-en-v1.5", ("new", "gte"), "first", 77, load_gte),
    "clip": TextEncoderKind("openai/clip-vit-base-patch32", ("clip", "clip_text_model"), "projection", 77, _load_clip),
    "bert": TextEncoderKind(None, ("bert",), "first", 77, _load_bert, english=False),  # CapeX's is multilingual
}


@dataclass(frozen=True)
class TextConfig(Config):
    """The options of a text encoder.

    name: one of TEXT_ENCODERS.
    source: a hub id or folder with its weights and tokenizer; None takes the published ones.
    """

    called: ClassVar[str] = "The options of a text encoder"

    name: str
    source: str | None = None

    def __post_init__(self) -> None:
        check_choice(self.name, "The name of a text encoder", TEXT_ENCODERS)
        if self.source is not None:
            check_text(self.source, "The source of a text encoder (a hub id or folder)")
        elif TEXT_ENCODERS[self.name].source is None and self.name not in packages.PACKAGES:
            raise InputError(f"The text encoder {self.name!r} has no weights of its own; give a hub id or folder.")


class TextEncoder(CachingModule):
    """A frozen network with its tokenizer; the vectors of the phrases that it has read are kept.

    dim: channels D of a phrase.
    """

    cache_size = 2**16  # number of phrases whose vectors are kept

    def __init__(self, model: nn.Module, tokenizer: Any, config: TextConfig) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.config = config
        self.kind = TEXT_ENCODERS[config.name]
        self._unread: list[str] = []  # phrases encoded since the last warning that have no known token
        self._said: set[str] = set()  # names and words that were warned of
        size = model.config
        self.dim = size.projection_dim if self.kind.pooling == "projection" else size.hidden_size

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: nothing trains here, and dropout would give a phrase another vector each time."""
        nn.Module.train(self, False)  # without emptying the cache, as no weight changes in training
        return self

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        """(P, D) float32 unit vectors, on the network's device.

        The same phrase has the same bits beside any other phrases and at any time. Raises InputError for what is no
        text or blank, and for a phrase of more tokens than the encoder reads (77 in CapeX): it would be cut. Warns of
        phrases that the tokenizer has no token for, such as emoji: all of them get the same vector.
        """
        if isinstance(phrases, str):
            raise InputError(f"Phrases must be a list of texts, but got the text {phrases!r}; put it in a list.")
        device = next(self.model.parameters()).device
        vectors = [self._vector(phrase) for phrase in phrases]
        if self._unread:
            warnings.warn(self._unread_sentence(self._unread), ReadingWarning, stacklevel=2)
            self._unread.clear()
        return torch.stack(vectors).to(device) if vectors else torch.zeros(0, self.dim, device=device)

    def warn_of(self, names: Sequence[str], known: Container[str] = ()) -> None:
        """Warn, once of each, of names in a language that the encoder does not understand, and of misspelt words.

        known: words that are not misspelt, whatever the encoder knows.
        """
        if self.kind.english:
            warn_of_foreign(names, self._reader, self._said)
            warn_of_typos(names, self._knows(known), self._said)

    def doubt(self, name: str, phrase: str, known: Container[str] = ()) -> str:
        """A sentence where a name is not understood, it seems, which is that of the warnings; "" where it is.

        phrase: what is encoded for it. known: as in `warn_of`.
        """
        if self.kind.english:
            sentence = foreign_sentence([name], self._reader) or typo_sentence([name], self._knows(known))
            if sentence:
                return sentence
        return "" if self._is_read(self._tokens(phrase)) else self._unread_sentence([phrase])

    def _knows(self, known: Container[str]) -> Callable[[str], bool]:
        """Whether a word in lower case is known, or one token, as the common words of the encoder's language are."""

        def knows(word: str) -> bool:
            tokens = (word, f"{word}</w>", f"\u0120{word}", f"\u2581{word}")
            return word in known or not self._vocabulary.isdisjoint(tokens)

        return knows

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        """The tokens of the tokenizer, which has tens of thousands."""
        return frozenset(self.tokenizer.get_vocab())

    @property
    def _reader(self) -> str:
        return f"the text encoder {self.config.name}"

    def _unread_sentence(self, phrases: Sequence[str]) -> str:
        listed = first_few([repr(phrase[:40]) for phrase in phrases], 1)
        return (
            f"The text encoder {self.config.name} cannot tell {listed} from other unknown words; say it in plain "
            "English words, or give an example."
        )

    def _vector(self, phrase: str) -> Tensor:
        """A phrase -> its unit vector D, on the CPU, computed once."""
        check_text(phrase, "A phrase to encode")
        return self.cache.get(phrase, lambda: self._encode(phrase).cpu())

    def phrases_in_batches(self, phrases: Sequence[str], size: int = 64) -> Tensor:
        """(P, D) float32 unit vectors on the CPU, several times faster than `phrases` and not kept here.

        Phrases of one number of tokens are encoded together, so that there is no padding. The last bits depend on the
        batch: the same list gives the same bits, and another list nearly the same vectors.

        size: number of phrases of a batch at most.
        """
        by_length: dict[int, list[int]] = {}
        ids = [self._ids(phrase) for phrase in phrases]
        for row, one in enumerate(ids):
            by_length.setdefault(one.shape[1], []).append(row)
        vectors = torch.zeros(len(ids), self.dim)
        for _, rows in sorted(by_length.items()):
            for start in range(0, len(rows), size):
                batch = rows[start : start + size]
                vectors[batch] = self._vectors(torch.cat([ids[row] for row in batch])).cpu()
        self._unread.clear()
        return vectors

    def _encode(self, phrase: str) -> Tensor:
        """A phrase -> its unit vector D, float32."""
        return self._vectors(self._ids(phrase))[0]

    def _ids(self, phrase: str) -> Tensor:
        """The ids (1, N) of a phrase's tokens; a phrase without any known one is noted."""
        ids = self._tokens(phrase)
        if ids.shape[1] > self.kind.tokens:
            raise InputError(
                f"The phrase {phrase[:40]!r}... has {ids.shape[1]} tokens, but {self.config.name} is given "
                f"{self.kind.tokens} at most; shorten it."
            )
        if not self._is_read(ids):
            self._unread.append(phrase)
        return ids

    def _tokens(self, phrase: str) -> Tensor:
        """The ids (1, N) of a phrase's tokens, however many."""
        return self.tokenizer(phrase, return_tensors="pt", verbose=False)["input_ids"]

    def _is_read(self, ids: Tensor) -> bool:
        """Whether there is a known token in a phrase."""
        marks = {self.tokenizer.cls_token_id, self.tokenizer.sep_token_id, self.tokenizer.bos_token_id}
        content = set(ids[0].tolist()) - marks - {self.tokenizer.eos_token_id}
        return not content <= {self.tokenizer.unk_token_id}

    @torch.no_grad()
    def _vectors(self, ids: Tensor) -> Tensor:
        """The ids (P, N) of phrases of N tokens each -> their unit vectors (P, D), float32."""
        output = self.model(input_ids=ids.to(next(self.model.parameters()).device))
        if self.kind.pooling == "projection":
            vectors = output.text_embeds
        else:
            states = output.last_hidden_state
            vectors = states[:, 0] if self.kind.pooling == "first" else states.mean(dim=1)
        return F.normalize(vectors.float(), dim=1)


def build_text_encoder(config: TextConfig, dtype: torch.dtype = torch.float32) -> TextEncoder:
    """The encoder of `config` with its pretrained weights and tokenizer.

    dtype: precision of the weights.

    Raises InputError where they cannot be had or are of another family.
    """
    kind = TEXT_ENCODERS[config.name]
    source = config.source or kind.source or str(packages.fetch(config.name))
    found = read_config(source).get("model_type")
    if found not in kind.types:
        raise InputError(
            f"{source} holds a model of type {found}, but {config.name} needs one of type {' or '.join(kind.types)}."
        )
    return TextEncoder(kind.load(source, dtype), load_tokenizer(source), config)
