"""The user's cache: imports, downloads with mirrors and digests, licences, and imported networks in chains."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file

from ganchain.chains import registry
from ganchain.chains.digest import _weights as weights_digest
from ganchain.checkpoints import architectures, cache, catalogue, manifest
from ganchain.checkpoints.catalogue import File, Published
from ganchain.checkpoints.entries import Source
from ganchain.checkpoints.fetch import fetch
from ganchain.checkpoints.importing import import_files, remove
from ganchain.cli.main import main
from ganchain.errors import ChainError, WeightsError
from ganchain.nets.unet import UNet
from ganchain.pipeline.pipeline import Pipeline
from ganchain.tensors import Pixels
from tests import layouts
from tests.layouts import LAYOUTS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def left_over(folder: Path) -> list[str]:
    """What lies in the cache that belongs to no entry."""
    entries = cache.entries()
    known = {f"{key}.json" for key in entries} | {entry.file for entry in entries.values()}
    return [path.name for path in folder.rglob("*") if path.name not in known] if folder.exists() else []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.slow
def test_every_layout_is_imported(tmp_path: Path, layout: str) -> None:
    write, architecture = LAYOUTS[layout]
    paths = write(tmp_path)
    done = run("weights", "import", *paths, "--as", "mine")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"mine: {architecture}")
    entry = manifest.entry("mine")
    assert (entry.licence, entry.commercial) == ("unknown", "unknown")
    assert isinstance(entry.origin, Source)
    for name, digest in entry.origin.files.items():
        source = next(path for path in [*paths, *tmp_path.rglob("*")] if path.name == name)
        assert sha256(source.read_bytes()).hexdigest() == digest
    assert not left_over(cache.folder())
    assert run("weights", "verify").exit_code == 0
    listed = run("weights", "list").output
    assert "mine" in listed and "imported" in listed


def test_a_tensorflow_bundle_is_known_by_index_and_data(tmp_path: Path) -> None:
    _, entry = import_files(layouts.beautygan(tmp_path))
    assert isinstance(entry.origin, Source)
    assert set(entry.origin.files) == {"model.index", "model.data-00000-of-00001"}


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = layouts.animegan2(tmp_path)[0]
    assert import_files([path])[0] == "celeba-distill"  # of the file's name: the digest is not the published one
    with pytest.raises(WeightsError, match=r"not the published 'animegan2-celeba-distill': digest .*another --as KEY"):
        import_files([path], "animegan2-celeba-distill")
    with pytest.raises(WeightsError, match="key of bundled weights"):
        import_files([path], "webtoon")
    for bad in ("../evil", "a/b", ".hidden", "002000"):
        with pytest.raises(WeightsError, match="a key begins with a letter"):
            import_files([path], bad)
    with pytest.raises(WeightsError, match="'srgan' is a srresnet network, not animegan2"):
        import_files([path], "srgan")
    pin(monkeypatch, "animegan2-celeba-distill", path)
    assert import_files([path])[0] == "animegan2-celeba-distill"
    assert manifest.terms("animegan2-celeba-distill") == ("MIT", "yes")
    assert manifest.terms(str(path)) == ("MIT", "yes")
    assert manifest.load(str(path)).side == 256


def pin(monkeypatch: pytest.MonkeyPatch, key: str, path: Path) -> None:
    """Let ``path`` be the published file of ``key``."""
    binary = path.read_bytes()
    blob = sha1(b"blob %d\0" % len(binary) + binary).hexdigest()
    known = catalogue.published()[key]
    file = known.files[0].model_copy(update={"git_blob": blob})
    monkeypatch.setitem(catalogue.published(), key, known.model_copy(update={"files": [file]}))


def test_a_key_is_not_given_to_other_weights(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path, other = layouts.animegan2(tmp_path)[0], layouts.srgan(tmp_path / "other")[0]
    import_files([path], "mine")
    import_files([path], "mine")  # the same again
    with pytest.raises(WeightsError, match=r"'mine' is taken by other weights, made of celeba_distill\.pt"):
        import_files([other], "mine")
    assert manifest.entry("mine").architecture == "animegan2"


def test_a_generator_alone_does_not_tell_its_side(tmp_path: Path) -> None:
    generator, discriminator = layouts.stargan(tmp_path)
    with pytest.raises(WeightsError, match="does not tell the side"):
        import_files([generator])
    assert import_files([generator], "mine", side=256)[1].side == 256
    assert import_files([generator], "stargan-celeba-256")[1].side == 256
    with pytest.raises(WeightsError, match="trained at 128 px, not 256"):
        import_files([generator, discriminator], "stargan-celeba-256")
    assert import_files([generator], "stargan-celeba-128")[1].side == 128
    assert "discriminator.conv2.weight" not in manifest.tensors("stargan-celeba-128")
    import_files([generator, discriminator], "stargan-celeba-128")  # the missing part may follow
    assert "discriminator.conv2.weight" in manifest.tensors("stargan-celeba-128")
    with pytest.raises(WeightsError, match=r"200000-D\.ckpt: this is StarGAN's discriminator alone"):
        import_files([discriminator], "half")


def test_verify_names_what_was_changed(tmp_path: Path) -> None:
    import_files(layouts.animegan2(tmp_path), "mine")
    import_files(layouts.srgan(tmp_path), "yours")
    import_files(layouts.srgan(tmp_path), "third")
    file = cache.folder() / manifest.entry("mine").file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (cache.folder() / "yours.json").write_text("{")
    done = run("weights", "verify")
    assert done.exit_code == 1
    lines = dict(line.split(": ", 1) for line in done.output.splitlines())
    assert "changed or cut" in lines["mine"] and "import or fetch the weights again" in lines["mine"]
    assert "broken" in lines["yours"]
    assert lines["third"] == lines["webtoon"] == "ok"
    assert "no weights 'absent'" in run("weights", "verify", "absent").output


# what the web does to downloads


class Mirrors(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, _, name = self.path.strip("/").partition("/")
        body = self.files[name]
        if kind == "gone":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = {"whole": body, "cut": body[: len(body) // 2], "page": b"<html>" + body[6:], "other": body[::-1]}[kind]
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Mirrors.asked = []
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Mirrors)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def offer(monkeypatch: pytest.MonkeyPatch, server: str, paths: list[Path], mirrors: list[str], **given: Any) -> None:
    """Publish ``paths`` as the checkpoint "toy" at these mirrors."""
    Mirrors.files = {path.name: path.read_bytes() for path in paths}
    files = []
    for path in paths:
        binary = path.read_bytes()
        digests = {"sha256": sha256(binary).hexdigest(), "size": len(binary)} if given.get("pinned", True) else {}
        files.append(File(name=path.name, urls=[f"{server}/{mirror}/{path.name}" for mirror in mirrors], **digests))
    toy = Published(
        architecture=given.get("architecture", "animegan2"),
        side=given.get("side"),
        licence="MIT",
        commercial="yes",
        page="https://example.org/toy",
        files=files,
    )
    monkeypatch.setitem(catalogue.published(), "toy", toy)


def test_fetch_goes_on_to_the_mirror_that_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    offer(monkeypatch, server, layouts.animegan2(tmp_path), ["gone", "cut", "other", "whole"], side=256)
    done = run("weights", "fetch", "toy")
    assert done.exit_code == 0, done.output
    assert (
        "toy: animegan2, 256 px; licence: MIT; commercial use: yes\nin a chain: webtoon: {weights: toy}" in done.output
    )
    assert [path.split("/")[1] for path in Mirrors.asked] == ["gone", "cut", "other", "whole"]
    assert manifest.entry("toy").side == 256
    assert not left_over(cache.folder())
    run("weights", "fetch", "toy")
    assert len(Mirrors.asked) == 4  # it is here: nothing is asked for again
    file = cache.folder() / manifest.entry("toy").file
    file.write_bytes(file.read_bytes()[:100])
    assert run("weights", "fetch", "toy").exit_code == 0  # a spoilt one is fetched again
    assert manifest.problem("toy") is None


def test_fetch_of_several_files_and_of_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    folder = layouts.beautygan(tmp_path)[0]
    parts = [folder / "model.index", folder / "model.data-00000-of-00001"]
    offer(monkeypatch, server, parts, ["whole"], architecture="beautygan-tf1")
    assert fetch("toy").architecture == "beautygan-tf1"
    (cache.folder() / "toy.json").unlink()
    offer(monkeypatch, server, layouts.stargan_archive(tmp_path), ["whole"], architecture="stargan", pinned=False)
    assert fetch("toy").side == 128


@pytest.mark.parametrize("mirror", ["gone", "cut", "page", "other"])
@pytest.mark.parametrize("pinned", [True, False])
def test_a_failed_fetch_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, mirror: str, pinned: bool
) -> None:
    offer(monkeypatch, server, layouts.animegan2(tmp_path), [mirror], pinned=pinned)
    done = run("weights", "fetch", "toy")
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    if mirror == "page" and not pinned:
        assert "this is a web page" in done.output
    elif pinned or mirror != "other":
        assert f"{server}/{mirror}/celeba_distill.pt: " in done.output
        assert "https://example.org/toy" in done.output and "ganchain weights import FILE... --as toy" in done.output
    assert "toy" not in manifest.entries()
    assert not left_over(cache.folder())


def test_what_a_killed_fetch_left_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    half = cache.folder() / ".fetch-x1y2" / "celeba_distill.pt"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    os.utime(half.parent, (0, 0))
    offer(monkeypatch, server, layouts.animegan2(tmp_path), ["whole"])
    fetch("toy")
    assert not left_over(cache.folder())


@pytest.mark.parametrize("how", ["option", "environment"])
def test_offline_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    if how == "environment":
        monkeypatch.setenv("GANCHAIN_OFFLINE", "1")
    option = ["--offline"] if how == "option" else []
    done = run("weights", "fetch", "animegan2-paprika", *option)
    assert done.exit_code == 1
    assert "offline: 'animegan2-paprika' was not fetched. Get paprika.pt from https://github.com/" in done.output
    import_files(layouts.animegan2(tmp_path), "mine")
    assert run("weights", "fetch", "mine", *option).exit_code == 0  # it is here
    assert run("weights", "list").exit_code == 0


def test_running_a_chain_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_head: Pixels) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(ChainError, match="ganchain weights fetch srgan"):
        chain(tmp_path, "upscale: {weights: srgan}")
    assert chain(tmp_path, "webtoon")(small_head).status == "ok"


def test_unknown_published_weights() -> None:
    done = run("weights", "fetch", "stargan-celeba-265")
    assert done.exit_code == 1 and "did you mean 'stargan-celeba-256'" in done.output
    assert "did you mean 'stargan-celeba-128'" in run("weights", "fetch", "stargan").output


# imported networks in chains


def chain(folder: Path, stage: str, head: str = "") -> Pipeline:
    path = folder / "chain.yaml"
    path.write_text(f"{head}\nstages:\n  - {stage}\n")
    return Pipeline.from_yaml(path)


CHAINS = {
    "attributes: {hair: blond, weights: stargan}": ("stargan", layouts.stargan),
    "attributes: {hair: black, gender: male, age: old, weights: nnabla}": ("nnabla", layouts.stargan_nnabla),
    "makeup: {reference: reference.png, weights: beautygan}": ("beautygan", layouts.beautygan),
    "makeup: {reference: reference.png, weights: authors}": ("authors", layouts.beautygan_pytorch),
    "webtoon: {weights: animegan, scope: face}": ("animegan", layouts.animegan2),
    "webtoon: {weights: animegan, scope: photo}": ("animegan", layouts.animegan2),
    "webtoon: {weights: swap, style: reference.png, keep: 3}": ("swap", layouts.swapping_autoencoder),
    "upscale: {weights: srgan}": ("srgan", layouts.srgan),
}


@pytest.mark.parametrize("stage", CHAINS)
@pytest.mark.slow
def test_imported_networks_run(tmp_path: Path, astronaut: Pixels, stage: str) -> None:
    key, write = CHAINS[stage]
    (tmp_path / "files").mkdir()
    import_files(write(tmp_path / "files"), f"my-{key}")
    Image.fromarray(astronaut[:, ::-1]).save(tmp_path / "reference.png")
    photo = astronaut[:280, 80:400]
    result = chain(tmp_path, stage.replace(f"weights: {key}", f"weights: my-{key}"))(photo)
    picture = np.asarray(result.image)
    if "upscale" in stage:
        assert picture.shape == (4 * 280, 4 * 320, 3)
        return
    assert picture.shape == photo.shape
    changed = np.abs(picture.astype(int) - photo).max(axis=2) > 8
    if "scope: photo" in stage:
        assert changed[:, 300:].any()
        return
    face = result.faces[0].box
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    assert rows[0] < face[1] + 30 and rows[-1] > face[3] - 30
    assert columns[0] < face[0] + 20 and columns[-1] > face[2] - 20
    assert not changed[250:, 270:].any()  # far from the face


@pytest.mark.slow
def test_style_pictures_are_made_from_a_seed(tmp_path: Path, small_head: Pixels) -> None:
    (tmp_path / "files").mkdir()
    import_files(layouts.swapping_autoencoder(tmp_path / "files"), "swap")
    with pytest.raises(ChainError, match=r"style: these weights take the style of a picture.*fetch stylegan2-naver"):
        chain(tmp_path, "webtoon: {weights: swap, seed: 1}")
    import_files(layouts.stylegan2(tmp_path / "files"), "maker")
    pictures = [
        np.asarray(chain(tmp_path, f"webtoon: {{weights: swap, seed: {seed}, style_weights: maker}}")(small_head).image)
        for seed in (1, 1, 2)
    ]
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()


def test_weights_by_path(tmp_path: Path, small_head: Pixels) -> None:
    """A foreign file can stand in a chain without being imported; its path starts at the chain's folder."""
    layouts.animegan2(tmp_path)
    assert chain(tmp_path, "webtoon: {weights: celeba_distill.pt}")(small_head).status == "ok"
    with pytest.raises(ChainError, match=r"weights: no weights 'absent\.pt', neither a key nor a file"):
        chain(tmp_path, "webtoon: {weights: absent.pt}")


