"""GGUF files of Llama-like models: their config, dequantised weights and byte-level BPE tokenizer."""

from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from ...errors import InputError

_CONTROL = 3  # GGUF's token type of control tokens

# GGUF's names -> transformers' names: of whole tensors, and of the layers of block i below `model.layers.<i>`.
_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert_package(files: list[Path], folder: Path) -> None:
    """Write the one GGUF file of a package as a folder that transformers reads, with weights in half precision."""
    (source,) = files
    config, tensors, reader = read_llama(source)
    config.save_pretrained(folder)
    save_file({key: value.half() for key, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    read_tokenizer(reader).save_pretrained(folder)


def read_llama(path: Path) -> tuple[LlamaConfig, dict[str, torch.Tensor], GGUFReader]:
    """The config of a GGUF file, its tensors as float32 under transformers' names, and the open reader.

    Raises InputError for a model that is no Llama.
    """
    reader = GGUFReader(path)

    def field(name: str):
        return reader.fields[name].contents()

    if field("general.architecture") != "llama":
        raise InputError(f"{path.name} holds a {field('general.architecture')!r} model, but only 'llama' can be read.")
    heads, groups = field("llama.attention.head_count"), field("llama.attention.head_count_kv")
    tensors = {}
    for tensor in reader.tensors:
        value = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).float()
        name = _NAMES.get(tensor.name)
        if name is None:
            _, block, part, _ = tensor.name.split(".")
            name = f"model.layers.{block}.{_BLOCK_NAMES[part]}.weight"
            if part in ("attn_q", "attn_k"):
                value = _halves(value, heads if part == "attn_q" else groups)
        tensors[name] = value
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=field("llama.vocab_size"),
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=groups,
        max_position_embeddings=field("llama.context_length"),
        rms_norm_eps=field("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("llama.rope.freq_base")},
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"),
        tie_word_embeddings="lm_head.weight" not in tensors,
    )
    return config, tensors, reader


def read_tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    """The tokenizer of SmolLM: byte-level BPE in which every digit is a token of its own.

    Raises InputError for a tokenizer of another kind.
    """

    def field(name: str):
        return reader.fields[f"tokenizer.ggml.{name}"].contents()

    if (kind := (field("model"), field("pre"))) != ("gpt2", "smollm"):
        raise InputError(f"The GGUF file's tokenizer is of kind {kind}, but only ('gpt2', 'smollm') can be read.")
    tokens, types = field("tokens"), field("token_type")
    merges = [tuple(merge.split(" ", 1)) for merge in field("merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[field("bos_token_id")],
        eos_token=tokens[field("eos_token_id")],
        pad_token=tokens[field("padding_token_id")],
        unk_token=tokens[field("unknown_token_id")],
        model_max_length=8192,
    )


def _halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Undo GGUF's interleaving of rotary pairs: transformers stores the first members of all pairs, then the second.

    weight: query or key weights, one row for each channel of each head.
    heads: number of heads that the rows are of.
    """
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)
