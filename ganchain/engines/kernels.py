"""Kernels: the functions of a stage's networks that an engine may run in place of torch.

A network's class lists them in ``accelerable``: names of methods that are pure functions of tensors. Their arguments
that are no tensors count as constants of the network. The code around them, all arithmetic on pixels, stays float32
torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Function = Callable[..., Any]


@dataclass(frozen=True)
class Kernel:
    """A method of a network, as its class defines it."""

    network: nn.Module
    method: str

    @property
    def function(self) -> Function:
        """The method in torch, float32, whichever engine runs it, and other kernels that it calls, now."""
        plain = copy(self.network)  # shares the weights
        for name in getattr(plain, "accelerable", ()):
            plain.__dict__.pop(name, None)
        method: Function = getattr(plain, self.method)
        return method

    def take_over(self, function: Function | None) -> None:
        """Call ``function`` in place of the method; None restores the class's own."""
        self.network.__dict__.pop(self.method, None)
        if function is not None:
            self.network.__dict__[self.method] = function

    def digest(self) -> str:
        """Compute the SHA-256 of the network's code and weights, as hexadecimal digits."""
        checksum = sha256(f"{type(self.network).__qualname__}.{self.method}".encode())
        for module in sorted({type(part).__module__ for part in self.network.modules()}):
            if not module.startswith("torch."):
                checksum.update(inspect.getsource(import_module(module)).encode())
        for key, tensor in self.network.state_dict().items():
            checksum.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
            checksum.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return checksum.hexdigest()


class Engine(Protocol):
    """Makes a function of tensors out of a kernel."""

    def __call__(self, kernel: Kernel) -> Function:
        """Make the function to call instead of the kernel: the same arguments, float32 answers.

        Raises:
            EngineError: this engine cannot run it.
        """
        ...


def kernels_of(stage: nn.Module) -> Iterator[Kernel]:
    """Find the kernels of a stage: all that its outermost networks with an ``accelerable`` list."""
    for child in stage.children():
        names = getattr(child, "accelerable", ())
        yield from (Kernel(child, name) for name in names)
        if not names:
            yield from kernels_of(child)


def covers(stage: nn.Module) -> bool:
    """Tell whether all networks of a stage have kernels, so that none is run but by its engine."""
    inside = {parameter for kernel in kernels_of(stage) for parameter in kernel.network.parameters()}
    return inside.issuperset(stage.parameters())


def set_engine(stage: nn.Module, engine: Engine | None) -> None:
    """Have ``engine`` run all kernels of ``stage``; None for plain torch."""
    for kernel in kernels_of(stage):
        set_memory_format(kernel.network, torch.contiguous_format)
        kernel.take_over(engine(kernel) if engine else None)


def set_memory_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Store the weights of convolutions, (outputs, inputs, height, width), in ``memory_format``; others stay."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=memory_format)


def tensors_of(value: Any) -> list[Tensor]:
    """List the tensors in nested tuples and lists, in their order."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for part in value for tensor in tensors_of(part)] if isinstance(value, tuple | list) else []


def with_tensors(value: Any, tensors: Iterator[Tensor]) -> Any:
    """Copy nested tuples and lists with ``tensors`` in place of theirs, in their order."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple | list):
        return type(value)(with_tensors(part, tensors) for part in value)
    return value
