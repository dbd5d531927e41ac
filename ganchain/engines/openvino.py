"""OpenVINO: networks are converted once, then run by Intel's CPU plugin (which also serves AMD and ARM)."""

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
from threading import Lock, RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganchain import files
from ganchain.checkpoints import cache
from ganchain.engines.kernels import Function, Kernel, tensors_of, with_tensors
from ganchain.errors import EngineError

_LOADING = RLock()  # of networks; OpenVINO's import, its Core and the converter are there once a process
MAX_COMPILED = 8  # compiled models a kernel: one for each shape of its inputs
PARTS, SEAL = (".bin", ".xml"), ".sha256"  # suffixes of a converted network, and of the file with their digests
TELEMETRY = "openvino_telemetry"


def silent() -> Any:
    """Import ``openvino``, once, so that it reports nothing to anybody.

    Its import would report to an analytics service; without the package for that it uses its own silent stand-in.

    Raises:
        EngineError: it is not installed or cannot be imported.
    """
    with _LOADING:
        return _imported()


@lru_cache(maxsize=1)
def _imported() -> Any:
    """Import ``openvino`` while its package for reports seems not to be installed."""
    former = sys.modules.get(TELEMETRY)
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
        if former is not None:
            sys.modules[TELEMETRY] = former
    return openvino


def installed() -> str | None:
    """Look up OpenVINO's version; None where it is not installed (there is none for Windows on ARM)."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def core() -> Any:
    """Make the process's one Core, which is never freed.

    The signal stack of its threads is freed with it, and a later signal would end the process (OpenVINO 2026.4).
    """
    with _LOADING:
        return _core()


@lru_cache(maxsize=1)
def _core() -> Any:
    return silent().Core()


def half() -> bool:
    """Say whether OpenVINO computes in bfloat16 on this CPU."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def folder() -> Path:
    """Locate the cache of converted networks."""
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
        digest, lock = kernel.digest(), Lock()

        def run(*arguments: Any) -> Any:
            inputs = tensors_of(arguments)
            samples = max(len(tensor) for tensor in inputs)
            shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
            key = f"{shapes} {_replace_tensors(arguments)}"
            arrays = [tensor.expand(samples, *tensor.shape[1:]).contiguous().numpy() for tensor in inputs]
            with lock:  # a compiled network answers one question at a time: threads take turns
                if key not in compiled:
                    first = with_tensors(arguments, (tensor[:1].cpu() for tensor in inputs))
                    with _LOADING:
                        compiled[key] = self._compile(kernel, first, f"{digest} {key}")
                    if len(compiled) > MAX_COMPILED:
                        compiled.popitem(last=False)
                compiled.move_to_end(key)
                answer = compiled[key](arrays, samples)
            return answer[0] if len(answer) == 1 else tuple(answer)

        return run

    def _compile(self, kernel: Kernel, arguments: Any, name: str) -> Callable[..., list[Tensor]]:
        """Compile the kernel for one sample of these shapes; it is converted, or read from the cache.

        Raises:
            EngineError: OpenVINO cannot convert or compile it.
        """
        path = folder() / f"{files.sha256_of_texts(f'{name} {installed()} {torch.__version__}')[:32]}.xml"
        model = _read(path) if _is_whole(path) else None
        if model is None:
            with TemporaryDirectory(ignore_cleanup_errors=True) as converted:
                silent().save_model(_converted(kernel, arguments), Path(converted) / "net.xml", compress_to_fp16=False)
                model = _read(_move_to_cache(Path(converted) / "net.xml", path))
        try:
            request = core().compile_model(model, "CPU", self.settings).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"openvino cannot compile {type(kernel.network).__name__}: {_one_line(error)}") from error

        def run(inputs: Sequence[np.ndarray], samples: int) -> list[Tensor]:
            parts: list[list[Tensor]] = []
            for i in range(samples):
                outputs = request.infer([plane[i : i + 1] for plane in inputs], share_outputs=True)
                parts.append([torch.from_numpy(outputs[port].copy()) for port in request.model_outputs])
            return [torch.cat(part) if samples > 1 else part[0] for part in zip(*parts, strict=True)]

        return run


def _replace_tensors(value: Any) -> Any:
    """Replace the tensors in ``value`` by "tensor"; the rest, the constants, tell kernels compiled apart."""
    if isinstance(value, tuple | list):
        return [_replace_tensors(item) for item in value]
    return "tensor" if isinstance(value, Tensor) else value


class _TensorModule(nn.Module):
    """A kernel as a module whose ``forward`` takes nothing but tensors."""

    def __init__(self, kernel: Kernel, arguments: Any) -> None:
        super().__init__()
        self.network = kernel.network  # so that the module has its weights
        self.function, self.arguments = kernel.function, arguments

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*with_tensors(self.arguments, iter(inputs)))


def _converted(kernel: Kernel, arguments: Any) -> Any:
    """Convert the kernel to OpenVINO's model, for inputs of these very shapes."""
    inputs = tensors_of(arguments)
    try:
        with warnings.catch_warnings(), _kept_logging(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing warns that all but tensors become constants, as they shall
            module = _TensorModule(kernel, arguments).eval()
            model = silent().convert_model(module, example_input=tuple(inputs))
            model.reshape({port: list(tensor.shape) for port, tensor in zip(model.inputs, inputs, strict=True)})
            return model
    except Exception as error:  # the frontend raises anything on operators that it does not know
        raise EngineError(f"openvino cannot convert {type(kernel.network).__name__}: {_one_line(error)}") from error


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


def _read(path: Path) -> Any:
    """Read a network from a file; None when it cannot be read.

    Only networks read from files are run: a newly converted one shares its weights with Python objects, which
    OpenVINO's own threads would free without Python's lock.
    """
    with suppress(RuntimeError):
        return core().read_model(path)
    return None


def _digests(path: Path) -> str:
    """Compute the SHA-256 of both files of a converted network, a line each."""
    return "".join(f"{files.sha256(path.with_suffix(suffix))}\n" for suffix in PARTS)


def _is_whole(path: Path) -> bool:
    """Say whether a converted network lies in the cache as it was written: OpenVINO would run zeros as well."""
    with suppress(OSError, ValueError):
        return path.with_suffix(SEAL).read_text(encoding="ascii") == _digests(path)
    return False


def _move_to_cache(converted: Path, path: Path) -> Path:
    """Copy a converted network to ``path`` in the cache, whole or not at all; returns where it is to be read from."""
    try:
        for suffix in PARTS:
            with converted.with_suffix(suffix).open("rb") as source, files.replaced(path.with_suffix(suffix)) as target:
                shutil.copyfileobj(source, target)
        files.write(path.with_suffix(SEAL), _digests(converted))
        return path if _is_whole(path) else converted
    except OSError:
        return converted


def _one_line(error: Exception) -> str:
    """Shorten an error's text to one line of 300 characters."""
    return " ".join(str(error).split())[:300]
