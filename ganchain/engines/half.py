"""torch in half precision: channels last, the convolutions in bfloat16 (or float16 where CUDA knows no better)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganchain.engines.seam import Function, Kernel, lay, tensors_of, with_tensors
from ganchain.errors import EngineError


def dtype(device: torch.device) -> torch.dtype | None:
    """The half precision ``device`` computes in; None where it would only be emulated."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else None


class Half:
    """Half precision by autocast.

    Args:
        device: where the networks are.
        compiler: a backend of ``torch.compile``; "cudagraphs" captures the whole function as one graph, which takes
            launching out of small networks. None runs it as it is.
    """

    def __init__(self, device: torch.device, compiler: str | None = None) -> None:
        self.device, self.compiler = device, compiler
        self.dtype = dtype(device)
        if self.dtype is None:
            raise EngineError("this processor computes no bfloat16")

    def __call__(self, kernel: Kernel) -> Function:
        lay(kernel.network, torch.channels_last)
        own = kernel.function
        if self.compiler:
            own = torch.compile(own, backend=self.compiler, dynamic=False)

        def run(*arguments: Any) -> Any:
            laid = (_laid(tensor) for tensor in tensors_of(arguments))
            with torch.autocast(self.device.type, self.dtype):
                answer = own(*with_tensors(arguments, laid))
            return with_tensors(answer, (tensor.float() for tensor in tensors_of(answer)))

        return run


def _laid(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
