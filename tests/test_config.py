"""Chains in YAML: what is accepted, and how what is not is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganchain import chains
from ganchain.chains import registry
from ganchain.cli import describe
from ganchain.errors import ChainError

GOOD = """\
faces: [0, 2]
stages:
  - makeup: {look: evening, strength: 0.5}
  - webtoon:
      scope: photo
  - makeup: {lips: "#a02030"}
  - upscale
output: {write: both, format: jpeg}
"""


def load(tmp_path: Path, text: str) -> chains.Chain:
    path = tmp_path / "chain.yaml"
    path.write_text(text)
    return chains.load(path)


def test_a_chain_with_all_defaults_filled_in(tmp_path: Path) -> None:
    chain = load(tmp_path, GOOD)
    assert [spec.name for spec in chain.stages] == ["makeup", "webtoon", "makeup", "upscale"]
    assert chain.stages[0].options["strength"] == 0.5
    assert chain.stages[2].options["strength"] == 1.0 and chain.stages[2].options["look"] is None
    upscale = {"factor": None, "detail": None, "scope": None, "size": None, "weights": None, "strength": 1.0}
    upscale["restore"] = None
    assert chain.stages[3].options == upscale
    assert chain.faces == [0, 2]
    output = {"write": "both", "format": "jpeg", "side": None, "location": "keep", "mark": True, "label": ""}
    assert chain.output.model_dump() == output


def test_the_resolved_chain_is_itself_a_chain(tmp_path: Path) -> None:
    chain = load(tmp_path, GOOD)
    again = load(tmp_path, describe.as_yaml(chain))
    assert [(spec.name, spec.options) for spec in again.stages] == [(spec.name, spec.options) for spec in chain.stages]
    assert (again.faces, again.output) == (chain.faces, chain.output)


BROKEN = {
    "unknown stage": ("stages:\n  - makup: {}\n", 2, ["stages[0]", "'makup'", "did you mean 'makeup'", "upscale"]),
    "paper's name": ("stages:\n  - webtoon\n  - beautygan: {}\n", 3, ["'beautygan' is a network", "'makeup'"]),
    "unknown option": (
        "stages:\n  - upscale:\n      factr: 4\n",
        3,
        ["upscale.factr", "did you mean 'factor'", "scope"],
    ),
    "bad choice": (
        "stages:\n  - attributes: {age: young,\n      hair: blonde}\n",
        3,
        ["attributes.hair", "'blonde'", "did you mean 'blond'", "brown"],
    ),
    "number out of range": (
        "stages:\n  - makeup: {strength: 1.5}\n",
        2,
        ["makeup.strength", "1.5", "less than or equal to 1"],
    ),
    "not a number": ("stages:\n  - makeup: {strength: strong}\n", 2, ["makeup.strength", "'strong'"]),
    "bad factor": ("stages:\n  - upscale: {factor: 3}\n", 2, ["upscale.factor", "3", "2", "4"]),
    "bad colour": ("stages:\n  - makeup: {lips: reddish}\n", 2, ["makeup", "lips", "reddish"]),
    "colour taken for a comment": ("stages:\n  - makeup:\n      lips: #a02030\n", 3, ["in quotes"]),
    "typo in a merged mapping": ("stages:\n - makeup: {<<: {lok: rose}}\n", 2, ["makeup.lok", "did you mean 'look'"]),
    "object tag": ("stages: !!python/object:os.system [x]\n", 1, ["stages"]),
    "colour taken for a comment, in braces": ("stages:\n  - makeup: {lips: #a02030}\n", 3, ["in quotes"]),
    "no face at all": ("faces: []\nstages: [upscale]\n", 1, ["faces"]),
    "output is a word": ("stages: [upscale]\noutput: png\n", 2, ["output", "mapping"]),
    "reference and look": (
        "stages:\n  - makeup: {look: rose, reference: chain.yaml}\n",
        2,
        ["makeup", "reference", "look"],
    ),
    "missing reference": (
        "stages:\n  - makeup:\n      reference: nowhere.jpg\n",
        3,
        ["makeup.reference", "nowhere.jpg"],
    ),
    "unknown key": ("stages: [upscale]\nfacs: all\n", 2, ["facs", "did you mean 'faces'"]),
    "unknown face rule": ("faces: biggest\nstages: [upscale]\n", 1, ["faces", "'biggest'", "largest"]),
    "negative face": ("faces: [-1]\nstages: [upscale]\n", 1, ["faces"]),
    "unknown format": ("stages: [upscale]\noutput:\n  format: jpg\n", 3, ["output.format", "'jpg'", "jpeg"]),
    "unknown output": ("stages: [upscale]\noutput:\n  wrote: photo\n", 3, ["output.wrote", "did you mean 'write'"]),
    "no stages": ("faces: all\n", 1, ["stages"]),
    "empty stages": ("stages: []\n", 1, ["stages"]),
    "two stages in one item": ("stages:\n  - makeup: {}\n    upscale: {}\n", 2, ["stages[0]", "one stage"]),
    "options are a list": ("stages:\n  - makeup: [1]\n", 2, ["makeup", "mapping"]),
    "number for a stage": ("stages:\n  - 7\n", 2, ["stages[0]"]),
    "no mapping": ("- makeup\n", 1, ["stages"]),
    "empty file": ("", 1, ["stages"]),
    "broken YAML": ("stages:\n  - makeup: {\n", 3, ["not valid YAML"]),
    "key twice": ("stages: [upscale]\nfaces: all\nfaces: largest\n", 3, ["not valid YAML", "faces"]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_chain_names_file_line_key_value_and_cure(tmp_path: Path, what: str) -> None:
    text, line, words = BROKEN[what]
    with pytest.raises(ChainError) as caught:
        for spec in load(tmp_path, text).stages:
            spec.build()
    message = str(caught.value)
    assert f"chain.yaml:{line}:" in message, message
    assert all(word in message for word in words), message


def test_a_colour_may_stand_in_a_comment(tmp_path: Path) -> None:
    chain = load(tmp_path, '# lips: #a02030\nstages:\n  - makeup: {lips: "#a02030"} # lips: #b02030\n')
    assert chain.stages[0].options["lips"] == "#a02030"


def test_paths_are_relative_to_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "face.png").touch()
    monkeypatch.chdir("/")
    chain = load(tmp_path, "stages:\n  - makeup: {reference: refs/face.png}\n")
    assert chain.stages[0].options["reference"] == (tmp_path / "refs" / "face.png").resolve()


def test_bundled_chains_work_by_name_and_say_what_there_is() -> None:
    assert "portrait" in chains.bundled()
    for name in chains.bundled():
        assert chains.load(name).stages
    names = [spec.name for spec in chains.load("portrait").stages]
    assert names == ["makeup", "attributes", "webtoon", "upscale"]
    with pytest.raises(ChainError, match=r"did you mean 'portrait'"):
        chains.load("portrai")
    with pytest.raises(ChainError, match=r"no such file"):
        chains.load("nowhere.yaml")


def test_schema_knows_every_option() -> None:
    text = json.dumps(chains.schema())
    for name in registry.names():
        for option in registry.options(registry.stage(name)).model_fields:
            assert f'"{option}"' in text
    assert '"blond"' in text and '"maximum": 1' in text
    items = chains.schema()["properties"]["stages"]["items"]["anyOf"]
    assert items[0]["enum"] == registry.names()


@pytest.mark.parametrize("name", registry.names())
def test_every_option_is_explained(name: str) -> None:
    cls = registry.stage(name)
    assert set(registry.descriptions(cls)) == set(registry.options(cls).model_fields)


@pytest.mark.parametrize("rule", ["all", "largest", "best"])
def test_rules_for_faces(rule: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"faces: {rule}\nstages: [upscale]\n")
    assert chains.load(tmp_path / "c.yaml").faces == rule
