"""How tokenizers spell coordinates: what the codec learns from each, checked on all 1001 values of both axes.

    python tools/spelling.py FOLDER_OR_HUB_ID tokenizer.model qwen.tiktoken ...

Besides folders and hub ids it reads bare files: sentencepiece models (Llama-2, Vicuna, Mistral; needs sentencepiece)
and tiktoken tables (Llama-3, Qwen; needs tiktoken). Exits 1 if a tokenizer has no fixed spelling of its own.
"""

import base64
import sys
from pathlib import Path
from typing import Any

from anykeypoint.decoding.codec import CoordinateCodec

# The split in front of the merges, as both families publish it; they differ in how many digits stay together.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Bare:
    """A bare tokenizer file behind the one call that the codec makes."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        try:
            table = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in data.splitlines() if line}
        except (ValueError, IndexError):
            from sentencepiece import SentencePieceProcessor

            self.encode = SentencePieceProcessor(model_file=str(path)).encode
            return
        import tiktoken

        digits = "{1,3}" if b"123" in table else ""
        encoding = tiktoken.Encoding(path.name, pat_str=_SPLIT % digits, mergeable_ranks=table, special_tokens={})
        self.encode = encoding.encode_ordinary

    def __call__(self, text: str | list[str], add_special_tokens: bool = False) -> dict[str, Any]:
        ids = self.encode(text) if isinstance(text, str) else [self.encode(part) for part in text]
        return {"input_ids": ids}


def main(sources: list[str]) -> int:
    odd = 0
    for source in sources:
        path = Path(source)
        if path.is_file():
            tokenizer: Any = Bare(path)
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(source)
        codec = CoordinateCodec.learn(tokenizer)
        length = len(codec.template())
        kind = "its own spelling" if codec.native else "no fixed spelling, forced to single digits"
        print(f"{source}: {length} tokens an answer, {len(codec.digits)} x {codec.base} a number, {kind}")
        odd += not codec.native
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