REFUSED = {
    "attributes: {hair: blond, weights: generator}": "gender: 'keep' needs StarGAN's discriminator",
    "makeup: {weights: beauty}": "reference: these weights take the makeup from a photo",
    "makeup: {reference: reference.png, look: null, lips: red, weights: beauty}": "lips: 'red' is not served",
    "makeup: {reference: reference.png, weights: srgan-x}": "srgan-x holds weights of srresnet, which serve upscale",
    "makeup: {engine: tensorflow}": "engine: tensorflow runs the published files themselves",
    "webtoon: {keep: 3}": "keep: '3' is not served by these weights",
    "webtoon: {weights: anime, seed: 1}": "seed: '1' is not served by these weights",
    "webtoon: {weights: maker}": "maker only makes style pictures",
    "webtoon: {weights: swap, scope: photo}": "scope: 'photo' is not served",
    "webtoon: {weights: swap, style_weights: anime}": "style_weights: anime holds weights of animegan2, not",
    "upscale: {weights: srgan-x, factor: 2}": "factor: these weights enlarge 4 times, not 2",
    "upscale: {factor: 3}": "factor: these weights enlarge 2 or 4 times, not 3",
    "webtoon: {weights: six}": "this U-Net gives 6 planes where 4 are needed",
}


@pytest.fixture(scope="module")
def full_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANCHAIN_CACHE", str(folder / "cache"))
        import_files(layouts.stargan(folder)[:1], "stargan-celeba-128")
        (cache.folder() / "stargan-celeba-128.json").rename(cache.folder() / "generator.json")
        import_files(layouts.beautygan(folder), "beauty")
        import_files(layouts.animegan2(folder), "anime")
        import_files(layouts.swapping_autoencoder(folder), "swap")
        import_files(layouts.stylegan2(folder), "maker")
        import_files(layouts.srgan(folder), "srgan-x")
        save_file(UNet(3, 6, widths=(8, 8), depths=(1, 1)).state_dict(), folder / "six.safetensors")
        import_files([folder / "six.safetensors"], "six")
    return folder / "cache"


