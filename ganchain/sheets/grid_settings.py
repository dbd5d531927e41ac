"""What a grid varies: settings of a chain, from options or YAML, checked like a chain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ganchain import chains
from ganchain.chains import Chain, StageSpec, registry
from ganchain.errors import ChainError, available
from ganchain.photos.find import expand
from ganchain.sheets.people import caption, given

Options = Mapping[str, Any]
IN_ORDER = ("makeup", "attributes", "webtoon", "upscale")  # stages stand so where no chain says how
INSTEAD = {("makeup", "reference"): "look", ("makeup", "look"): "reference"}  # what a setting takes the place of


@dataclass(frozen=True)
class Setting:
    """One column or row of a grid: what it changes in the chain.

    Attributes:
        caption: what stands beside it.
        changes: stage -> option -> value.
        place: where it was asked for, for messages.
        strength: that of the stages the other settings change, or of the whole chain.
        picture: the reference photo it stands for.
    """

    caption: str = ""
    changes: Mapping[str, Options] = field(default_factory=dict)
    place: str = ""
    strength: float | None = None
    picture: Path | None = None


def settings(place: str, key: str, values: Any, folder: Path = Path()) -> list[Setting]:
    """The settings that ``key`` and ``values`` ask for.

    ``stage.option`` with a value or several: one setting each; ``stage`` with a mapping of options (or none): one.

    Raises:
        ChainError: no such stage or option, or the value is wrong; says what is available.
    """
    stage, dot, option = key.partition(".")
    if dot:
        chosen: list[dict[str, Any]] = [{option: value} for value in (values if _several(values) else [values])]
        if not chosen:
            raise ChainError(f"{place}: no values, as in {key}: [0.5, 1]")
    elif values is None or isinstance(values, Mapping):
        chosen = [dict(values or {})]
    else:
        raise ChainError(f"{place}: {values!r}: which option of {stage}? As in {stage}.{_an_option(place, stage)}")
    found = []
    for changed in chosen:
        spec = checked(place, _stage(stage), changed, folder)
        values = {name: spec.options[name] for name in changed}
        # one option alone mostly says enough: "hair black", "old"; but "makeup: evening"
        said = caption("" if dot and option != "look" else stage, values)
        found.append(Setting(said, {stage: values}, place, picture=values.get("reference")))
    return found


def _stage(name: str) -> str:
    """webtoon of webtoon-2, the second one of a chain."""
    return name if name in registry.names() else re.sub(r"-\d+$", "", name)


def _several(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str)


def _an_option(place: str, stage: str) -> str:
    try:
        return next(iter(registry.options(registry.stage(stage)).model_fields))
    except ChainError as error:
        raise ChainError(f"{place}: {error}") from error


def references(photos: Sequence[Path]) -> list[Setting]:
    """One setting a picture: its makeup."""
    return [
        Setting(path.name, {"makeup": {"reference": path.resolve()}}, str(path), picture=path)
        for path in expand(photos)
    ]


def strengths(place: str, values: Iterable[Any]) -> list[Setting]:
    """One setting a strength, 0 to 1."""
    found = []
    for value in values:
        try:
            strength = float(value)
        except (TypeError, ValueError):
            strength = -1
        if not 0 <= strength <= 1:
            raise ChainError(f"{place}: {value!r}: a strength is a number from 0 to 1")
        found.append(Setting(f"strength {strength:g}", place=place, strength=strength))
    return found


def distinct(axis: Sequence[Setting]) -> list[Setting]:
    """The settings with captions that differ: where two are the same, they say more of what is set."""
    said = Counter(one.caption for one in axis)
    return [replace(one, caption=_in_full(one)) if said[one.caption] > 1 and one.changes else one for one in axis]


def _in_full(one: Setting) -> str:
    if one.picture:
        return str(one.picture)
    return ", ".join(caption(stage, dict(changed)) for stage, changed in one.changes.items())


def checked(place: str, stage: str, chosen: Options, folder: Path = Path()) -> StageSpec:
    """One stage with these options, as the chain's own reader checks it; messages begin with ``place``."""
    text, plain = StringIO(), {name: str(v) if isinstance(v, Path) else v for name, v in chosen.items()}
    YAML().dump({"stages": [{stage: plain}]}, text)
    try:
        (spec,) = chains.parse(text.getvalue(), place, folder).stages
    except ChainError as error:
        told = re.sub(rf"(?m)^{re.escape(place)}:\d+: stages\[0\]\.?(: )?", f"{place}: ", str(error))
        raise ChainError(told) from error
    return replace(spec, where=place, places={name: f"{place}: {stage}.{name}" for name in spec.options})


def changed(base: Chain | None, *chosen: Setting) -> list[StageSpec]:
    """The stages of the chain with these settings; without a chain, the stages they name, in the usual order.

    Raises:
        ChainError: the chain has no such stage, or the options do not go together.
    """
    place = ", ".join(dict.fromkeys(one.place for one in chosen if one.place))
    changes: dict[str, dict[str, Any]] = {}
    for one in chosen:
        for stage, values in one.changes.items():
            changes.setdefault(stage, {}).update(values)
    named = _named(base, changes, place)
    strength = next((one.strength for one in chosen if one.strength is not None), None)
    return list(_applied(named, changes, strength, place))


def _named(base: Chain | None, changes: Mapping[str, Options], place: str) -> dict[str, StageSpec | None]:
    """The stages by the names a setting may use: makeup, webtoon, webtoon-2 ..."""
    if base is None:
        order = sorted(changes, key=lambda stage: IN_ORDER.index(stage) if stage in IN_ORDER else len(IN_ORDER))
        return dict.fromkeys(order)
    named: dict[str, StageSpec | None] = {}
    for spec in base.stages:
        again = sum(name.split("-")[0] == spec.name for name in named)
        named[f"{spec.name}-{again + 1}" if again else spec.name] = spec
    for stage in changes:
        if stage not in named:
            raise ChainError(f"{place}: {base.source} has no stage {stage!r}; {available(stage, named)}")
    return named


def _applied(
    named: Mapping[str, StageSpec | None], changes: Mapping[str, Options], strength: float | None, place: str
) -> Iterator[StageSpec]:
    for name, spec in named.items():
        values = dict(changes.get(name, {}))
        if strength is not None and (name in changes or (not changes and spec and "strength" in spec.options)):
            values["strength"] = strength
        if spec is not None and not values:
            yield spec
            continue
        stage = spec.name if spec else _stage(name)
        kept = given(spec) if spec else {}
        for option in values:
            kept.pop(INSTEAD.get((stage, option), ""), None)
        yield checked(place, stage, {**kept, **values})
