"""The stage contract, which every stage and every plug-in fulfils."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor, nn

from ganchain.errors import ChainError, GanchainError
from ganchain.faces.parts import PARTS
from ganchain.faces.reading import READABLE, Kind, Reading, Seen
from ganchain.framing import TIGHT, Framing
from ganchain.tensors import Pixels, resize, with_light_of

References = Callable[[Path], Reading]
Effect = Literal["change", "replace", "enlarge"]
Scope = Literal["face", "photo"]


@dataclass(frozen=True)
class WholePhoto:
    """Settings for a stage that runs over whole photos and keeps their size (``scope = "photo"``).

    Attributes:
        side: None: at the photo's own size. A number: on a copy in which the largest face has the size that the stage
            was trained on; a photo without a face is reduced so that its longest side is at most ``side`` px.
        tiles: False for a network that must see the whole photo at once (it normalises over all of it).
    """

    side: int | None = None
    tiles: bool = True


class Stage(nn.Module):
    """One step of a chain: a batch of aligned faces in, the edited batch out.

    A subclass is a stage. The name of its file (or of its entry point) is its name in YAML, its docstring is what
    ``ganchain stages NAME`` prints, and its constructor's annotated keyword arguments are its options (pydantic types
    and bounds apply; for other wrong values it raises an ``OptionError``). Everything else happens outside: detection,
    alignment, batching, device, resizing, range checks, the way back into the photo.

    Attributes:
        side: the side in px that ``forward`` is called at; None for any multiple of ``multiple``, up to ``largest``.
        framing: where the face sits in that window (the framing of the training data).
        shown: the part of it that a face's picture shows (``write: faces``); None for all of it.
        effect: "change": what the stage changed (out - in) is added at the photo's own resolution;
            "replace": its pixels replace the window's; "enlarge": the picture grows ``scale`` times.
        scale: output side / input side; with "replace" finer pixels of the window, with "change" 1, with "enlarge" > 1.
        scope: "face": called with aligned faces; "photo": called with tiles of the whole photo.
        reads: what ``forward`` is given of each face beside its pixels: "points", or parts of the head ("hair",
            "beard", "skin", "rest", "glasses", "cover"), each as a keyword argument of that name.
        finest: px: the side at which these parts are given where the window is larger; None for the window's own.
        keeps: parts of the head that stay as they are in the photo: ("cover",) for what is before the face.
        holds: True for a stage that is given ``hold``: of each face, or of a whole frame, a ``reading.Hold`` or None.
        any_size: True for a stage that draws as sharply on a large canvas: an enlargement after it runs before it.
        whole_photo: settings of scope "photo".
        needs_face: False for a stage of scope "face" without which a chain still has a point: the other stages then run
            on a photo without faces, too, which otherwise stays as it is.
        strength: 0: the stage is skipped and changes nothing.
        colours: the options that were given a colour by name. Only a stage that has one may colour a grey photo.
        weights: keys of the manifest (or paths) this stage runs on, for ``--dry-run`` and licence checks.
        networks: names of published networks that do this work, for users who look for the paper's name.
        architectures: for each option that takes weights, the architectures (``ganchain.checkpoints``) that it takes.
        order: its rank among the stages of a grid that names no chain, the lowest first.
        alternatives: groups of options of which only one can be given; a grid's takes the place of the chain's.
        plain, variants: options whose values need no name in captions ("old", not "age old"), and those that are named
            after the stage ("makeup: rose", not "look rose").
        reference_option: the option that takes a reference photo, which a grid shows above its column; "" for none.
        name, where: what the stage is called in YAML, and file and line in the chain, for messages.
        delegate: the stage of a published network that is run instead of this one, where its weights were asked for.
    """

    side: int | None = 256
    multiple: int = 1
    largest: int = 1 << 20
    framing: Framing = TIGHT
    shown: Framing | None = None
    effect: Effect = "change"
    scale: int = 1
    scope: Scope = "face"
    reads: tuple[str, ...] = ()
    finest: int | None = None
    keeps: tuple[str, ...] = ()
    holds: bool = False
    any_size: bool = False
    whole_photo: WholePhoto = WholePhoto()
    needs_face: bool = True
    strength: float = 1.0
    colours: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    networks: ClassVar[tuple[str, ...]] = ()
    architectures: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    order: ClassVar[int] = 50
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = ()
    plain: ClassVar[tuple[str, ...]] = ()
    variants: ClassVar[tuple[str, ...]] = ()
    reference_option: ClassVar[str] = ""
    name: str = ""
    where: str = ""
    delegate: Stage | None

    def __init__(self) -> None:
        super().__init__()
        claim_process()
        self.delegate = None

    @classmethod
    def choices(cls, weights: str | None = None) -> Mapping[str, Sequence[Any]]:
        """List the values of options that the weights decide on, by option, for forms.

        Args:
            weights: the value of the option ``weights``; None for the bundled ones.
        """
        return {}

    def prepare(self, references: References) -> None:
        """Read reference pictures; called once before the first photo, on the final device.

        Args:
            references: ``references(path)`` finds the best face of a picture: ``face.cut(framing, side)`` is that face
                as stages see it, (1, 3, side, side) float32 -1..1, and ``face.within(framing, picture, names)`` what is
                read of it. It raises PhotoError or FaceError.
        """

    def examine(self, pixels: Pixels, quality: int | None = None) -> Mapping[str, float]:
        """Decide by a picture what ``forward`` shall do with it.

        Called once for each face, or for each whole photo before its tiles. ``forward`` is given each number as a
        keyword argument, (N,) float32; results name them.

        Args:
            pixels: (H, W, 3) uint8, the stage's window of the face or the whole photo.
            quality: of the JPEG file that a whole photo was read from, 1..100; None if there was none.
        """
        return {}

    def forward(self, faces: Tensor, *_: Any, **read: Any) -> Tensor:
        """Edit ``faces``: (N, 3, S, S) float32 RGB -1..1 -> (N, 3, S * scale, S * scale) in the same range.

        With ``scope = "photo"`` the batch holds (N, 3, H, W) tiles instead.

        Args:
            read: what ``examine`` decided, and what ``reads`` names, read from the photo as it was before any edit:
                ``points`` (N, 478, 2), x and y of each point of ``ganchain.faces.mesh``, -1 and 1 at the window's
                edges, beyond them outside; each part (N, 1, S, S) 0..1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(faces)")

    def forward_photo(self, photo: Pixels, faces: Sequence[Seen], *_: Any, **hold: Any) -> Pixels:
        """Edit a whole photo (H, W, 3) uint8 with what is read of its faces.

        For ``scope = "photo"`` with ``reads``. Photos without faces are run in tiles, but a stage that ``holds`` is
        given all frames of a video. The answer may have a fourth channel, alpha, for the photo's.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward_photo(photo, faces)")

    def svg_of(self, photo: Pixels, faces: Sequence[Seen]) -> Callable[[str], str] | None:
        """Return what writes the answer of ``forward_photo`` as SVG, given metadata; None where it is no drawing."""
        return None

    def forward_grey(self, faces: Tensor, *_: Any, **read: Any) -> Tensor:
        """Edit the faces of a grey photo: shapes and range as in ``forward``.

        By default a stage that was asked for colours does what it always does, and any other one changes the light
        alone. Where an earlier stage was asked for colours, ``faces`` have them.
        """
        answer = self(faces, **read)
        if self.colours:
            return answer
        size = (faces.shape[2] * self.scale, faces.shape[3] * self.scale)
        return with_light_of(resize(faces, size).clamp(-1, 1), answer.float().clamp(-1, 1))

    @property
    def needs(self) -> tuple[Kind, ...]:
        """Kinds to be read of each face for ``reads`` and ``keeps``."""
        parts = self.keeps or set(self.reads) - {"points"}
        return ("points",) * ("points" in self.reads) + ("parts",) * bool(parts)  # type: ignore[return-value]

    @property
    def all_weights(self) -> tuple[str, ...]:
        """The weights that this stage runs on, and those that read what it asks for."""
        return self.weights + tuple(kind for kind in self.needs if kind != "busts")  # parts read busts, too

    @property
    def idle(self) -> bool:
        """True if the stage leaves every photo as it is, and need not run."""
        return self.strength == 0 and self.effect != "enlarge"

    def resolved(self) -> Stage:
        """Return the stage to run: the delegate under this stage's name, place and weights, or this stage itself."""
        if self.delegate is None:
            return self
        for field in ("name", "where", "weights"):
            setattr(self.delegate, field, getattr(self, field))
        return self.delegate

    def check(self) -> None:
        """Refuse attributes that make no sense, alone or together.

        Raises:
            ChainError: names the stage, the attribute and the cure.
        """
        for reason in _contradictions(self):
            raise ChainError(reason, where=self.where, stage=self.name)