@pytest.mark.parametrize("stage", REFUSED)
def test_options_a_network_cannot_serve_are_refused_before_any_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_cache: Path, astronaut: Pixels, stage: str
) -> None:
    monkeypatch.setenv("GANCHAIN_CACHE", str(full_cache))
    Image.fromarray(astronaut).save(tmp_path / "reference.png")
    with pytest.raises(ChainError) as refused:
        chain(tmp_path, stage)
    assert REFUSED[stage] in str(refused.value)
    assert "chain.yaml:3: " in str(refused.value)


def test_license_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_cache: Path) -> None:
    monkeypatch.setenv("GANCHAIN_CACHE", str(full_cache))
    mixed = "makeup: {}\n  - upscale: {weights: srgan-x}"
    assert chain(tmp_path, mixed)
    with pytest.raises(WeightsError, match=r"'commercial' refuses srgan-x .licence: unknown; commercial use: unknown"):
        chain(tmp_path, mixed, "license_policy: commercial")
    assert chain(tmp_path, "makeup", "license_policy: commercial")
    with pytest.raises(ChainError, match=r"license_policy: 'comercial'.*did you mean 'commercial'"):
        chain(tmp_path, "makeup", "license_policy: comercial")
    chain(tmp_path, mixed)  # written again, without the policy
    for option in ([], ["-n"]):
        done = run("run", tmp_path / "chain.yaml", tmp_path / "absent.png", "--license-policy", "commercial", *option)
        assert done.exit_code == 2 and "refuses srgan-x" in done.output
    assert run("run", tmp_path / "chain.yaml", "-n", "--license-policy", "any").exit_code == 0


