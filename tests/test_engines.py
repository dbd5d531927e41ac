"""Engines: each gives what float32 torch gives, the choice is made once, and nothing is reported to anybody."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganchain.checkpoints import architectures, manifest
from ganchain.engines import choice, openvino
from ganchain.engines.choice import Choice, Measurement, use
from ganchain.engines.half import Half, dtype
from ganchain.engines.kernels import Kernel, kernels_of, set_engine
from ganchain.engines.probe import probe
from ganchain.errors import EngineError
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.restore import Restore
from ganchain.stages.upscale import Upscale
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels
from tests.layouts import state

CPU = torch.device("cpu")
FACES = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
needs_openvino = pytest.mark.skipif(openvino.installed() is None, reason="openvino has no wheel for this machine")
needs_half = pytest.mark.skipif(dtype(CPU) is None, reason="this processor computes no bfloat16")


@pytest.fixture
def one_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep converted networks that several tests run."""
    monkeypatch.setenv("GANCHAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache-engines"))


def published(model: str) -> nn.Module:
    architecture, tensors = architectures.recognise({model: state(model)})
    return architectures.build(architecture, tensors)


def called(model: str) -> tuple[Kernel, tuple[Any, ...]]:
    """A kernel of each published network, narrow, and what to call it with."""
    net: Any = published(model)
    labels = torch.tensor([[1.0, 0, 0, 1, 1]]).expand(len(FACES), -1)
    match model:
        case "stargan_128":
            return Kernel(net.generator, "forward"), (FACES, labels)
        case "webtoon_swapae":
            faces = FACES.repeat(1, 1, 4, 4)
            structure, texture = net.encode(faces)
            textures = [texture] * 2 + [texture.flip(0)] * (net.blocks - 2)
            return Kernel(net.generator, "forward"), (structure, textures, [None] * net.blocks)
        case "beautygan_tf1" | "beautygan_pytorch":
            return Kernel(net, "transfer"), (FACES, FACES[:1].flip(3).expand_as(FACES))
    return Kernel(net, "forward"), (FACES,)


MODELS = ("stargan_128", "webtoon_swapae", "beautygan_tf1", "beautygan_pytorch", "srgan", "animegan2")


@needs_openvino
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.slow
def test_openvino_gives_what_torch_gives(model: str) -> None:
    kernel, given = called(model)
    with torch.no_grad():
        expected = kernel.function(*given)
    run = openvino.OpenVINO(half=False)(kernel)
    torch.testing.assert_close(run(*given), expected, rtol=0, atol=1e-3)
    assert expected.std() > 0.01
    assert len(list(openvino.folder().glob("*.xml"))) == 1


@needs_half
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.slow
def test_half_precision_is_near_and_comes_back_as_float32(model: str) -> None:
    kernel, given = called(model)
    with torch.no_grad():
        expected = kernel.function(*given)
        found = Half(CPU)(kernel)(*given)
    assert found.dtype == torch.float32
    error = (found - expected).abs().mean() / expected.std()
    assert 0 < error < 0.05  # bfloat16 has 8 bits; 0 would mean that nothing ran in it


@needs_openvino
@pytest.mark.slow
def test_no_answer_depends_on_its_neighbours() -> None:
    stage = Webtoon(look="filter").eval()
    kernel = next(kernels_of(stage))
    for half in [False, True] if openvino.half() else [False]:
        run = openvino.OpenVINO(half=half)(kernel)
        alone = torch.cat([run(FACES[i : i + 1]) for i in range(len(FACES))])
        assert torch.equal(run(FACES), alone)


def test_kernels_are_found_in_every_stage() -> None:
    stages = (Makeup(), Attributes(hair="blond", age="old"), Webtoon(look="filter"), Upscale(restore=0), Upscale())
    assert [[k.method for k in kernels_of(stage)] for stage in stages] == [
        [],
        ["forward"],
        ["forward"],
        ["detail"],
        ["detail", "features", "detail"],
    ]
    assert all(kernel.network.__class__.__name__ != "Portrait" for kernel in kernels_of(stages[1]))


