"""The seam: which functions of a stage's networks an engine may take over, and how it does.

A network's class says so by ``accelerable``, the names of its methods that are pure functions of tensors (their other
arguments are part of the network). What stands around them, all arithmetic on pixels, stays float32 torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganchain.stage import Stage

Function = Callable[..., Any]


@dataclass(frozen=True)
class Kernel:
    """A method of a network, as its class defines it."""

    network: nn.Module
    method: str

    @property
    def function(self) -> Function:
        """The method in torch, float32."""
        method: Function = getattr(type(self.network), self.method).__get__(self.network)
        return method

    def take_over(self, function: Function | None) -> None:
        """Have ``function`` called in its place; None for the class's own."""
        self.network.__dict__.pop(self.method, None)
        if function is not None:
            self.network.__dict__[self.method] = function

    def digest(self) -> str:
        """SHA-256 of the network's code and weights."""
        found = sha256(f"{type(self.network).__qualname__}.{self.method}".encode())
        for module in sorted({type(part).__module__ for part in self.network.modules()}):
            if not module.startswith("torch."):
                found.update(inspect.getsource(import_module(module)).encode())
        for key, tensor in self.network.state_dict().items():
            found.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


class Engine(Protocol):
    """Makes a function of tensors out of a kernel."""

    def __call__(self, kernel: Kernel) -> Function:
        """What to call instead of the kernel: the same arguments, float32 answers.

        Raises:
            EngineError: this engine cannot run it.
        """
        ...


def kernels(stage: nn.Module) -> Iterator[Kernel]:
    """What engines may take over in a stage: of the outermost networks that name something, all they name."""
    for child in stage.children():
        names = getattr(child, "accelerable", ())
        yield from (Kernel(child, name) for name in names)
        if not names:
            yield from kernels(child)


def give(stage: Stage, engine: Engine | None) -> None:
    """Run all kernels of ``stage`` by ``engine``; None for plain torch."""
    for kernel in kernels(stage):
        lay(kernel.network, torch.contiguous_format)
        kernel.take_over(engine(kernel) if engine else None)


def lay(network: nn.Module, order: torch.memory_format) -> None:
    """Lay the weights of convolutions out in memory; what is not (outputs, inputs, height, width) stays as it is."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=order)


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors in a nest of tuples and lists, in their order."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for one in value for tensor in tensors_of(one)] if isinstance(value, tuple | list) else []


def with_tensors(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same nest with other tensors."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple | list):
        return type(value)(with_tensors(one, tensors) for one in value)
    return value
