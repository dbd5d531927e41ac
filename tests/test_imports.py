"""What is imported: whose it is, of which files, and what is refused at once."""

from __future__ import annotations

import socket
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from ganchain.chains import registry
from ganchain.checkpoints import cache, catalogue, manifest
from ganchain.checkpoints.entries import Source
from ganchain.checkpoints.fetch import fetch
from ganchain.checkpoints.importing import import_files
from ganchain.errors import WeightsError
from ganchain.files import sha256
from ganchain.pipeline.pipeline import Pipeline
from tests import layouts
from tests.effort import at_most
from tests.test_store import pin


def make(name: str, key: str, **options: Any) -> Any:
    stage: Any = registry.stage(name)
    return stage(weights=key, **options).resolved()


def spoilt(folder: Path) -> Iterator[tuple[list[Path], str]]:
    good, bad = layouts.animegan2(folder)[0], folder / "bad"
    yield [layouts.stargan(folder)[0], layouts.stargan_archive(folder)[0]], "stands in another of these files already"
    torch.save(layouts.state("animegan2") | {"out_layer.0.weight": torch.full((3, 4, 1, 1), torch.nan)}, bad)
    yield [bad], "finite"
    tree: dict[str, Any] = {"w": torch.ones(1)}
    for _ in range(22):  # enough to be slow, and not to hang, where each path counts
        tree = {"a": tree, "b": tree}
    torch.save(tree, bad)
    yield [bad], "no known layout: 1 tensors"
    torch.save({"w": torch.ones(1).expand(1 << 40)}, bad)
    yield [bad], "no plain tensor of the size it says"
    with zipfile.ZipFile(good) as plain, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    yield [bad], "refused: packed"
    with h5py.File(bad, "w") as file:
        file["gen/again"] = file.create_group("gen")
    yield [bad], "stands in itself"


def test_spoilt_files_are_refused_at_once(tmp_path: Path) -> None:
    for paths, reason in spoilt(tmp_path):
        with at_most(50_000), pytest.raises(WeightsError, match=reason):
            import_files(paths, "mine")
        assert not cache.entries(), reason


def test_licence_and_side_go_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, (generator, discriminator) = layouts.animegan2(tmp_path)[0], layouts.stargan(tmp_path)
    pin(monkeypatch, "animegan2-celeba-distill", path)
    entry = import_files([path], "mine")[1]
    assert (entry.licence, entry.commercial, entry.side) == ("MIT", "yes", 256)
    assert (make("webtoon", "mine").side, make("webtoon", str(path)).whole_photo.side) == (256, 256)
    assert Pipeline([make("webtoon", "mine")], license_policy="commercial")
    pin(monkeypatch, "stargan-celeba-128", generator)
    with pytest.raises(WeightsError, match="this is not the published 'stargan-celeba-128'"):
        import_files([generator, discriminator], "stargan-celeba-128")
    known = catalogue.published()["stargan-celeba-128"]
    for pinned, given in (([generator, discriminator], [generator]), ([generator, path], [generator, discriminator])):
        files = [catalogue.File(name=file.name, urls=[], sha256=sha256(file)) for file in pinned]
        monkeypatch.setitem(catalogue.published(), "stargan-celeba-128", known.model_copy(update={"files": files}))
        assert import_files(given, side=128)[0] not in catalogue.published()


def test_files_of_the_same_name_and_other_nestings(tmp_path: Path) -> None:
    paths = []
    for part, path in zip("GD", layouts.stargan(tmp_path), strict=True):
        (tmp_path / part).mkdir()
        paths.append(path.rename(tmp_path / part / "latest.ckpt"))
    entry = import_files(paths, "both")[1]
    assert entry.side == 128 and isinstance(entry.origin, Source)
    assert entry.origin.files == {f"{path.parent.name}/latest.ckpt": sha256(path) for path in paths}
    assert import_files(layouts.stargan_nnabla(tmp_path, scope=False), "bare", side=128)[1].side == 128
    torch.save({"runner": {"model": layouts.state("srgan")}}, tmp_path / "srresnet.pth")
    assert import_files([tmp_path / "srresnet.pth"], "srresnet-x")[1].architecture == "srresnet"
    portrait = str(resources.files("ganchain.weights") / manifest.entry("attributes-portrait").file)
    for weights in ("attributes-portrait", portrait):
        with pytest.raises(ValueError, match=r"weights: .* would not be used"):
            make("attributes", weights, hair="blond")
    file = cache.folder() / "both.json"
    file.write_text(file.read_text().replace(entry.file, f"../weights/{entry.file}"))
    assert "both" not in manifest.entries()


@pytest.mark.parametrize("plain", [".", "weights"])
def test_nowhere_to_write_and_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: str) -> None:
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, connect)
    (tmp_path / "files").mkdir()
    path = layouts.animegan2(tmp_path / "files")[0]
    monkeypatch.setenv("GANCHAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANCHAIN_OFFLINE", "1")
    with pytest.raises(WeightsError, match="offline: 'animegan2-paprika' was not fetched"):
        fetch("animegan2-paprika")
    monkeypatch.delenv("GANCHAIN_OFFLINE")
    (tmp_path / "cache" / plain).parent.mkdir(exist_ok=True)
    (tmp_path / "cache" / plain).write_text("a file")
    for write in (lambda: import_files([path], "mine"), lambda: fetch("animegan2-paprika")):
        with pytest.raises(WeightsError, match="cannot write"):
            write()


def test_imports_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace = layouts.animegan2(tmp_path)[0], Path.replace

    def slow(self: Path, target: Path) -> Path:
        time.sleep(0.1)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", slow)
    with ThreadPoolExecutor(4) as pool:
        entries = list(pool.map(lambda _: import_files([path], "mine")[1], range(4)))
    assert entries == [manifest.entry("mine")] * 4 and manifest.problem("mine") is None
    assert {file.name for file in cache.folder().iterdir()} == {"mine.json", entries[0].file}