@needs_openvino
@pytest.mark.parametrize("first", ["measure", "restore"])
@pytest.mark.slow
def test_a_kernel_that_calls_another_one_depends_on_its_input(first: str) -> None:
    stage = Restore(scope="photo", amount=1.0).eval()
    with torch.inference_mode():
        expected = stage.net(FACES, 1)
        set_engine(stage, openvino.OpenVINO(half=False))
        if first == "measure":
            stage.net.measure(FACES)
        torch.testing.assert_close(stage.net(FACES, 1), expected, rtol=0, atol=1e-4)
    assert (expected[0] - expected[1]).abs().max() > 0.01


@needs_openvino
@pytest.mark.usefixtures("one_cache")
@pytest.mark.slow
def test_faces_are_read_in_openvino_where_a_stage_runs_in_it(astronaut: Pixels) -> None:
    plain, fast = (Pipeline([Attributes(age="young")], engine=label) for label in ("torch", "openvino"))
    (face,), (same,) = plain(astronaut).faces, fast(astronaut).faces
    np.testing.assert_allclose(same.points, face.points, atol=1e-2)
    assert np.abs(same.parts.mattes - face.parts.mattes).mean() < 1e-5
    assert plain.reader.engine is None and fast.reader.engine is not None


@needs_openvino
@pytest.mark.usefixtures("one_cache")
@pytest.mark.slow
def test_plain_torch_comes_back(astronaut: Pixels) -> None:
    stage = Attributes(age="young").eval()
    face, read = probe(stage, CPU)
    with torch.inference_mode():
        before = stage(face, **read)
        set_engine(stage, openvino.OpenVINO(half=False))
        between = stage(face, **read)
        set_engine(stage, Half(CPU) if dtype(CPU) else None)
        set_engine(stage, None)
        assert torch.equal(stage(face, **read), before)
    assert not torch.equal(between, before) and (between - before).abs().max() < 1e-4


@needs_openvino
@pytest.mark.usefixtures("one_cache")
@pytest.mark.slow
def test_whole_chains_agree(small_head: Pixels) -> None:
    def chain() -> list[Stage]:
        return [
            Makeup(look="evening"),
            Attributes(hair="brown", age="young"),
            Webtoon(look="filter"),
            Upscale(factor=2),
        ]

    plain = Pipeline(chain())
    photo = plain(small_head).photo
    assert plain.engines == dict.fromkeys(plain.names, "torch") and photo is not None
    for label in choice.labels(CPU)[1:]:
        pipeline = Pipeline(chain(), engine=label)
        found = pipeline(small_head).photo
        reading = label if label.startswith("openvino") else "torch"  # it paints: no network but those that read
        engines = dict.fromkeys(pipeline.names, label) | {"makeup": reading}
        assert found is not None and pipeline.engines == engines
        far = np.abs(found.pixels.astype(int) - photo.pixels)
        assert far.mean() <= choice.TOLERANCE, label


class Inverted(Stage):
    """A stage without any network."""

    def forward(self, faces: Tensor, *_: Any, **read: Any) -> Tensor:
        return -faces


@needs_openvino
def test_stages_that_only_read_faces_have_an_engine() -> None:
    chains = {label: Pipeline([Makeup(look="evening")], engine=label) for label in ("torch", "auto", "torch-half")}
    assert [pipeline.engines["makeup"] for pipeline in chains.values()] == ["torch", "openvino", "torch"]
    assert [*Pipeline([Inverted()], engine="auto").engines.values()] == ["torch"]
    assert chains["auto"].reader.engine is not None and chains["torch"].reader.engine is None