def test_the_dry_run_shows_the_network_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_cache: Path
) -> None:
    monkeypatch.setenv("GANCHAIN_CACHE", str(full_cache))
    chain(tmp_path, "webtoon: {weights: anime}")
    shown = run("run", tmp_path / "chain.yaml", "-n").output
    assert "512 px" in shown and "anime" in shown and "unknown" in shown


def test_stages_say_which_weights_they_take() -> None:
    known = {name: cls for name, cls in registry.stages().items() if isinstance(cls, type)}
    for name, cls in known.items():
        shapes = registry.options(cls).model_json_schema()["properties"]
        assert cls.architectures.keys() == {
            o for o, shape in shapes.items() if '"format": "weights"' in json.dumps(shape)
        }, name
        assert {a for option in cls.architectures.values() for a in option} <= architectures.ARCHITECTURES.keys(), name
    assert registry.takers("stylegan2") == [("webtoon", "style_weights")]
    assert registry.takers("age-gender") == []
    assert [stage for stage, _ in registry.takers("unet")] == ["webtoon"]
    bundled = {key: registry.takers(entry.architecture, entry.stage) for key, entry in manifest.bundled().items()}
    for key in ("age-gender", "points", "parts", "landmarks", "proposals"):  # they read faces, and edit nothing
        assert bundled.pop(key) == []
    assert all(len(takers) == 1 and key.startswith(takers[0][0]) for key, takers in bundled.items())


