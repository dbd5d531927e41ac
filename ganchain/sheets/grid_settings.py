"""What a grid varies: settings of a chain, from options or YAML, checked like a chain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ganchain.chains import Chain, StageSpec, numbered, registry
from ganchain.chains.document import Locate, Place, dotted
from ganchain.errors import ChainError, available
from ganchain.photos.find import expand
from ganchain.sheets.people import LOOK, caption, given

Options = Mapping[str, Any]


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
    place: Place = field(default_factory=Place)
    strength: float | None = None
    picture: Path | None = None


def settings(place: Place, key: str, values: Any, folder: Path = Path()) -> list[Setting]:
    """Read the settings that ``key`` and ``values`` ask for.

    ``stage.option`` with a value or several: one setting each; ``stage`` with a mapping of options (or none): one.

    Raises:
        ChainError: no such stage or option, or the value is wrong; says what is available.
    """
    stage, dot, option = key.partition(".")
    if dot:
        chosen: list[dict[str, Any]] = [{option: value} for value in (values if _several(values) else [values])]
        if not chosen:
            raise place.error(f"no values, as in {key}: [0.5, 1]")
    elif values is None or isinstance(values, Mapping):
        chosen = [dict(values or {})]
    else:
        raise place.error(f"{values!r}: which option of {stage}? As in {stage}.{_an_option(place, stage)}")
    found = []
    for changed in chosen:
        spec = StageSpec.check(_stage(stage), changed, _inside(place, stage), folder)
        values = {name: spec.options[name] for name in changed}
        # one option alone mostly says enough: "hair black", "old"; but "makeup: evening"
        said = caption(spec.cls, "" if dot and option != LOOK else stage, values)
        found.append(Setting(said, {stage: values}, place, picture=values.get("reference")))
    return found


def _inside(place: Place, stage: str) -> Locate:
    """Say where the options of a stage were asked for: all of them at ``place``."""
    return lambda *path: replace(place, key=dotted(stage, *path)) if path else place


def _stage(name: str) -> str:
    """webtoon of webtoon-2, the second one of a chain."""
    return name if name in registry.names() else re.sub(r"-\d+$", "", name)


def _several(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str)


def _an_option(place: Place, stage: str) -> str:
    try:
        return next(iter(registry.options(registry.stage(stage)).model_fields))
    except ChainError as error:
        raise place.add_to(error) from error.__cause__


def references(photos: Sequence[Path]) -> list[Setting]:
    """One setting a picture: its makeup."""
    return [
        Setting(path.name, {"makeup": {"reference": path.resolve()}}, Place(str(path)), picture=path)
        for path in expand(photos)
    ]


def strengths(place: Place, values: Iterable[Any]) -> list[Setting]:
    """One setting a strength, 0 to 1."""
    found = []
    for value in values:
        try:
            strength = float(value)
        except (TypeError, ValueError):
            strength = -1
        if not 0 <= strength <= 1:
            raise place.error(f"{value!r}: a strength is a number from 0 to 1")
        found.append(Setting(f"strength {strength:g}", place=place, strength=strength))
    return found


def distinct(axis: Sequence[Setting]) -> list[Setting]:
    """The settings with captions that differ: where two are the same, they say more of what is set."""
    said = Counter(one.caption for one in axis)
    return [replace(one, caption=_in_full(one)) if said[one.caption] > 1 and one.changes else one for one in axis]


def _in_full(one: Setting) -> str:
    if one.picture:
        return str(one.picture)
    stages = ((registry.stage(_stage(name)), name, values) for name, values in one.changes.items())
    return ", ".join(caption(cls, name, values) for cls, name, values in stages)


def changed(base: Chain | None, *chosen: Setting) -> list[StageSpec]:
    """The stages of the chain with these settings; without a chain, the stages they name, in the usual order.

    Raises:
        ChainError: the chain has no such stage, or the options do not go together.
    """
    places = list(dict.fromkeys(one.place for one in chosen if one.place.where))
    place = places[0] if len(places) == 1 else Place(", ".join(one.where for one in places))
    changes: dict[str, dict[str, Any]] = {}
    for one in chosen:
        for stage, values in one.changes.items():
            changes.setdefault(stage, {}).update(values)
    strength = next((one.strength for one in chosen if one.strength is not None), None)
    return list(_applied(_named(base, changes, place), changes, strength, place))


def _named(base: Chain | None, changes: Mapping[str, Options], place: Place) -> dict[str, StageSpec | None]:
    """The stages by the names a setting may use: makeup, webtoon, webtoon-2 ..."""
    if base is None:
        return dict.fromkeys(sorted(changes, key=lambda name: registry.stage(_stage(name)).order))
    names = numbered(spec.name for spec in base.stages)
    named: dict[str, StageSpec | None] = dict(zip(names, base.stages, strict=True))
    for stage in changes:
        if stage not in named:
            raise place.error(f"{base.source} has no stage {stage!r}; {available(stage, named)}")
    return named


def _applied(
    named: Mapping[str, StageSpec | None], changes: Mapping[str, Options], strength: float | None, place: Place
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
        for group in registry.stage(stage).alternatives:
            if not values.keys().isdisjoint(group):
                kept = {option: value for option, value in kept.items() if option not in group}
        yield StageSpec.check(stage, {**kept, **values}, _inside(place, stage))
