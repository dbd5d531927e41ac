"""The workers of a batch on many machines: Ray's actors in the place of processes.

Ray's own actors and not Ray Data: what is handed out are paths, nothing to read ahead; and Ray Data either gives up
at a photo that kills its worker or tries it for ever, where here it is tried once more, then alone, then named.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from ganchain.batch import memory
from ganchain.batch.pool import AHEAD, Answer, Lost
from ganchain.batch.worker import Outcome, Settings, Worker
from ganchain.chains import Chain
from ganchain.errors import GanchainError, text_of

log = logging.getLogger(__name__)

LOCAL = "local"
LOOK = 5.0  # seconds between looks for machines that joined
START = 300.0  # seconds that the first worker may take to come up


class Remote:
    """A worker on one of the cluster's machines; it takes that machine's share of memory."""

    def __init__(self, chain: Chain, settings: Settings, neighbours: int) -> None:
        self._worker = Worker(chain, replace(settings, memory=memory.share(neighbours)))

    def ready(self) -> bool:
        """True, once the pipeline is loaded."""
        return True

    def run(self, items: list[Any]) -> list[Outcome]:
        """What became of ``items``."""
        return self._worker(items)


@dataclass
class _Group:
    """Photos that are handed out together, and how often they were lost."""

    items: list[Any]
    losses: int = 0


@dataclass
class _Actor:
    """The driver's side of one actor."""

    handle: Any
    coming: Any  # the reference that is there once it is ready
    flying: deque[tuple[Any, _Group]] = field(default_factory=deque)  # answers to come, and for what
    since: float = 0.0
    late: bool = False


class Cluster:
    """Runs groups of items on a Ray cluster; to be used as ``Pool`` is.

    A group whose machine or worker was lost is handed out once more before it counts as lost. Machines that join while
    it runs get workers, too. All machines need ganchain, and the inputs and the output folder under the same paths.

    Args:
        address: of the cluster, "auto" for the one this machine belongs to, or "local" for this machine alone.
        threads: cores a worker takes.
        timeout: seconds that one item may take.
    """

    def __init__(
        self, chain: Chain, settings: Settings, *, address: str, threads: int, timeout: float, ahead: int = AHEAD
    ) -> None:
        self._ray = _ray()
        self._work, self.address, self.threads = (chain, settings), address, threads
        self.timeout, self.ahead = timeout, ahead
        self._actors: list[_Actor] = []
        self._again: deque[_Group] = deque()
        self._looked = self._worked = 0.0
        self._ours = False  # whether the session with Ray is ours to end

    def __enter__(self) -> Self:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        try:
            if not self._ray.is_initialized():
                self._ours = True
                self._ray.init(address=self.address, **(quiet if self.address == LOCAL else {"log_to_driver": False}))
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise GanchainError(f"no Ray cluster at {self.address!r}: {' '.join(str(error).split())[:200]}") from error
        self._hire()
        self._first()
        self._worked = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for actor in self._actors:
            try:
                self._ray.kill(actor.handle)
            except Exception:
                log.debug("an actor was gone already", exc_info=True)
        if self._ours:
            self._ray.shutdown()

    def _first(self) -> None:
        """Wait for a worker: what is wrong with the chain on that machine shows now."""
        done, _ = self._ray.wait([actor.coming for actor in self._actors], timeout=START)
        if not done:
            raise GanchainError(f"no worker came up on the Ray cluster within {START:g} s")
        try:
            self._ray.get(done[0])
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, GanchainError):
                raise cause from cause.__cause__
            raise GanchainError(f"the workers on the Ray cluster cannot start: {text_of(cause)}") from error

    def _hire(self) -> None:
        """As many actors as the machines that are there have room for."""
        self._looked = time.monotonic()
        machines = [node["Resources"].get("CPU", 0.0) for node in self._ray.nodes() if node["Alive"]]
        places = [int(cores // self.threads) for cores in machines]
        create = self._ray.remote(num_cpus=self.threads, max_restarts=0, max_task_retries=0)(Remote)
        for _ in range(len(self._actors), max(1, sum(places))):
            handle = create.remote(*self._work, max(places, default=1))
            self._actors.append(_Actor(handle, handle.ready.remote()))

    def _free(self) -> _Actor | None:
        able = [one for one in self._actors if one.coming is None and len(one.flying) < self.ahead and not one.late]
        return min(able, key=lambda one: len(one.flying), default=None)

    @property
    def busy(self) -> bool:
        return bool(self._again) or any(actor.flying for actor in self._actors)

    @property
    def room(self) -> bool:
        """Whether a worker can take one more group."""
        return not self._again and self._free() is not None

    def submit(self, items: Sequence[Any]) -> None:
        self._hand_out(_Group(list(items)))

    def _hand_out(self, group: _Group) -> None:
        actor = self._free()
        assert actor is not None, "no room"
        if not actor.flying:
            actor.since = time.monotonic()
        actor.flying.append((actor.handle.run.remote(group.items), group))

    def wait(self, seconds: float) -> list[Answer]:
        """The groups that ended within ``seconds``, as soon as there are any.

        Raises:
            GanchainError: all machines were lost and none came back within ``START`` seconds.
        """
        if time.monotonic() - self._looked > LOOK:
            self._hire()
        while self._again and self._free():
            self._hand_out(self._again.popleft())
        self._stop_late()
        waiting = [reference for actor in self._actors for reference, _ in actor.flying]
        waiting += [actor.coming for actor in self._actors if actor.coming is not None]
        if not waiting:
            if time.monotonic() - self._worked > START:
                raise GanchainError(f"no machine of the Ray cluster has taken work for {START:g} s")
            time.sleep(seconds)
            return []
        self._worked = time.monotonic()
        self._ray.wait(waiting, num_returns=1, timeout=seconds)
        done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)  # all that are there, not any one
        ended: list[Answer] = []
        for actor in list(self._actors):
            if actor.coming is not None:
                self._came(actor, done)
            while actor.flying and actor.flying[0][0] in done:
                try:
                    answer = self._ray.get(actor.flying[0][0])
                except self._ray.exceptions.RayError:
                    ended += self._lost(actor)
                    break
                ended.append((actor.flying.popleft()[1].items, answer))
                actor.since = time.monotonic()
        return ended

    def _came(self, actor: _Actor, done: Sequence[Any]) -> None:
        if actor.coming in done:
            try:
                self._ray.get(actor.coming)
                actor.coming = None
            except self._ray.exceptions.RayError:  # its machine went before it was ready
                self._actors.remove(actor)

    def _stop_late(self) -> None:
        for actor in self._actors:
            if actor.flying and time.monotonic() - actor.since > self.timeout * len(actor.flying[0][1].items):
                actor.late = True
                self._ray.kill(actor.handle)

    def _lost(self, actor: _Actor) -> list[Answer]:
        """What a lost worker had: for the first time it is done again, then it is given up."""
        self._actors.remove(actor)
        why = f"took longer than {self.timeout:g} s" if actor.late else "its worker on the cluster was lost twice"
        given_up: list[Answer] = []
        for number, (_, group) in enumerate(actor.flying):
            guilty = number == 0  # the others only waited behind it
            group.losses += guilty
            if group.losses > 1 or (guilty and actor.late):
                given_up.append((group.items, Lost(why)))
            else:
                self._again.append(group)
        return given_up


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # ganchain reports nothing to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return import_module("ray")
    except ImportError as error:
        raise GanchainError("many machines need Ray: pip install 'ganchain[ray]'") from error
