"""How a pretrained network is tuned: not at all ("frozen"), by LoRA adapters ("lora"), or in all its weights ("full").

LoRA (Hu et al. 2021) adds (alpha / r) B A x to the output of chosen linear layers and trains only A and B. CapeLLM
(section 4.1) adapts the queries and values of both the image encoder and the language model, with r 8, alpha 16 and
dropout 0.05. Layers are chosen by role (q, k, v, ...), because every family of networks names them differently.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..configs.checks import check_choice, check_positive, check_rate, check_whole
from ..configs.strict import Config
from ..errors import InputError
from .tensors import check_tensors

TUNING_MODES = ("frozen", "lora", "full")

# Role -> endings of the names of the layers that have it; the longest matching ending decides. A fused "qkv" layer has
# the roles q, k and v together: an adapter on it cannot leave k out.
_ROLE_NAMES: dict[str, tuple[str, ...]] = {
    "q": ("q_proj", "query"),
    "k": ("k_proj", "key"),
    "v": ("v_proj", "value"),
    "qkv": ("qkv", "qkv_proj"),
    "o": ("o_proj", "out_proj", "attn.proj", "attention.output.dense"),
    "gate": ("gate_proj",),
    "up": ("up_proj", "fc1", "intermediate.dense"),
    "down": ("down_proj", "fc2", "output.dense"),
}
ROLES = ("q", "k", "v", "o", "gate", "up", "down")

_ADAPTER = "default"  # PEFT's name of a single adapter: part of the names of parameters, left out in saved files


@dataclass(frozen=True)
class LoraOptions(Config):
    """The adapters that LoRA adds.

    r: rank of the adapters.
    alpha: numerator of the scale alpha / r of their output.
    dropout: probability of dropping an input of A in training.
    targets: roles of the layers that get an adapter, some of ROLES.
    """

    called: ClassVar[str] = "The LoRA options"

    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q", "v")

    def __post_init__(self) -> None:
        check_whole(self.r, "The LoRA rank r")
        check_positive(self.alpha, "The LoRA alpha")
        check_rate(self.dropout, "The LoRA dropout")
        if isinstance(self.targets, str) or not self.targets or not set(self.targets) <= set(ROLES):
            raise InputError(f"The LoRA targets must be some of {', '.join(ROLES)}, but got {self.targets!r}.")
        object.__setattr__(self, "targets", tuple(self.targets))


def check_tuning(mode: str) -> None:
    """InputError unless `mode` is frozen, lora or full."""
    check_choice(mode, "The tuning mode", TUNING_MODES)


def tune(module: nn.Module, mode: str, options: LoraOptions, unused: Iterable[str] = ()) -> None:
    """Set in place which parameters of a network train, and add the adapters where `mode` is "lora".

    module: the network.
    mode: frozen, lora or full.
    options: the adapters; only used in the mode lora.
    unused: beginnings of the names of parts whose output is never used. They get no adapter and never train, because a
        trainable parameter without a gradient stops distributed training.

    Raises InputError for another mode, for roles that the network does not have, and where the network has adapters
    that differ from the options.
    """
    check_tuning(mode)
    if mode == "frozen":
        module.requires_grad_(False)
    elif mode == "full":
        if has_lora(module):
            raise InputError("A network with LoRA adapters cannot be tuned fully; merge the adapters, or choose lora.")
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(unused)))
    elif has_lora(module):
        _check_adapters(module, options, unused)
    else:
        apply_lora(module, options.r, options.alpha, options.dropout, options.targets, unused)


def apply_lora(
    module: nn.Module,
    r: int = 8,
    alpha: float = 16,
    dropout: float = 0.05,
    targets: Iterable[str] = ("q", "v"),
    unused: Iterable[str] = (),
) -> nn.Module:
    """Freeze a network and put trainable LoRA adapters on its layers, in place; the network itself is returned.

    module: the network.
    r, alpha, dropout: see `LoraOptions`.
    targets: roles of the layers that get an adapter.
    unused: beginnings of the names of layers that get none.

    B starts at zero, so the output does not change. Layers in half precision get the adapters of float32 layers.
    Raises InputError for roles that the network does not have (naming those it has), and where it has adapters already.
    """
    from peft import LoraConfig, inject_adapter_in_model

    options = LoraOptions(r, alpha, dropout, tuple(targets))
    if has_lora(module):
        raise InputError("The network has LoRA adapters already; load weights into them with load_lora_state.")
    names = target_names(module, options.targets, unused)
    module.requires_grad_(False)
    config = LoraConfig(
        r=options.r, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=names, bias="none"
    )
    with _as_float32([module.get_submodule(name) for name in names]):
        inject_adapter_in_model(config, module, _ADAPTER)
    return module.train(module.training)  # PEFT adds its dropout in training mode


@contextmanager
def _as_float32(layers: Iterable[nn.Module]) -> Iterator[None]:
    """A context in which layers in half precision have float32 weights without memory.

    PEFT rounds new adapters to the precision of their layer, in which small steps of training would be lost too.
    """
    own = {layer: layer.weight for layer in layers if layer.weight.dtype in (torch.float16, torch.bfloat16)}
    for layer, weight in own.items():
        stand_in = torch.zeros((), dtype=torch.float32, device=weight.device).expand(weight.shape)
        layer.weight = nn.Parameter(stand_in, requires_grad=False)
    try:
        yield
    finally:
        for layer, weight in own.items():
            layer.weight = weight


def target_names(module: nn.Module, targets: Iterable[str], unused: Iterable[str] = ()) -> list[str]:
    """The full names, sorted, of the linear layers of a network that have one of the roles `targets`.

    Layers count whether they are adapted or not; those whose names begin with an entry of `unused` do not.
    Raises InputError for a role that no layer has.
    """
    roles: dict[str, list[str]] = {}
    unused = tuple(unused)
    for name, layer in module.named_modules():
        name = name.removesuffix(".base_layer")  # PEFT keeps the layer that it adapts under this name
        if isinstance(layer, nn.Linear) and not name.startswith(unused):
            for role in roles_of(name):
                roles.setdefault(role, []).append(name)
    absent = [role for role in targets if role not in roles]
    if absent and not roles:
        raise InputError(
            f"{type(module).__name__} has no attention or MLP layer that LoRA could adapt; "
            "choose the tuning mode frozen or full."
        )
    if absent:
        raise InputError(
            f"{type(module).__name__} has no layer for the LoRA target {absent[0]!r}; "
            f"it has {', '.join(role for role in ROLES if role in roles)}."
        )
    return sorted({name for role in targets for name in roles[role]})


def roles_of(name: str) -> tuple[str, ...]:
    """The roles of a layer by its name, as "encoder.layer.0.attention.q_proj"; empty where the name has none."""
    dotted = "." + name
    ends = [(len(end), role) for role, ends in _ROLE_NAMES.items() for end in ends if dotted.endswith("." + end)]
    if not ends:
        return ()
    role = max(ends)[1]
    return ("q", "k", "v") if role == "qkv" else (role,)


def has_lora(module: nn.Module) -> bool:
    """Whether some layer of a network has a LoRA adapter."""
    return any(f".lora_A.{_ADAPTER}." in name for name, _ in module.named_parameters())


def lora_state(module: nn.Module) -> dict[str, Tensor]:
    """The weights of a network's adapters, detached; empty without adapters.

    `<layer>.lora_A.weight` is r x inputs, `<layer>.lora_B.weight` is outputs x r. These are the names in files that
    PEFT saves, without `base_model.model.` in front.
    """
    return {_saved_name(name): tensor.detach() for name, tensor in _adapter_parameters(module)}


def load_lora_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy weights into the adapters of a network.

    state: the form of `lora_state`; names may begin with PEFT's `base_model.model.`.

    Raises InputError that lists unknown, missing and wrongly shaped tensors; nothing is changed then.
    """
    given = {key.removeprefix("base_model.model."): tensor for key, tensor in state.items()}
    own = {_saved_name(name): tensor for name, tensor in _adapter_parameters(module)}
    check_tensors({key: tuple(tensor.shape) for key, tensor in own.items()}, given, "The LoRA weights")
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(given[key])


