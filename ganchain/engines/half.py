"""torch in half precision: channels last, the convolutions in bfloat16 (float16 on CUDA devices without it)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganchain.engines.kernels import Function, Kernel, set_memory_format, tensors_of, with_tensors
from ganchain.errors import EngineError


def dtype(device: torch.device) -> torch.dtype | None:
    """Choose the half precision that ``device`` computes in; None where it would only be emulated."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type != "cpu":
        return None
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else None


class Half:
    """Half precision by autocast.

    Args:
        device: where the networks are.
        compiler: a backend of ``torch.compile``; "cudagraphs" captures the whole function as one graph, which saves
            small networks the launches. None runs it as it is.

    Raises:
        EngineError: the processor computes in no half precision.
    """

    def __init__(self, device: torch.device, compiler: str | None = None) -> None:
        self.device, self.compiler = device, compiler
        self.dtype = dtype(device)
        if self.dtype is None:
            raise EngineError("this processor computes no bfloat16")

    def __call__(self, kernel: Kernel) -> Function:
        set_memory_format(kernel.network, torch.channels_last)
        function = kernel.function
        if self.compiler:
            function = torch.compile(function, backend=self.compiler, dynamic=False)

        def run(*arguments: Any) -> Any:
            inputs = (_channels_last(tensor) for tensor in tensors_of(arguments))
            with torch.autocast(self.device.type, self.dtype):
                answer = function(*with_tensors(arguments, inputs))
            return with_tensors(answer, (tensor.float() for tensor in tensors_of(answer)))

        return run


def _channels_last(tensor: Tensor) -> Tensor:
    """Store a batch of planes (N, C, H, W) channels last; other tensors stay as they are."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