def test_looking_up_weights_lists_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_cache: Path) -> None:
    monkeypatch.setenv("GANCHAIN_CACHE", str(full_cache))
    imported = tmp_path / "imported.yaml"
    imported.write_text("stages:\n  - webtoon: {weights: anime}\n  - upscale: {weights: srgan-x}\n")
    listed: list[Path] = []
    scan, folder = os.scandir, cache.folder()

    def counted(path: Any = ".") -> Any:
        listed.extend([Path(os.fsdecode(path))] if isinstance(path, str | os.PathLike) else [])
        return scan(path)

    monkeypatch.setattr(os, "scandir", counted)
    monkeypatch.setattr(Path, "glob", lambda self, *_: listed.append(self) or iter(()))
    for chain_ in ("portrait", imported):
        Pipeline.from_yaml(chain_).prepare()
    assert folder not in listed and folder.parent not in listed
    manifest.entries()
    assert folder in listed  # so they are counted


def test_changes_of_the_cache_are_seen_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = layouts.animegan2(tmp_path)[0]
    assert manifest.get("mine") is None
    first = import_files([path], "mine", side=256)[1]
    assert manifest.get("mine") == manifest.entries()["mine"] == first
    file = cache.folder() / "mine.json"
    text = file.read_text()
    file.write_text(text.replace('"side": 256', '"side": 512'))  # by another process, in place
    assert manifest.entry("mine").side == 512
    monkeypatch.setenv("GANCHAIN_CACHE", str(tmp_path / "other"))
    assert manifest.get("mine") is None and not cache.entries()
    monkeypatch.undo()
    for key in ("../mine", "a/../mine", "", ".", str(file.with_suffix(""))):
        assert manifest.get(key) is None