def _adapter_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The matrices A and B of all adapters, under their full names."""
    parts = (f".lora_A.{_ADAPTER}.", f".lora_B.{_ADAPTER}.")
    return [(name, tensor) for name, tensor in module.named_parameters() if any(part in name for part in parts)]


def _saved_name(name: str) -> str:
    return name.replace(f".{_ADAPTER}.", ".")


def _check_adapters(module: nn.Module, options: LoraOptions, unused: Iterable[str]) -> None:
    """Let the adapters that a network has already train; InputError unless they are those of `options`."""
    config = module.peft_config[_ADAPTER]
    present = {key.rsplit(".lora_", 1)[0] for key in lora_state(module)}
    wanted = set(target_names(module, options.targets, unused))
    found = (config.r, config.lora_alpha, config.lora_dropout)
    if found != (options.r, options.alpha, options.dropout) or present != wanted:
        raise InputError(
            f"The network already has LoRA adapters (r {found[0]}, alpha {found[1]:g}, dropout {found[2]:g}, "
            f"{len(present)} layers) that differ from those asked for (r {options.r}, alpha {options.alpha:g}, dropout "
            f"{options.dropout:g}, {len(wanted)} layers); make the options agree."
        )
    module.requires_grad_(False)
    for _, parameter in _adapter_parameters(module):
        parameter.requires_grad_(True)