def test_auto_takes_the_fastest_that_agrees_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        "torch": Measurement(0.5, 0.0),
        "torch-half": Measurement(0.32, 0.4),
        "openvino": Measurement(None, reason="no wheel"),
        "openvino-half": Measurement(0.1, 0.6),
    }
    monkeypatch.setattr(Choice, "measured", table)
    assert Choice(Makeup(), CPU).label == "torch-half"
    monkeypatch.setattr(Choice, "measured", property(lambda self: pytest.fail("measured again")))
    assert Choice(Makeup(look="rose"), CPU).label == "torch-half"  # the same network
    monkeypatch.setattr(Choice, "measured", {"torch": Measurement(0.5, 0.0)})
    assert Choice(Webtoon(look="filter"), CPU).label == "torch"
    monkeypatch.setattr(Choice, "measured", {"torch": Measurement(0.5, 0.0), "torch-half": Measurement(0.1, 0.5)})
    kept = next(openvino.folder().glob("*.json"))
    for file in openvino.folder().glob("*.json"):
        file.write_text("damaged")
    assert kept.exists() and Choice(Webtoon(look="filter"), CPU).label == "torch-half"


def test_of_engines_alike_the_nearest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        "torch": Measurement(0.9, 0.0),
        "openvino": Measurement(0.52, 0.001),
        "openvino-half": Measurement(0.5, 0.2),
    }
    monkeypatch.setattr(Choice, "measured", table)
    assert Choice(Webtoon(look="filter"), CPU).label == "openvino"


def test_an_engine_that_fails_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __call__(self, kernel: Kernel) -> Any:
            raise RuntimeError("no such instruction")

    monkeypatch.setattr(choice, "labels", lambda device: ["torch", "failing"])
    real = choice.engine
    monkeypatch.setattr(
        choice, "engine", lambda label, device: Failing() if label == "failing" else real(label, device)
    )
    found = Choice(Webtoon(look="filter").eval(), CPU)
    assert "no such instruction" in found.measured["failing"].reason and found.label == "torch"


def test_what_is_measured_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is quick and wrong is measured as such and not taken."""

    class Blank:
        def __call__(self, kernel: Kernel) -> Any:
            return lambda x, factor: torch.full((len(x), 3 * factor**2, *x.shape[2:]), 0.1)

    real, plain_convolution, now = choice.engine, torch.nn.functional.conv2d, 0.0

    def convolution(*given: Any) -> Tensor:
        nonlocal now
        now += 1
        return plain_convolution(*given)

    def clock() -> float:
        nonlocal now
        now += 1e-3
        return now

    monkeypatch.setattr(torch.nn.functional, "conv2d", convolution)
    monkeypatch.setattr(choice, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(choice, "labels", lambda device: ["torch", "blank"])
    monkeypatch.setattr(choice, "engine", lambda label, device: Blank() if label == "blank" else real(label, device))
    found = Choice(Upscale(factor=2, restore=0).eval(), CPU)
    blank, plain = found.measured["blank"], found.measured["torch"]
    assert blank.seconds and plain.seconds and blank.seconds < plain.seconds
    assert blank.difference and blank.difference > 5 and found.label == "torch"


def half_zero(file: Path) -> None:
    """Overwrite the second half of a file with zeros, as a power cut may."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))


def test_a_cache_that_cannot_be_written_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANCHAIN_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(Choice, "measured", {"torch": Measurement(0.5, 0.0)})
    use({"makeup": Makeup()}, "torch", CPU)
    assert not caplog.records
    for _ in range(3):
        use({"makeup": Makeup()}, "auto", CPU)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        f"{tmp_path / 'file' / 'engines'} cannot be written to"
    ]


