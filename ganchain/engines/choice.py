"""Choice of the engine for each stage: the one asked for, or the fastest that agrees with float32 torch."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from multiprocessing import parent_process
from pathlib import Path
from tempfile import TemporaryFile

import torch
from pydantic import TypeAdapter
from torch import Tensor

from ganchain import files, tensors
from ganchain._version import VERSION
from ganchain.engines import openvino
from ganchain.engines.device import synchronize
from ganchain.engines.half import Half, dtype
from ganchain.engines.kernels import Engine, kernels_of, set_engine
from ganchain.engines.probe import probe
from ganchain.errors import EngineError, GanchainError, StageError, available, text_of
from ganchain.stage import Stage

log = logging.getLogger(__name__)

TOLERANCE = 0.5  # levels of 255: the mean difference from float32 torch that is allowed
SAME_SPEED = 1.1  # times within this ratio count as the same, since machines have other work
RUNS = 5
LONG_ENOUGH = 0.5  # seconds after which no further run is needed
KEEPING = {"auto", "openvino", "openvino-half"}  # those that keep in the cache what they chose or converted
LABELS = ("torch", "torch-half", "torch-graph", "openvino", "openvino-half")


@dataclass(frozen=True)
class Measurement:
    """Speed of a stage under an engine, and its difference from float32 torch.

    Attributes:
        seconds: for one face, the shortest of a few runs; None where the engine cannot run the stage.
        difference: mean distance from float32 torch on one face, in levels of 255.
        reason: why it cannot run.
    """

    seconds: float | None
    difference: float | None = None
    reason: str = ""

    @property
    def agrees(self) -> bool:
        """True if the difference is within ``TOLERANCE``."""
        return self.difference is not None and self.difference <= TOLERANCE


def labels(device: torch.device) -> list[str]:
    """List the engines that run on ``device``, "torch" first."""
    if device.type == "cuda":
        return ["torch", "torch-half", "torch-graph"]
    if device.type != "cpu":
        return ["torch"]
    usable = ["torch", "torch-half"] if dtype(device) else ["torch"]
    if openvino.installed():
        usable += ["openvino", "openvino-half"] if openvino.half() else ["openvino"]
    return usable


def engine(label: str, device: torch.device) -> Engine | None:
    """Make the engine ``label``; None for plain torch.

    Raises:
        EngineError: there is no such engine, or it does not run here.
    """
    if label not in LABELS:
        raise EngineError(f"no engine {label!r}; {available(label, ['auto', *LABELS])}")
    if label == "torch":
        return None
    if label.startswith("torch"):
        return Half(device, "cudagraphs" if label == "torch-graph" else None)
    if device.type != "cpu":
        raise EngineError(f"engine {label}: it runs on the CPU; use --device cpu")
    return openvino.OpenVINO(half=label == "openvino-half")


def use(stages: Mapping[str, Stage], wanted: str | Mapping[str, str], device: torch.device) -> dict[str, str]:
    """Set each stage's engine: a label, "auto", or a label for each stage's name; returns the labels.

    Raises:
        EngineError: an engine does not run here, or cannot run a stage, which it names.
    """
    asked = {wanted} if isinstance(wanted, str) else {*wanted.values()}
    if asked & KEEPING:
        _check_cache(openvino.folder())
    chosen = {}
    for name, stage in stages.items():
        label = wanted if isinstance(wanted, str) else wanted.get(name, "torch")
        if not any(True for _ in kernels_of(stage)):
            label = _for_reading(label, device) if stage.needs else "torch"
        try:
            if label == "auto":
                label = Choice(stage, device).label
            if label != "torch":
                set_engine(stage, engine(label, device))
        except GanchainError as error:
            raise error.at(stage=name) from error.__cause__
        except Exception as error:
            reason = f"cannot be run by engine {label!r}: {text_of(error)}"
            raise StageError(reason, stage=name, where=stage.where) from error
        chosen[name] = label
    return chosen


def _for_reading(label: str, device: torch.device) -> str:
    """Choose the engine of a stage that has no networks but those that read faces (``FaceReader.follow``)."""
    if label == "auto":
        return "openvino" if "openvino" in labels(device) else "torch"
    return label if label.startswith("openvino") else "torch"


_SAVED = TypeAdapter(dict[str, Measurement])


class Choice:
    """Choice of an engine for one stage: all are measured, and the fastest one that agrees is taken.

    The measurements are saved in the cache, under a digest of the stage's weights, the processor and the versions: the
    same machine makes the same choice again, without measuring.
    """

    def __init__(self, stage: Stage, device: torch.device) -> None:
        self.stage, self.device = stage, device

    @property
    def label(self) -> str:
        """The fastest engine that agrees; of several as fast, the one nearest to float32 torch."""
        measurements = self._load()
        if measurements is None:
            measurements = self.measured
            self._save(measurements)
        seconds = {
            label: measurement.seconds
            for label, measurement in measurements.items()
            if measurement.agrees and measurement.seconds is not None
        }
        longest = SAME_SPEED * min(seconds.values(), default=0.0)
        fastest = (label for label in seconds if seconds[label] <= longest)
        return min(fastest, key=lambda label: measurements[label].difference or 0, default="torch")

    @cached_property
    def measured(self) -> dict[str, Measurement]:
        """Measurements by label; the stage is left on plain torch."""
        face, read = probe(self.stage, self.device)
        measurements: dict[str, Measurement] = {}
        reference = torch.empty(0)
        for label in labels(self.device):
            try:
                set_engine(self.stage, engine(label, self.device))
                with torch.inference_mode():
                    answer = self.stage(face, **read).float().clamp(-1, 1)
                    seconds = self._least_seconds(face, read)
            except Exception as error:  # another engine will run the network
                if label == "torch":
                    raise
                log.info("engine %s fails at a network: %s", label, text_of(error))
                log.debug("the failure:", exc_info=True)
                measurements[label] = Measurement(None, reason=f"{type(error).__name__}: {error}")
                continue
            finally:
                set_engine(self.stage, None)
            reference = answer if label == "torch" else reference
            measurements[label] = Measurement(seconds, float(tensors.levels(answer - reference).abs().mean()))
        return measurements

    def _least_seconds(self, face: Tensor, read: Mapping[str, Tensor]) -> float:
        """Time a few runs and return the shortest, in seconds: on a busy machine it was disturbed least."""
        times: list[float] = []
        while len(times) < RUNS and sum(times) < LONG_ENOUGH:
            times.append(self._seconds(face, read))
        return min(times)

    def _seconds(self, face: Tensor, read: Mapping[str, Tensor]) -> float:
        """Time one run, in seconds."""
        synchronize(self.device)
        start = time.perf_counter()
        self.stage(face, **read)
        synchronize(self.device)
        return time.perf_counter() - start

    @cached_property
    def _file(self) -> Path:
        """The file of the measurements; its name is a digest of all that they depend on."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else processor()
        parts = [VERSION, torch.__version__, openvino.installed(), device, torch.get_num_threads(), self.stage.scale]
        parts += [type(self.stage).__qualname__, self.stage.side]
        parts += [kernel.digest() for kernel in kernels_of(self.stage)]
        return openvino.folder() / f"{files.sha256_of_texts(json.dumps(parts))[:32]}.json"

    def _load(self) -> dict[str, Measurement] | None:
        """Load the saved measurements; None where there are none."""
        with suppress(OSError, ValueError):  # no file, or a damaged one
            return _SAVED.validate_json(self._file.read_bytes(), strict=True)
        return None

    def _save(self, measurements: Mapping[str, Measurement]) -> None:
        """Save the measurements, if the cache can be written to."""
        with suppress(OSError):
            fields = {label: asdict(measurement) for label, measurement in measurements.items()}
            files.write(self._file, json.dumps(fields))


@lru_cache
def _check_cache(folder: Path) -> None:
    """Say once, and not in each worker process, that nothing can be kept in ``folder``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        if parent_process() is None:
            log.warning(
                "%s cannot be written to (%s): engines are chosen, and networks converted, anew at each start; "
                "GANCHAIN_CACHE names another folder",
                folder,
                error.strerror,
            )


def processor() -> str:
    """Look up the CPU's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
