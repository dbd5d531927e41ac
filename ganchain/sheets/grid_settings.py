"""The settings that a grid varies, read from options or YAML and checked like a chain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ganchain.chains import Chain, StageSpec, numbered, registry
from ganchain.chains.document import Locate, Place, dotted
from ganchain.errors import ChainError, available
from ganchain.photos.folders import expand
from ganchain.sheets.people import caption, changed_options

Options = Mapping[str, Any]
LARGEST = 400  # cells a face


@dataclass(frozen=True)
class Setting:
    """A column or row of a grid: the changes it makes to the chain.

    Attributes:
        caption: the text above the column or beside the row.
        changes: stage -> option -> value.
        place: where the user asked for it, for messages.
        strength: a strength for the stages that the other settings change, or for the whole chain.
        picture: the reference photo that it uses.
    """

    caption: str = ""
    changes: Mapping[str, Options] = field(default_factory=dict)
    place: Place = field(default_factory=Place)
    strength: float | None = None
    picture: Path | None = None


def limited(axis: Iterable[Setting]) -> list[Setting]:
    """List the settings of an axis; each is checked as it is read, so that those beyond ``LARGEST`` never are.

    Raises:
        ChainError: there are too many.
    """
    read = list(islice(axis, LARGEST + 1))
    if len(read) > LARGEST:
        raise ChainError(f"more than {LARGEST} settings are too many to look at")
    return read


def settings(place: Place, key: str, values: Any, folder: Path = Path()) -> list[Setting]:
    """Read the settings that ``key`` and ``values`` ask for.

    Args:
        place: where the user asked for them.
        key: ``stage.option``, with one value or several: one setting each; or ``stage``, with a mapping of options
            or None: one setting.
        values: the values, or the mapping.
        folder: the folder in which relative paths start.

    Raises:
        ChainError: there is no such stage or option, or a value is wrong; with what is available.
    """
    stage, dot, option = key.partition(".")
    if dot:
        changes: list[dict[str, Any]] = [{option: value} for value in (values if _several(values) else [values])]
        if not changes:
            raise place.error(f"no values, as in {key}: [0.5, 1]")
        if len(changes) > LARGEST:
            raise place.error(f"{len(changes)} settings are too many to look at: {LARGEST} at most")
    elif values is None or isinstance(values, Mapping):
        changes = [dict(values or {})]
    else:
        raise place.error(f"{values!r}: which option of {stage}? As in {stage}.{_an_option(place, stage)}")
    read = []
    for change in changes:
        spec = StageSpec.check(_stage(stage), change, _inside(place, stage), folder)
        options = {name: spec.options[name] for name in change}
        # an option is clear without its stage: "hair black", "old"; the name of a variant is not: "makeup: evening"
        text = caption(spec.cls, "" if dot and option not in spec.cls.variants else stage, options)
        read.append(Setting(text, {stage: options}, place, picture=options.get(spec.cls.reference_option)))
    return read


def _inside(place: Place, stage: str) -> Locate:
    """Return a function that gives ``place`` for every option of a stage, with the option as key."""
    return lambda *path: replace(place, key=dotted(stage, *path)) if path else place


def _stage(name: str) -> str:
    """Drop the number that tells equal stages of a chain apart: webtoon-2 -> webtoon."""
    return name if name in registry.names() else re.sub(r"-\d+$", "", name)


def _several(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str)


def _an_option(place: Place, stage: str) -> str:
    try:
        return next(iter(registry.options(registry.stage(stage)).model_fields))
    except ChainError as error:
        raise place.add_to(error) from error.__cause__


def references(photos: Sequence[Path]) -> list[Setting]:
    """Make a setting of each reference photo (files or folders).

    Of the stages that take reference photos, the first in the usual order gets them: makeup.

    Raises:
        PhotoError: a folder holds no photos.
        ChainError: there is no stage that takes a reference photo.
    """
    if not photos:
        return []
    stage, option = _reference_option()
    return [
        Setting(path.name, {stage: {option: path.resolve()}}, Place(str(path)), picture=path) for path in expand(photos)
    ]


def _reference_option() -> tuple[str, str]:
    """Find the stage, and its option, to which a grid gives reference photos."""
    usable = ((name, cls) for name, cls in registry.stages().items() if not isinstance(cls, ChainError))
    takers = [(cls.order, name, cls.reference_option) for name, cls in usable if cls.reference_option]
    if not takers:
        raise ChainError("no stage takes a reference photo", key="references")
    _, stage, option = min(takers)
    return stage, option


def strengths(place: Place, values: Iterable[Any]) -> list[Setting]:
    """Make a setting of each strength, 0 to 1.

    Raises:
        ChainError: a value is no number, or out of this range.
    """
    read = []
    for value in islice(values, LARGEST + 1):
        try:
            strength = float(value)
        except (TypeError, ValueError):
            strength = -1
        if not 0 <= strength <= 1:
            raise place.error(f"{value!r}: a strength is a number from 0 to 1")
        read.append(Setting(f"strength {strength:g}", place=place, strength=strength))
    return read


def distinct(axis: Sequence[Setting]) -> list[Setting]:
    """Make the captions differ: settings of the same caption get a longer one, with stage and options."""
    count = Counter(setting.caption for setting in axis)
    return [
        replace(setting, caption=_full_caption(setting)) if count[setting.caption] > 1 and setting.changes else setting
        for setting in axis
    ]


def _full_caption(setting: Setting) -> str:
    if setting.picture:
        return str(setting.picture)
    stages = ((registry.stage(_stage(name)), name, values) for name, values in setting.changes.items())
    return ", ".join(caption(cls, name, values) for cls, name, values in stages)


def changed_stages(chain: Chain | None, *settings: Setting) -> list[StageSpec]:
    """Apply settings to a chain; without a chain, to the stages that they name, in the usual order.

    Raises:
        ChainError: the chain has no such stage, or the options do not go together.
    """
    places = list(dict.fromkeys(setting.place for setting in settings if setting.place.where))
    place = places[0] if len(places) == 1 else Place(", ".join(place.where for place in places))
    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        for stage, values in setting.changes.items():
            changes.setdefault(stage, {}).update(values)
    strength = next((setting.strength for setting in settings if setting.strength is not None), None)
    return list(_apply(_by_name(chain, changes, place), changes, strength, place))


def _by_name(chain: Chain | None, changes: Mapping[str, Options], place: Place) -> dict[str, StageSpec | None]:
    """List the stages by the names that settings use: makeup, webtoon, webtoon-2 ...; None for default options."""
    if chain is None:
        return dict.fromkeys(sorted(changes, key=lambda name: registry.stage(_stage(name)).order))
    names = numbered(spec.name for spec in chain.stages)
    stages: dict[str, StageSpec | None] = dict(zip(names, chain.stages, strict=True))
    for stage in changes:
        if stage not in stages:
            raise place.error(f"{chain.source} has no stage {stage!r}; {available(stage, stages)}")
    return stages


def _apply(
    stages: Mapping[str, StageSpec | None], changes: Mapping[str, Options], strength: float | None, place: Place
) -> Iterator[StageSpec]:
    for name, spec in stages.items():
        values = dict(changes.get(name, {}))
        if strength is not None and (name in changes or (not changes and spec and "strength" in spec.options)):
            values["strength"] = strength
        if spec is not None and not values:
            yield spec
            continue
        stage = spec.name if spec else _stage(name)
        chain_options = changed_options(spec) if spec else {}
        for group in registry.stage(stage).alternatives:
            if not values.keys().isdisjoint(group):
                chain_options = {option: value for option, value in chain_options.items() if option not in group}
        yield StageSpec.check(stage, {**chain_options, **values}, _inside(place, stage))
