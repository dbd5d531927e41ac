"""OpenVINO: the network converted once, then run by Intel's CPU plugin (which also serves AMD and ARM)."""

from __future__ import annotations

import logging
import shutil
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganchain import files
from ganchain.checkpoints import cache
from ganchain.engines.seam import Function, Kernel, tensors_of, with_tensors
from ganchain.errors import EngineError

KEPT = 8  # compiled models a kernel: one for each shape of its inputs
TELEMETRY = "openvino_telemetry"


@lru_cache(maxsize=1)
def silent() -> Any:
    """The module ``openvino``, imported so that it reports nothing to anybody.

    Its import would tell an analytics service; without the package for that it uses its own silent stand-in.

    Raises:
        EngineError: it is not installed or cannot be imported.
    """
    before = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import openvino
    except ImportError as error:
        raise EngineError(
            f"openvino cannot be imported ({error}); pip install openvino, or use --engine torch"
        ) from None
    finally:
        del sys.modules[TELEMETRY]
        if before is not None:
            sys.modules[TELEMETRY] = before
    return openvino


def installed() -> str | None:
    """OpenVINO's version; None where it is not installed (there is none for Windows on ARM)."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def core() -> Any:
    """The one Core, never let go of: its threads get a stack for signals that ends with it, and a signal that came
    after that would end the process (OpenVINO 2026.4).
    """
    return silent().Core()


def half() -> bool:
    """Whether OpenVINO computes in bfloat16 on this CPU."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def folder() -> Path:
    """Where converted networks are kept."""
    return cache.folder().parent / "engines"


class OpenVINO:
    """Runs kernels on the CPU, sample by sample: a batch is no faster there, and no answer depends on its neighbours.

    Args:
        half: compute in bfloat16.
        threads: by default as many as torch uses.
    """

    def __init__(self, *, half: bool, threads: int | None = None) -> None:
        self.settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }

    def __call__(self, kernel: Kernel) -> Function:
        compiled: OrderedDict[str, Callable[..., Any]] = OrderedDict()
        digest = kernel.digest()

        def run(*arguments: Any) -> Any:
            inputs = tensors_of(arguments)
            samples = max(len(tensor) for tensor in inputs)
            shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
            key = f"{shapes} {_constants(arguments)}"
            if key not in compiled:
                first = with_tensors(arguments, (tensor[:1].cpu() for tensor in inputs))
                compiled[key] = self._compiled(kernel, first, f"{digest} {key}")
                if len(compiled) > KEPT:
                    compiled.popitem(last=False)
            compiled.move_to_end(key)
            planes = [tensor.expand(samples, *tensor.shape[1:]).contiguous().numpy() for tensor in inputs]
            found = compiled[key](planes, samples)
            return found[0] if len(found) == 1 else tuple(found)

        return run

    def _read(self, path: Path) -> Any:
        """The network in a file; None when it is not there, or damaged.

        What is run was always read from a file: a model just converted shares its weights with Python's objects, which
        OpenVINO's own threads then let go of behind Python's back.
        """
        with suppress(RuntimeError):
            return core().read_model(path) if path.exists() else None
        return None

    def _compiled(self, kernel: Kernel, arguments: Any, name: str) -> Callable[..., list[Tensor]]:
        """The kernel for one sample of these shapes; converted, or read from the cache."""
        path = folder() / f"{files.sha256_of_texts(f'{name} {installed()} {torch.__version__}')[:32]}.xml"
        model = self._read(path)
        if model is None:
            with TemporaryDirectory(ignore_cleanup_errors=True) as made:
                silent().save_model(_converted(kernel, arguments), Path(made) / "net.xml", compress_to_fp16=False)
                model = self._read(_kept(Path(made) / "net.xml", path))
        try:
            request = core().compile_model(model, "CPU", self.settings).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"openvino cannot compile {type(kernel.network).__name__}: {_line(error)}") from error

        def run(inputs: Sequence[np.ndarray], samples: int) -> list[Tensor]:
            parts: list[list[Tensor]] = []
            for i in range(samples):
                found = request.infer([plane[i : i + 1] for plane in inputs], share_outputs=True)
                parts.append([torch.from_numpy(found[port].copy()) for port in request.model_outputs])
            return [torch.cat(part) if samples > 1 else part[0] for part in zip(*parts, strict=True)]

        return run


def _constants(value: Any) -> Any:
    """What of the arguments is no tensor, and where the tensors are."""
    if isinstance(value, tuple | list):
        return [_constants(one) for one in value]
    return "tensor" if isinstance(value, Tensor) else value


class _Flat(nn.Module):
    """A kernel as a module whose ``forward`` takes nothing but tensors."""

    def __init__(self, kernel: Kernel, arguments: Any) -> None:
        super().__init__()
        self.network = kernel.network  # its weights are found here
        self.function, self.arguments = kernel.function, arguments

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*with_tensors(self.arguments, iter(inputs)))


def _converted(kernel: Kernel, arguments: Any) -> Any:
    """OpenVINO's model of the kernel for inputs of these very shapes."""
    inputs = tensors_of(arguments)
    try:
        with warnings.catch_warnings(), _kept_logging(), torch.no_grad():
            warnings.simplefilter("ignore")  # of tracing: what is no tensor is a constant, as is meant here
            module = _Flat(kernel, arguments).eval()
            model = silent().convert_model(module, example_input=tuple(inputs))
            model.reshape({port: list(tensor.shape) for port, tensor in zip(model.inputs, inputs, strict=True)})
            return model
    except Exception as error:  # the frontend raises anything on what it does not know
        raise EngineError(f"openvino cannot convert {type(kernel.network).__name__}: {_line(error)}") from error


@contextmanager
def _kept_logging() -> Iterator[None]:
    """Leave the root logger as it is: the converter sets its level, and does not set it back when it fails."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def _kept(made: Path, path: Path) -> Path:
    """Where a converted network is read: ``path`` in the cache, where it appears whole or not at all, else ``made``."""
    try:
        for suffix in (".bin", ".xml"):
            with made.with_suffix(suffix).open("rb") as source, files.replaced(path.with_suffix(suffix)) as target:
                shutil.copyfileobj(source, target)
        return path
    except OSError:
        return made


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
