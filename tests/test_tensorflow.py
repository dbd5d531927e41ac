"""The published BeautyGAN graph in TensorFlow: rebuilt with weights by formula, saved as published, run both ways.

`make test-tensorflow` runs this file; elsewhere it is skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}  # as the adapter has it
tf: Any = pytest.importorskip("tensorflow")

from ganchain.checkpoints import tensorflow  # noqa: E402
from ganchain.errors import WeightsError  # noqa: E402
from ganchain.nets.beautygan import BeautyGAN  # noqa: E402
from ganchain.pipeline.pipeline import Pipeline  # noqa: E402
from ganchain.published.tensorflow_graph import TensorFlowGraph  # noqa: E402
from ganchain.tensors import Pixels  # noqa: E402
from tests.bundles import with_training, write_bundle  # noqa: E402
from tests.formula import published  # noqa: E402
from tests.test_goldens import check_fingerprint, face, reference, unit  # noqa: E402

pytestmark = pytest.mark.tensorflow
v1: Any = tf.compat.v1


class Layers:
    """The generator's layers in the order that numbers their variables."""

    def __init__(self, reuse: bool, resource: bool) -> None:
        self.reuse, self.resource = reuse, resource
        self.convs = self.norms = 0

    def conv(self, x: Any, width: int, kernel: int, stride: int = 1) -> Any:
        name = f"conv2d{f'_{self.convs}' * (self.convs > 0)}"
        self.convs += 1
        weight = self.variable(f"{name}/kernel", (kernel, kernel, x.shape[-1], width))
        return tf.nn.conv2d(x, weight, stride, "SAME", name=f"{name}/Conv2D")

    def norm(self, x: Any) -> Any:
        name = f"InstanceNorm{f'_{self.norms}' * (self.norms > 0)}"
        self.norms += 1
        mean, variance = v1.nn.moments(x, [1, 2], keep_dims=True, name=f"{name}/moments")
        beta, gamma = (self.variable(f"{name}/{end}", (x.shape[-1],)) for end in ("beta", "gamma"))
        return v1.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-6, name=f"{name}/instancenorm")

    def variable(self, name: str, shape: tuple[int, ...]) -> Any:
        with v1.variable_scope("generator", reuse=self.reuse, auxiliary_name_scope=False):
            return v1.get_variable(name, shape, use_resource=self.resource)

    def encode(self, x: Any) -> Any:
        for width, kernel, stride in ((32, 7, 1), (64, 3, 2), (128, 3, 2)):
            x = tf.nn.relu(self.norm(self.conv(x, width, kernel, stride)))
        return x

    def decode(self, x: Any, name: str) -> Any:
        for width, side in ((64, 128), (32, 256)):
            x = v1.image.resize_nearest_neighbor(x, (side, side))
            x = tf.nn.relu(self.norm(self.conv(x, width, 3)))
        return tf.tanh(self.conv(x, 3, 7), name=name)


def generator(x: Any, y: Any, reuse: bool = False, resource: bool = False) -> None:
    layers = Layers(reuse, resource)
    with tf.name_scope("generator"):
        mixed = tf.concat([layers.encode(x), layers.encode(y)], 3)
        for _ in range(6):
            mixed += layers.norm(layers.conv(tf.nn.relu(layers.norm(layers.conv(mixed, 256, 3))), 256, 3))
        layers.decode(mixed, "xs")
        layers.decode(mixed, "ys")