@pytest.mark.parametrize("odd", ['{"torch": {"seconds": "x"}}', '{"torch": 5}', "[1]", '{"torch": {"seconds": []}}'])
def test_odd_measurements_are_made_again(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setattr(Choice, "measured", {"torch": Measurement(0.5, 0.0)})
    made = Choice(Makeup(), CPU)
    assert made.label == "torch"
    made._file.write_text(odd)
    assert Choice(Makeup(), CPU).label == "torch"


@needs_openvino
@pytest.mark.slow
def test_converted_networks_are_kept_and_made_again_when_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = next(kernels_of(Upscale(weights="upscale-fast", factor=2)))
    expected = openvino.OpenVINO(half=False)(kernel)(FACES, 2)
    with monkeypatch.context() as patch:
        patch.setattr(openvino, "_converted", lambda *_: pytest.fail("converted again"))
        assert torch.equal(openvino.OpenVINO(half=False)(kernel)(FACES, 2), expected)
    other = next(kernels_of(Attributes(age="young")))
    assert openvino.OpenVINO(half=False)(other)(FACES).shape != expected.shape
    for damage in (
        lambda: [file.write_text("<net") for file in openvino.folder().glob("*.xml")],
        lambda: [half_zero(file) for file in openvino.folder().glob("*.bin")],
        lambda: [file.write_text("") for file in openvino.folder().glob("*.sha256")],
        lambda: [file.unlink() for file in openvino.folder().glob("*.bin")],
    ):
        assert damage()
        assert torch.equal(openvino.OpenVINO(half=False)(kernel)(FACES, 2), expected)
    assert not list(openvino.folder().glob(".*"))


@needs_openvino
@pytest.mark.slow
def test_nothing_is_reported_to_anybody() -> None:
    code = (
        "import socket, sys; calls = []\n"
        "socket.socket.connect = lambda self, where: calls.append(where)\n"
        "socket.getaddrinfo = lambda *a, **k: calls.append(a) or []\n"
        "from ganchain.engines import openvino\n"
        "core = openvino.silent().Core()\n"
        "import time; time.sleep(0.5)\n"
        "print(calls, [m for m in sys.modules if m.startswith('openvino_telemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] []"


def test_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    stages: dict[str, Stage] = {"webtoon": Webtoon(look="filter")}
    with pytest.raises(EngineError, match="webtoon: no engine 'openvin'; did you mean 'openvino'"):
        use(stages, "openvin", CPU)
    with pytest.raises(EngineError, match=r"openvino: it runs on the CPU; use --device cpu"):
        choice.engine("openvino", torch.device("cuda"))
    monkeypatch.setattr("ganchain.engines.half.dtype", lambda device: None)
    with pytest.raises(EngineError, match="webtoon: this processor computes no bfloat16"):
        use(stages, "torch-half", CPU)


@needs_openvino
@pytest.mark.slow
def test_a_network_that_cannot_be_converted_is_named() -> None:
    class Odd(nn.Module):
        accelerable = ("forward",)

        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.eigvals(x).real

    with pytest.raises(EngineError, match="openvino cannot convert Odd"):
        openvino.OpenVINO(half=False)(Kernel(Odd(), "forward"))(torch.rand(1, 1, 4, 4))
    assert logging.getLogger().level == logging.WARNING  # which the converter sets


@needs_half
@pytest.mark.slow
def test_the_compiled_path_of_cuda_runs() -> None:
    """torch.compile and half precision together, as on CUDA, with a backend that needs neither GPU nor compiler."""
    kernel = next(kernels_of(Upscale()))
    with torch.inference_mode():
        torch.testing.assert_close(Half(CPU, "eager")(kernel)(FACES, 4), Half(CPU)(kernel)(FACES, 4))


def test_a_stage_without_networks_needs_no_engine() -> None:
    class Plain(Stage):
        def forward(self, faces: Tensor) -> Tensor:
            return faces

    assert use({"plain": Plain()}, "auto", CPU) == {"plain": "torch"}
    assert use({"plain": Plain()}, {"plain": "openvino"}, CPU) == {"plain": "torch"}


def test_the_weights_decide_what_is_kept() -> None:
    first, second = (next(kernels_of(Upscale(detail=detail))) for detail in (0.0, 1.0))
    assert first.digest() != second.digest() == next(kernels_of(Upscale(detail=1.0))).digest()
    assert manifest.entry("upscale").sha256 != first.digest()