_processes: list[int] = []  # the id of the process that made stages, or, in a fork, of the one it was copied from


def claim_process() -> None:
    """Note that networks are loaded in this process.

    Raises:
        GanchainError: they were loaded in the process that this one was forked from. The threads of torch and of the
            engines do not survive that: the first large sum would wait for them for ever.
    """
    if not _processes:
        _processes.append(os.getpid())
    if os.getpid() not in _processes:
        raise GanchainError(
            "this process was forked from one that had loaded networks, whose threads a fork does not have; use spawn, "
            "as in multiprocessing.get_context('spawn').Pool(), and make the pipeline in the new process"
        )


def _contradictions(stage: Stage) -> Iterator[str]:
    """Yield what is wrong with the attributes of a stage, in the words of the error."""
    for name, kinds in (("effect", get_args(Effect)), ("scope", get_args(Scope))):
        if getattr(stage, name) not in kinds:
            yield f"its {name} is {getattr(stage, name)!r}; it must be one of {', '.join(map(repr, kinds))}"
    if not isinstance(stage.scale, int) or stage.scale < 1:
        yield f"its scale is {stage.scale!r}; it must be a whole number, at least 1"
    elif stage.effect == "change" and stage.scale != 1:
        yield (
            f"effect 'change' and scale {stage.scale} do not go together: a change is added to the same pixels; "
            "set effect = 'replace' (finer pixels of the same window) or 'enlarge' (a larger picture)"
        )
    elif stage.effect == "enlarge" and stage.scale == 1:
        yield "effect 'enlarge' and scale 1 do not go together: set scale to 2 or more, or another effect"
    if not isinstance(stage.multiple, int) or stage.multiple < 1:
        yield f"its multiple is {stage.multiple!r}; it must be a whole number, at least 1"
    elif stage.side is not None and (stage.side < 1 or stage.side % stage.multiple):
        yield f"its side, {stage.side} px, is no multiple of {stage.multiple} px, its multiple"
    blind = stage.scope == "photo" and type(stage).forward_photo is Stage.forward_photo  # it sees no faces
    for name, readable in (("reads", READABLE), ("keeps", PARTS)):
        unknown = [word for word in getattr(stage, name) if word not in readable]
        if isinstance(getattr(stage, name), str) or unknown:
            yield f"its {name} are {getattr(stage, name)!r}; they must be a tuple of {', '.join(map(repr, readable))}"
        elif getattr(stage, name) and (blind or stage.effect == "enlarge"):
            yield f"{name} is for stages that edit faces: scope 'face', and effect 'change' or 'replace'"
    if not isinstance(stage.framing, Framing):
        yield f"its framing is {stage.framing!r}; it must be a ganchain.framing.Framing"
    if not isinstance(stage.strength, int | float) or not 0 <= stage.strength <= 1:
        yield f"its strength is {stage.strength!r}; it must be a number from 0 to 1"
    if type(stage).forward is Stage.forward and stage.delegate is None:
        yield f"the class {type(stage).__name__} defines no forward(faces)"