def save(prefix: Path, batch: int | None, resource: bool = False) -> dict[str, Any]:
    """The training graph with its checkpoint, as `tf.train.Saver` leaves them; returns what was saved."""
    values = with_training(published("beautygan_tf1"))
    with tf.Graph().as_default() as graph:
        x, y = (v1.placeholder(tf.float32, (batch, 256, 256, 3), name) for name in "XY")
        for name in ("MX", "GX"):
            v1.placeholder(tf.float32, (batch, 256, 256, 3), name)
        v1.placeholder(tf.float32, (), "learning_rate")
        generator(x, y, resource=resource)
        held = {variable.op.name: variable for variable in v1.global_variables()}
        for name in values.keys() - held.keys():
            held[name] = v1.get_variable(name, values[name].shape, use_resource=False)
        assert held.keys() == values.keys()
        fed = {name: v1.placeholder(tf.float32, variable.shape) for name, variable in held.items()}
        filled = [v1.assign(variable, fed[name]).op for name, variable in held.items()]
        with v1.Session(graph=graph) as session:
            session.run(filled, {fed[name]: value for name, value in values.items()})
            v1.train.Saver().save(session, str(prefix))
    return values


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.meta, model.index, model.data-00000-of-00001 and checkpoint."""
    folder = tmp_path_factory.mktemp("models")
    save(folder / "model", batch=1)
    assert {file.name for file in folder.iterdir()} == {
        "checkpoint", "model.index", "model.meta", "model.data-00000-of-00001"
    }  # fmt: skip
    return folder


def faces(count: int, seed: int) -> Tensor:
    """Smooth pictures, (count, 3, 256, 256) in -1..1."""
    coarse = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(256, 256), mode="bilinear")


def in_torch(model: Path) -> BeautyGAN:
    tensors = BeautyGAN.recognise(tensorflow.read(model))
    assert tensors is not None
    return BeautyGAN.from_tensors(tensors).eval()


def test_our_reader_reads_what_tensorflow_saves(model: Path) -> None:
    expected = with_training(published("beautygan_tf1"))
    read = tensorflow.read(model)
    assert read.keys() == expected.keys()
    assert all(np.array_equal(read[name].numpy(), value) for name, value in expected.items())


def test_tensorflow_reads_what_our_writer_writes(tmp_path: Path, model: Path) -> None:
    values = with_training(published("beautygan_tf1"))
    write_bundle(tmp_path / "model", values)
    reader = tf.train.load_checkpoint(str(tmp_path / "model"))
    assert reader.get_variable_to_shape_map().keys() == values.keys()
    assert all(np.array_equal(reader.get_tensor(name), value) for name, value in values.items())
    for file in ("model.index", "model.data-00000-of-00001"):
        assert (tmp_path / file).read_bytes() == (model / file).read_bytes()


def test_graph_and_torch_agree(model: Path) -> None:
    sources, reference = faces(2, seed=1), faces(1, seed=2)
    graph = TensorFlowGraph(model / "model.meta")
    made = graph.transfer(sources, reference)
    assert made.shape == sources.shape and made.dtype == torch.float32
    with torch.inference_mode():
        expected = in_torch(model).transfer(sources, reference.expand_as(sources))
    error = (made - expected).abs().max().item()
    print(f"TensorFlow against torch: {error:.1e}")
    assert error <= 1e-4
    assert expected.std() > 0.1  # neither flat nor saturated


def test_graph_meets_the_golden(model: Path) -> None:
    made = TensorFlowGraph(model).transfer(unit(face(256)), unit(reference())).permute(0, 2, 3, 1)
    check_fingerprint("beautygan_tf1", "xs", made.numpy())


@pytest.mark.parametrize(("batch", "resource"), [(None, False), (1, True)])
def test_other_ways_to_save_the_same(tmp_path: Path, model: Path, batch: int | None, resource: bool) -> None:
    save(tmp_path / "model", batch, resource)
    source, reference = faces(1, seed=1), faces(1, seed=2)
    expected = TensorFlowGraph(model).transfer(source, reference)
    assert torch.equal(TensorFlowGraph(tmp_path / "model").transfer(source, reference), expected)


def write_file(x: Any, path: Path) -> Any:
    with tf.control_dependencies([tf.io.write_file(str(path), "harm")]):
        return tf.identity(x)


def read_file(x: Any, path: Path) -> Any:
    return x + tf.reduce_sum(tf.strings.to_number(tf.io.read_file(str(path))))


def py_func(x: Any, path: Path) -> Any:
    made = v1.py_func(lambda x: path.touch() or x, [x], tf.float32)
    made.set_shape(x.shape)
    return made


def function(x: Any, path: Path) -> Any:
    return tf.function(lambda x: write_file(x, path))(x)


def branch(x: Any, path: Path) -> Any:
    return v1.cond(tf.reduce_sum(x) > -1e9, lambda: write_file(x, path), lambda: x)


HARM: dict[str, tuple[str, Callable[[Any, Path], Any]]] = {
    "write": ("WriteFile", write_file),
    "read": ("ReadFile|StringToNumber|Sum", read_file),
    "python": ("PyFunc", py_func),
    "function": ("PartitionedCall", function),
    "branch": ("Merge|If|Switch", branch),
}


@pytest.mark.parametrize("case", HARM)
@pytest.mark.parametrize("at", ["X", "kernel", "xs"])
def test_a_graph_that_does_more_is_refused(tmp_path: Path, case: str, at: str) -> None:
    op, harm = HARM[case]
    harmed = tmp_path / "harmed"
    with tf.Graph().as_default():
        x, y = (v1.placeholder(tf.float32, (1, 256, 256, 3), name) for name in "XY")
        kernel = v1.get_variable("generator/kernel", (1, 1, 3, 3), use_resource=False)
        first = harm(x, harmed) if at == "X" else x
        drawn = tf.nn.conv2d(first + y, harm(kernel, harmed) if at == "kernel" else kernel, 1, "SAME")
        tf.tanh(harm(drawn, harmed) if at == "xs" else drawn, "generator/xs")
        v1.train.export_meta_graph(str(tmp_path / "model.meta"))
    write_bundle(tmp_path / "model", {"generator/kernel": np.zeros((1, 1, 3, 3), np.float32)})
    with pytest.raises(WeightsError, match=rf"refused: it runs \w*({op})"):
        TensorFlowGraph(tmp_path)
    assert not harmed.exists()


def small(folder: Path, draw: Callable[[Any, Any], Any], **values: Any) -> Path:
    with tf.Graph().as_default():
        draw(*(v1.placeholder(tf.float32, (1, 256, 256, 3), name) for name in "XY"))
        v1.train.export_meta_graph(str(folder / "model.meta"))
    write_bundle(folder / "model", values)
    return folder


def grown(x: Any, y: Any) -> Any:
    for _ in range(24):
        x = tf.concat([x, x], 3)
    return tf.tanh(x, "generator/xs")


def scaled(x: Any, factor: Any) -> Any:
    return tf.tanh(x * factor, "generator/xs")


REFUSED: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "another network": ("this is not BeautyGAN", lambda x, y: tf.tanh(x, "xs")),
    "variable not saved": ("no 'w'", lambda x, y: scaled(x, v1.get_variable("w", 3, use_resource=False))),
    "another input": ("input 'Z'", lambda x, y: scaled(x, v1.placeholder(tf.float32, (), "Z"))),
    "strings": ("other than", lambda x, y: tf.identity(tf.constant("/etc/passwd"), "generator/xs")),
    "beyond memory": ("beyond all bounds", grown),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_generator_is_refused(tmp_path: Path, case: str) -> None:
    match, draw = REFUSED[case]
    with pytest.raises(WeightsError, match=match):
        TensorFlowGraph(small(tmp_path, draw, v=np.zeros(1, np.float32)))


def test_foreign_bytes_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "model", {"v": np.zeros(1, np.float32)})
    with pytest.raises(WeightsError, match="no TensorFlow meta graph"):
        TensorFlowGraph(tmp_path)
    for content in (b"", b"abc", np.random.default_rng(0).bytes(10_000)):
        (tmp_path / "model.meta").write_bytes(content)
        with pytest.raises(WeightsError, match=r"model\.meta"):
            TensorFlowGraph(tmp_path)


def test_inputs_of_another_size_are_refused(model: Path) -> None:
    with pytest.raises(WeightsError, match="256"):
        TensorFlowGraph(model).transfer(torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 128, 128))


def test_a_chain_runs_either_way(tmp_path: Path, model: Path, astronaut: Pixels) -> None:
    Image.fromarray(astronaut[:, ::-1]).save(tmp_path / "reference.png")
    pictures = []
    for options in (f"weights: {model}/model.meta, engine: tensorflow", f"weights: {model}"):
        (tmp_path / "chain.yaml").write_text(f"stages:\n  - makeup: {{reference: reference.png, {options}}}\n")
        pictures.append(np.asarray(Pipeline.from_yaml(tmp_path / "chain.yaml")(astronaut).image).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert (np.abs(pictures[0] - astronaut) > 8).any()
