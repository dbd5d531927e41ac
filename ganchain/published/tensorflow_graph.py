"""Published BeautyGAN meta graph, run by TensorFlow itself (extra `ganchain[tensorflow]`).

A meta graph is a program, and here a stranger's. So TensorFlow gets only the nodes `generator/xs` is computed from, and
only after each was found to be one of a few operations that do nothing but arithmetic on numbers. Variables become
constants with the checkpoint's values. The operations that save, restore and initialise, and so name files, never
reach TensorFlow.
"""

from __future__ import annotations

import os
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganchain.checkpoints import tensorflow
from ganchain.errors import WeightsError

SOURCE, REFERENCE, OUTPUT = "X", "Y", "generator/xs"
VARIABLES = {"Variable", "VariableV2", "VarHandleOp"}
# the operations of the published generator, and those that later versions write instead: AddV2 and ReadVariableOp
ARITHMETIC = {"Add", "AddV2", "ConcatV2", "Const", "Conv2D", "Identity", "Mean", "Mul", "Placeholder", "ReadVariableOp"}
ARITHMETIC |= {"Relu", "ResizeNearestNeighbor", "Rsqrt", "SquaredDifference", "StopGradient", "Sub", "Tanh"}
# no notes on the terminal; oneDNN's kernels are off because their note cannot be silenced otherwise
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
MOST_BYTES = 2**28  # of the meta graph; the published has 14.6 MB, most of it for training
MOST_NUMBERS = 2**26  # in a tensor, for one face; the published has 2**21 at most


class TensorFlowGraph:
    """Makeup transfer by a TensorFlow graph.

    Source and reference faces (N, 3, 256, 256) -1..1 -> the source with the reference's makeup, the same shape.

    Args:
        path: `model.meta`, its folder or the bare prefix; the checkpoint's other files lie beside it.

    Raises:
        WeightsError: TensorFlow is missing, the files are no whole checkpoint, or the graph does more than arithmetic.
    """

    def __init__(self, path: Path) -> None:
        bundle = tensorflow.prefix(path)
        self.file = Path(f"{bundle}.meta")
        if bundle is None or not self.file.is_file():
            raise WeightsError("no TensorFlow meta graph (`model.meta` beside `model.index`)", ref=path)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            tf: Any = import_module("tensorflow")
        except Exception as error:  # missing, or in conflict with numpy or protobuf
            raise WeightsError(f"TensorFlow is missing: pip install 'ganchain[tensorflow]' ({error})") from error
        try:
            graph = tf.Graph()
            with graph.as_default():
                tf.compat.v1.train.import_meta_graph(_generator(tf, bundle, self.file), clear_devices=True)
            outputs = [tensor.shape.as_list() for op in graph.get_operations() for tensor in op.outputs]
            if any(prod(n or 1 for n in shape) > MOST_NUMBERS for shape in outputs):
                raise ValueError("a tensor beyond all bounds")
            config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
            config.graph_options.rewrite_options.disable_meta_optimizer = True  # the graph as it was published
            self._session: Any = tf.compat.v1.Session(graph=graph, config=config)
        except Exception as error:  # TensorFlow and protobuf raise many kinds
            raise WeightsError(f"{error}", ref=self.file) from error

    def transfer(self, source: Tensor, reference: Tensor) -> Tensor:
        """Give the source faces the reference's makeup; ``reference`` may be one face for all.

        It runs once a face, since the published graph may take no more at a time.
        """
        looks = reference.expand_as(source)
        faces = torch.stack((source, looks), dim=1).detach().cpu().float().permute(0, 1, 3, 4, 2).numpy()
        try:
            pictures = [
                self._session.run(f"{OUTPUT}:0", {f"{SOURCE}:0": x[:1], f"{REFERENCE}:0": x[1:]}) for x in faces
            ]
        except Exception as error:
            raise WeightsError(f"{error}", ref=self.file) from error
        return torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2).contiguous().to(source)


def _generator(tf: Any, bundle: Path, file: Path) -> Any:
    """Build a MetaGraphDef of nothing but the generator, its variables frozen.

    Raises:
        ValueError: the file is too large, lacks a node, or holds a node that is refused.
    """
    if file.stat().st_size > MOST_BYTES:
        raise ValueError("too large for a meta graph")
    nodes = {node.name: node for node in tf.compat.v1.MetaGraphDef.FromString(file.read_bytes()).graph_def.node}
    meta = tf.compat.v1.MetaGraphDef()
    visited, pending = {OUTPUT}, [OUTPUT]
    while pending:
        name = pending.pop()
        if name not in nodes:
            raise ValueError(f"no node {name!r}: this is not BeautyGAN's graph")
        _check(nodes[name], {tf.float32.as_datatype_enum, tf.int32.as_datatype_enum})
        meta.graph_def.node.append(nodes[name])
        inputs = {name.removeprefix("^").split(":")[0] for name in nodes[name].input}
        pending += inputs - visited
        visited |= inputs
    variables = {node.name for node in meta.graph_def.node if node.op in VARIABLES}
    values = tensorflow.read(bundle, variables.__contains__)
    if missing := variables - values.keys():
        raise ValueError(f"the checkpoint has no {min(missing)!r}")
    for node in meta.graph_def.node:
        if node.op in VARIABLES:
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = tf.float32.as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values[node.name].numpy()))
        elif node.op == "ReadVariableOp":
            node.op = "Identity"
            node.attr["T"].type = node.attr.pop("dtype").type
        for key in [key for key in node.attr if key.startswith("_")]:  # hints for devices and compilers
            del node.attr[key]
    return meta


def _check(node: Any, numbers: set[int]) -> None:
    """Refuse a node that does more than arithmetic, or an input that nobody would fill.

    Raises:
        ValueError: with the reason.
    """
    if node.op not in ARITHMETIC | VARIABLES:
        raise ValueError(f"refused: it runs {node.op} ({node.name!r}), and a generator needs nothing but arithmetic")
    if any(attr.HasField("type") and attr.type not in numbers for attr in node.attr.values()):
        raise ValueError(f"refused: {node.name!r} holds something other than float32 and int32 numbers")
    if node.op == "Placeholder" and node.name not in (SOURCE, REFERENCE):
        raise ValueError(f"it wants an input {node.name!r} besides the two faces")
