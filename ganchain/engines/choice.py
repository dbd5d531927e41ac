"""Which engine runs which stage: asked for, or the fastest one that agrees with float32 torch."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from importlib import resources
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganchain import files, tensors
from ganchain._version import VERSION
from ganchain.engines import openvino
from ganchain.engines.half import Half, dtype
from ganchain.engines.seam import Engine, give, kernels
from ganchain.errors import EngineError, GanchainError, StageError, available, text_of
from ganchain.framing import CELEBA, FFHQ, HEAD, Framing
from ganchain.stage import Stage

log = logging.getLogger(__name__)

TOLERANCE = 0.5  # levels of 255: the mean difference from float32 torch that is allowed
ALIKE = 1.1  # times that differ less are alike, on any machine with other things to do; then the nearer one is taken
RUNS = 5
LONG_ENOUGH = 0.5  # seconds after which no further run is needed
SHOWN = Framing.around([HEAD, FFHQ, CELEBA])  # what of the face the probe shows
LABELS = ("torch", "torch-half", "torch-graph", "openvino", "openvino-half")


@dataclass(frozen=True)
class Measured:
    """What an engine does to a stage.

    Attributes:
        seconds: for one face, the least of a few; None where the engine cannot run the stage.
        difference: mean distance from float32 torch on one face, in levels of 255.
        reason: why it cannot run.
    """

    seconds: float | None
    difference: float | None = None
    reason: str = ""

    @property
    def agrees(self) -> bool:
        return self.difference is not None and self.difference <= TOLERANCE


def labels(device: torch.device) -> list[str]:
    """The engines that there are for ``device``, "torch" first."""
    if device.type == "cuda":
        return ["torch", "torch-half", "torch-graph"]
    found = ["torch", "torch-half"] if dtype(device) else ["torch"]
    if openvino.installed():
        found += ["openvino", "openvino-half"] if openvino.half() else ["openvino"]
    return found


def engine(label: str, device: torch.device) -> Engine | None:
    """The engine ``label``; None for plain torch.

    Raises:
        EngineError: there is no such engine, or not here.
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
    """Have each stage run by what is wanted: a label, "auto", or a label for each stage's name; returns the labels."""
    used = {}
    for name, stage in stages.items():
        label = wanted if isinstance(wanted, str) else wanted.get(name, "torch")
        if not any(True for _ in kernels(stage)):
            label = "torch"
        try:
            if label == "auto":
                label = Choice(stage, device).label
            if label != "torch":
                give(stage, engine(label, device))
        except GanchainError as error:
            raise error.at(stage=name) from error.__cause__
        except Exception as error:
            reason = f"cannot be run by engine {label!r}: {text_of(error)}"
            raise StageError(reason, stage=name, where=stage.where) from error
        used[name] = label
    return used


class Choice:
    """What each engine does to one stage, and which of them is the fastest that agrees.

    The choice is kept beside the imported weights, by the stage's weights, the processor and the versions: the same
    machine makes the same choice again, without measuring.
    """

    def __init__(self, stage: Stage, device: torch.device) -> None:
        self.stage, self.device = stage, device

    @property
    def label(self) -> str:
        """The fastest engine that agrees; of those alike the nearest."""
        kept = self._kept()
        if kept is None:
            kept = self.measured
            self._keep(kept)
        fit = {label: one.seconds for label, one in kept.items() if one.agrees and one.seconds is not None}
        quick = ALIKE * min(fit.values(), default=0.0)
        return min(
            (label for label in fit if fit[label] <= quick), key=lambda x: kept[x].difference or 0, default="torch"
        )

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """By label; the stage is left on plain torch."""
        face = probe(self.stage).to(self.device)
        found: dict[str, Measured] = {}
        reference = torch.empty(0)
        for label in labels(self.device):
            try:
                give(self.stage, engine(label, self.device))
                with torch.inference_mode():
                    answer = self.stage(face).float().clamp(-1, 1)
                    seconds = self._least(face)
            except Exception as error:  # a network that an engine fails at: another one will run it
                if label == "torch":
                    raise
                log.info("engine %s fails at a network: %s", label, text_of(error))
                log.debug("the failure:", exc_info=True)
                found[label] = Measured(None, reason=f"{type(error).__name__}: {error}")
                continue
            finally:
                give(self.stage, None)
            reference = answer if label == "torch" else reference
            found[label] = Measured(seconds, float(tensors.levels(answer - reference).abs().mean()))
        return found

    def _least(self, face: Tensor) -> float:
        """Seconds of the quickest run: on a busy machine the one that was disturbed least."""
        times: list[float] = []
        while len(times) < RUNS and sum(times) < LONG_ENOUGH:
            times.append(self._seconds(face))
        return min(times)

    def _seconds(self, face: Tensor) -> float:
        synchronize = partial(torch.cuda.synchronize, self.device) if self.device.type == "cuda" else _nothing
        synchronize()
        start = time.perf_counter()
        self.stage(face)
        synchronize()
        return time.perf_counter() - start

    @cached_property
    def _file(self) -> Path:
        chip = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else processor()
        said = [VERSION, torch.__version__, openvino.installed(), chip, torch.get_num_threads(), self.stage.scale]
        said += [type(self.stage).__qualname__, self.stage.side, *(kernel.digest() for kernel in kernels(self.stage))]
        return openvino.folder() / f"{files.sha256_of_texts(json.dumps(said))[:32]}.json"

    def _kept(self) -> dict[str, Measured] | None:
        with suppress(OSError, ValueError, TypeError, AttributeError):  # nothing kept, or damaged
            found = json.loads(self._file.read_text(encoding="utf-8"))
            return {label: Measured(**one) for label, one in found.items()}
        return None

    def _keep(self, found: Mapping[str, Measured]) -> None:
        with suppress(OSError):
            files.write(self._file, json.dumps({label: asdict(one) for label, one in found.items()}))


def probe(stage: Stage) -> Tensor:
    """The face that engines are compared on, as ``stage`` sees it: (1, 3, S, S) float32 -1..1."""
    picture = probe_picture()
    window = picture[stage.framing.within(SHOWN, picture.shape[-1]).place]
    wanted = stage.side or 256 // stage.multiple * stage.multiple
    return tensors.resize(window, (wanted, wanted)).clamp(-1, 1)


@lru_cache(maxsize=1)
def probe_picture() -> Tensor:
    """Read the drawn face that engines are compared on: (1, 3, H, H) float32 -1..1, in the framing ``SHOWN``."""
    content = (resources.files("ganchain.engines") / "probe.jpg").read_bytes()
    return tensors.to_faces(np.asarray(Image.open(BytesIO(content)).convert("RGB")))


def processor() -> str:
    """The CPU's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _nothing() -> None: ...