def test_removing(tmp_path: Path) -> None:
    import_files(layouts.animegan2(tmp_path), "mine")
    with pytest.raises(WeightsError, match="'webtoon' is bundled"):
        remove("webtoon")
    with pytest.raises(WeightsError, match=r"no imported weights 'min'; did you mean 'mine'"):
        remove("min")
    assert run("weights", "remove", "mine").output == "mine: removed\n"
    assert manifest.get("mine") is None and not list(cache.folder().iterdir())


def test_removing_leaves_the_weights_whose_key_begins_alike(tmp_path: Path) -> None:
    for key in ("model", "model.v2", "model.0123456789ab", "model-2"):
        import_files(layouts.animegan2(tmp_path), key)
    assert run("weights", "remove", "model").exit_code == 0
    assert sorted(cache.entries()) == ["model-2", "model.0123456789ab", "model.v2"] and not left_over(cache.folder())
    assert not any(manifest.problem(key) for key in cache.entries())


def test_a_bundle_counts_whatever_its_folder_and_name(tmp_path: Path) -> None:
    """The key of a batch depends on the files of a bundle, also where a glob would read its name as a pattern."""
    for name in ("model[1]", "model"):
        for suffix in (".index", ".data-00000-of-00001", ".v2.index"):
            (tmp_path / f"{name}{suffix}").write_bytes(suffix.encode())
        first = weights_digest(str(tmp_path / name))
        (tmp_path / f"{name}.v2.index").write_bytes(b"of another bundle")
        assert weights_digest(str(tmp_path / name)) == first
        (tmp_path / f"{name}.data-00000-of-00001").write_bytes(b"changed")
        assert weights_digest(str(tmp_path / name)) != first


def test_published_catalogue() -> None:
    for key, checkpoint in catalogue.published().items():
        assert checkpoint.architecture in architectures.ARCHITECTURES, key
        assert key not in manifest.bundled()
        for file in checkpoint.files:
            assert file.urls and all(url.startswith("https://") for url in file.urls)
