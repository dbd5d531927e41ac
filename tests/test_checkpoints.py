"""Foreign files: read as tensors in every published layout; no code in them is ever run."""

from __future__ import annotations

import io
import os
import pickle
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from ganchain import files
from ganchain.checkpoints import architectures, foreign
from ganchain.errors import WeightsError
from tests import layouts
from tests.layouts import LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_layouts_are_recognised(tmp_path: Path, layout: str) -> None:
    write, architecture = LAYOUTS[layout]
    content: dict[str, foreign.Flat] = {}
    for path in write(tmp_path):
        content |= foreign.read(path)
    found, tensors = architectures.recognise(content)
    assert found == architecture
    network = architectures.build(found, tensors)
    state = network.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[key], tensors[key]) for key in state)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_stored_is_recognised_again(tmp_path: Path, layout: str) -> None:
    write, architecture = LAYOUTS[layout]
    content: dict[str, foreign.Flat] = {}
    for path in write(tmp_path):
        content |= foreign.read(path)
    _, tensors = architectures.recognise(content)
    save_file(tensors, tmp_path / "stored.safetensors")
    found, again = architectures.recognise(foreign.read(tmp_path / "stored.safetensors"))
    assert found == architecture
    assert all(torch.equal(again[key], tensors[key]) for key in tensors)


def test_values_come_through(tmp_path: Path) -> None:
    """Of the averaged networks, not of the raw ones beside them; of kernels in torch's order of axes."""
    found = foreign.read(layouts.swapping_autoencoder(tmp_path)[0])
    _, tensors = architectures.recognise(found)
    assert torch.equal(tensors["encoder.stem.0.0.weight"], layouts.state("webtoon_swapae")["e_ema.stem.0.0.weight"])
    _, tensors = architectures.recognise(foreign.read(layouts.beautygan(tmp_path)[0]))
    kernel = layouts.state("beautygan_tf1")["generator/conv2d/kernel"]
    assert torch.equal(tensors["encode_source.0.weight"], kernel.permute(3, 2, 0, 1))


def test_h5_without_its_scope(tmp_path: Path) -> None:
    whole = foreign.read(layouts.stargan_nnabla(tmp_path)[0])
    (tmp_path / "bare").mkdir()
    bare = foreign.read(layouts.stargan_nnabla(tmp_path / "bare", scope=False)[0])
    name, generator = architectures.recognise(bare)
    assert name == "stargan"
    both = architectures.recognise(whole)[1]
    assert generator.keys() == {key for key in both if key.startswith("generator.")}
    assert all(torch.equal(generator[key], both[key]) for key in generator)


def test_tensorflow_bundle_by_any_of_its_names(tmp_path: Path) -> None:
    folder = layouts.beautygan(tmp_path)[0]
    for name in ("model", "model.index", "model.data-00000-of-00001"):
        assert architectures.recognise(foreign.read(folder / name))[0] == "beautygan-tf1"


class Bomb:
    """Runs a command where a pickle of it is loaded by Python's own unpickler."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


class Evaluated(Bomb):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.marker)!r}, 'w').close()",)


def _plain(bomb: Bomb, path: Path) -> None:
    path.write_bytes(pickle.dumps(bomb, protocol=2))


def _legacy(bomb: Bomb, path: Path) -> None:
    layouts.legacy({"conf": {"deep": [bomb]}, "runner": {"generator": layouts.state("srgan")}}, path)


def _zip(bomb: Bomb, path: Path) -> None:
    torch.save({"g_ema": {"a": torch.ones(1), "b": bomb}}, path)


def _archive(bomb: Bomb, path: Path) -> None:
    inner = io.BytesIO()
    torch.save({"a": bomb}, inner)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/200000-G.ckpt", inner.getvalue())


HOSTILE: dict[str, tuple[Callable[[Bomb, Path], None], str]] = {
    "bare pickle": (_plain, "x.pth"),
    "nested in a legacy file": (_legacy, "x.pth"),
    "in a zip file of torch": (_zip, "x.pt"),
    "in an archive": (_archive, "x.zip"),
    "under the name of an h5 file": (_plain, "pretrained_params.h5"),
    "under the name of a TensorFlow bundle": (_plain, "model.index"),
    "as a TensorFlow bundle's data": (_legacy, "model.data-00000-of-00001"),
    "under the name of a safetensors file": (_zip, "x.safetensors"),
}


@pytest.mark.parametrize("bomb", [Bomb, Evaluated])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused_and_run_nothing(tmp_path: Path, case: str, bomb: type[Bomb]) -> None:
    write, name = HOSTILE[case]
    marker = tmp_path / "executed"
    write(bomb(marker), tmp_path / name)
    with pytest.raises(WeightsError):
        foreign.read(tmp_path / name)
    assert not marker.exists()


def test_the_bombs_would_go_off(tmp_path: Path) -> None:
    """The test above could not fail if they were duds."""
    for bomb in (Bomb, Evaluated):
        _plain(bomb(tmp_path / "executed"), tmp_path / "x.pth")
        pickle.loads((tmp_path / "x.pth").read_bytes())
        assert (tmp_path / "executed").exists()
        (tmp_path / "executed").unlink()


def test_what_a_pickle_asked_for_is_named(tmp_path: Path) -> None:
    _legacy(Bomb(tmp_path / "executed"), tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"x\.pth: refused, it asks for (posix|nt)\.system"):
        foreign.read(tmp_path / "x.pth")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pth")  # a whole module, as careless code saves it
    with pytest.raises(WeightsError, match=r"refused, it asks for torch\.nn"):
        foreign.read(tmp_path / "module.pth")


def test_foreign_classes_stay_inert(tmp_path: Path) -> None:
    """A class that is let in by its name gets no code of that name, even where the real one could be imported."""
    with layouts.foreign_class("utils.config.Configuration") as configuration:
        configuration.__setstate__ = lambda self, state: (tmp_path / "executed").touch()
        written = configuration()
        written.args = 1
        torch.save({"conf": written, "runner": {"generator": {"a": torch.ones(1)}}}, tmp_path / "x.pth")
        found = foreign.read(tmp_path / "x.pth")[str(tmp_path / "x.pth")]
    assert list(found) == ["runner.generator.a"]
    assert not (tmp_path / "executed").exists()


def test_h5_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(3, np.float32)
    (tmp_path / "raw").write_bytes(bytes(12))

    def link(file: h5py.File) -> None:
        file["a"] = h5py.ExternalLink("other.h5", "/secret")

    def external(file: h5py.File) -> None:
        file.create_dataset("a", (3,), np.float32, external=[(str(tmp_path / "raw"), 0, 12)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((3,), np.float32)
        layout[:] = h5py.VirtualSource("other.h5", "secret", (3,))
        file.create_virtual_dataset("a", layout)

    def huge(file: h5py.File) -> None:
        file.create_dataset("a", (1 << 34,), np.float32, chunks=(1 << 20,))

    for number, write in enumerate((link, external, virtual, huge)):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            write(file)
        with pytest.raises(WeightsError, match="a: refused"):
            foreign.read(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"\x80\x02", "no readable torch file"),
        (b"PK\x03\x04 and nothing more", "broken or encrypted zip"),
        (b"\x89HDF\r\n\x1a\n and nothing more", "no readable HDF5"),
        (b"\xff" * 8 + b"{}", "no readable safetensors"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"GIF89a", "neither a torch pickle"),
    ],
)
def test_broken_files_say_what_they_are(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"x\.pth: .*{reason}"):
        foreign.read(tmp_path / "x.pth")


def test_cut_files_are_refused(tmp_path: Path) -> None:
    for path in (*layouts.srgan(tmp_path), *layouts.animegan2(tmp_path), *layouts.stargan_nnabla(tmp_path)):
        binary = path.read_bytes()
        path.write_bytes(binary[: len(binary) // 2])
        with pytest.raises(WeightsError, match=path.name):
            foreign.read(path)


def test_folders_archives_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="folder without a TensorFlow checkpoint"):
        foreign.read(tmp_path)
    with pytest.raises(WeightsError, match="cannot read"):
        foreign.read(tmp_path / "absent.pth")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match="without a weight file"):
        foreign.read(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "a.zip", "inner.pth")
    with pytest.raises(WeightsError, match="archive inside an archive"):
        foreign.read(tmp_path / "b.zip")


def test_unknown_layouts_show_their_keys() -> None:
    with pytest.raises(WeightsError, match=r"f: no known layout: 1 tensors \(blocks"):
        architectures.recognise({"f": {"blocks.0.weight": torch.ones(1)}})
    with pytest.raises(WeightsError, match="0 tensors"):
        architectures.recognise({"f": {}})
    parts = {"a": layouts.state("stargan_128"), "b": layouts.state("animegan2")}
    with pytest.raises(WeightsError, match="not the parts of one network: a: stargan, b: animegan2"):
        architectures.recognise(parts)


def test_missing_and_misshapen_tensors_make_no_network() -> None:
    flat = layouts.state("animegan2")
    _, tensors = architectures.recognise({"f": flat})
    middle = list(tensors)[20]
    with pytest.raises(WeightsError, match=f"the tensors make no animegan2 network.*{middle}"):
        architectures.build("animegan2", {key: value for key, value in tensors.items() if key != middle})
    with pytest.raises(WeightsError, match=f"the tensors make no animegan2 network.*{middle}"):
        architectures.build("animegan2", tensors | {middle: torch.ones(5, 5)})


def test_what_unpacks_to_more_than_two_gibibytes_is_refused(tmp_path: Path) -> None:
    """Whatever is small on the disk and large in memory: it is refused by what it says, before it is unpacked."""
    resource = pytest.importorskip("resource")

    def long_doubles(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (1 << 28,), np.longdouble, chunks=(1 << 20,))

    def chunk(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (1,), np.float32, maxshape=(None,), chunks=(1 << 29,))

    def sparse(path: Path) -> None:
        header = b'{"a":{"dtype":"F32","shape":[805306368],"data_offsets":[0,3221225472]}}'
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with path.open("r+b") as file:
            file.truncate(8 + len(header) + 3 * (1 << 30))

    def views(path: Path) -> None:
        whole = torch.ones(1 << 18)
        torch.save({str(number): whole.view(-1) for number in range(2049)}, path)

    def pickled(path: Path) -> None:
        class Bytes:
            def __reduce__(self) -> tuple[Any, ...]:
                return bytearray, (1 << 33,)

        torch.save({"a": torch.ones(1), "b": Bytes()}, path)

    def pickled_before(path: Path) -> None:
        class Bytes:
            def __reduce__(self) -> tuple[Any, ...]:
                return bytearray, (1 << 33,)

        layouts.legacy({"a": torch.ones(1), "b": Bytes()}, path)

    for write in (long_doubles, chunk, sparse, views, pickled, pickled_before):
        write(tmp_path / write.__name__)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(
            WeightsError, match=r"refused, (the file says to unpack to more than 2 GiB|it asks for byte)"
        ):
            foreign.read(tmp_path / write.__name__)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, write.__name__  # kB


DAMAGED: dict[str, Callable[[Path], Any]] = {
    "zip": lambda path: torch.save({"a": torch.arange(900.0), "b": {"c": torch.ones(3)}}, path),
    "legacy": lambda path: layouts.legacy({"a": torch.arange(900.0), "b": {"c": torch.ones(3)}}, path),
    "safetensors": lambda path: path.write_bytes(save({"a": torch.arange(900.0), "b": torch.ones(3)})),
    "h5": lambda path: h5py.File(path, "w").create_dataset("g/a", data=np.ones(900, np.float32)).file.close(),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_read_or_refused_in_plain_words(tmp_path: Path, kind: str) -> None:
    """Bytes changed, cut out or zeroed at random: never an error of another library's own; of a zip always an error."""
    path, chance = tmp_path / "x.pth", random.Random(kind)
    DAMAGED[kind](path)
    whole = path.read_bytes()
    for number in range(90):
        content = bytearray(whole)
        at = chance.randrange(len(content))
        match number % 3:
            case 0:
                for _ in range(8):
                    content[chance.randrange(len(content))] = chance.randrange(256)
            case 1:
                del content[at : at + chance.randint(1, 300)]
            case 2:
                end = min(len(content), at + chance.randint(1, 500))
                content[at:end] = bytes(end - at)
        path.write_bytes(content)
        try:
            flat = foreign.read(path)[str(path)]
        except WeightsError as error:
            assert str(error).startswith(f"{path}: ")
            assert not any(word in str(error) for word in ("Error:", "codec", "\n"))
        else:
            assert kind != "zip" or flat["a"].equal(torch.arange(900.0))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes as POSIX has them")
def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pth")
    for path in (tmp_path / "x.pth", Path("/dev/zero")):
        with pytest.raises(WeightsError, match="cannot read it: not a regular file"):
            foreign.read(path)
        with pytest.raises(OSError, match="not a regular file"):
            files.sha256(path)
