"""Workers of a batch on many machines: Ray's actors in place of processes.

Ray Data would not serve. It reads ahead, but workers only get paths; and at a photo that kills its worker it either
gives up or tries for ever. Here such a photo is tried once more, then alone, then reported as failed.
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
from ganchain.batch.pool import AHEAD, Answer
from ganchain.batch.process import Lost
from ganchain.batch.settings import Settings
from ganchain.batch.worker import Outcome, Worker
from ganchain.chains import Chain
from ganchain.errors import GanchainError, text_of

log = logging.getLogger(__name__)

LOCAL = "local"
SCAN_INTERVAL = 5.0  # seconds between scans for machines that joined
START_TIMEOUT = 300.0  # seconds that the first worker may take to start


class Remote:
    """A worker on one of the cluster's machines, with its share of that machine's memory.

    Args:
        neighbours: workers that share the machine, this one included.
    """

    def __init__(self, chain: Chain, settings: Settings, neighbours: int) -> None:
        self._worker = Worker(chain, replace(settings, memory=memory.share(neighbours)))

    def ready(self) -> bool:
        """Return True; the answer comes once the pipeline is loaded."""
        return True

    def run(self, items: list[Any]) -> list[Outcome]:
        """Do ``items`` and return their outcomes, in their order."""
        return self._worker(items)


@dataclass
class _Group:
    """Photos that a worker gets together, and how often their worker was lost."""

    items: list[Any]
    losses: int = 0


@dataclass
class _Actor:
    """The driver's side of one actor.

    Attributes:
        starting: Ray's reference that is done once the actor is ready; None from then on.
        in_flight: references to the answers to come, with their groups, the oldest first.
        busy_since: when it began the oldest of them, by ``time.monotonic``.
        timed_out: it was killed, since a group took too long.
    """

    handle: Any
    starting: Any
    in_flight: deque[tuple[Any, _Group]] = field(default_factory=deque)
    busy_since: float = 0.0
    timed_out: bool = False


class Cluster:
    """Runs groups of items on a Ray cluster; used like ``Pool``.

    A group of a lost machine or worker is given to another worker once before it counts as lost. Machines that join
    meanwhile get workers, too. All machines need ganchain, and the inputs and the output folder under the same paths.

    Args:
        address: the cluster's; "auto" for the one this machine belongs to, "local" for this machine alone.
        threads: cores a worker takes.
        timeout: seconds that one item may take.
        ahead: groups that a worker may have at once.
    """

    def __init__(
        self, chain: Chain, settings: Settings, *, address: str, threads: int, timeout: float, ahead: int = AHEAD
    ) -> None:
        self._ray = _ray()
        self._actor_args, self.address, self.threads = (chain, settings), address, threads
        self.timeout, self.ahead = timeout, ahead
        self._actors: list[_Actor] = []
        self._retries: deque[_Group] = deque()
        self._scanned_at = self._worked_at = 0.0
        self._owns_session = False  # then it also has to end the session with Ray

    def __enter__(self) -> Self:
        """Connect to the cluster and start workers; raises a GanchainError where that fails."""
        local_options = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        try:
            if not self._ray.is_initialized():
                self._owns_session = True
                options = local_options if self.address == LOCAL else {"log_to_driver": False}
                self._ray.init(address=self.address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise GanchainError(f"no Ray cluster at {self.address!r}: {' '.join(str(error).split())[:200]}") from error
        self._start_actors()
        self._wait_for_first()
        self._worked_at = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Kill the workers, and end the session with Ray if it was begun here."""
        for actor in self._actors:
            try:
                self._ray.kill(actor.handle)
            except Exception:
                log.debug("an actor was gone already", exc_info=True)
        if self._owns_session:
            self._ray.shutdown()

    def _wait_for_first(self) -> None:
        """Wait for one worker, so that an error of the chain on that machine is raised at once.

        Raises:
            GanchainError: no worker started, or the first one failed.
        """
        done, _ = self._ray.wait([actor.starting for actor in self._actors], timeout=START_TIMEOUT)
        if not done:
            raise GanchainError(f"no worker came up on the Ray cluster within {START_TIMEOUT:g} s")
        try:
            self._ray.get(done[0])
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, GanchainError):
                raise cause from cause.__cause__
            raise GanchainError(f"the workers on the Ray cluster cannot start: {text_of(cause)}") from error

    def _start_actors(self) -> None:
        """Start as many actors as the cluster's machines have cores for, less those that run already."""
        self._scanned_at = time.monotonic()
        machine_cores = [node["Resources"].get("CPU", 0.0) for node in self._ray.nodes() if node["Alive"]]
        slots = [int(cores // self.threads) for cores in machine_cores]
        create = self._ray.remote(num_cpus=self.threads, max_restarts=0, max_task_retries=0)(Remote)
        for _ in range(len(self._actors), max(1, sum(slots))):
            handle = create.remote(*self._actor_args, max(slots, default=1))
            self._actors.append(_Actor(handle, handle.ready.remote()))

    def _free_actor(self) -> _Actor | None:
        """Find the actor with the fewest groups that can take one more; None when there is none."""
        ready = [actor for actor in self._actors if actor.starting is None and not actor.timed_out]
        free = [actor for actor in ready if len(actor.in_flight) < self.ahead]
        return min(free, key=lambda actor: len(actor.in_flight), default=None)

    @property
    def busy(self) -> bool:
        """True while a group is not answered."""
        return bool(self._retries) or any(actor.in_flight for actor in self._actors)

    @property
    def room(self) -> bool:
        """True if a worker can take one more group."""
        return not self._retries and self._free_actor() is not None

    def submit(self, items: Sequence[Any]) -> None:
        """Send a group to a free worker; there must be one (``room``)."""
        self._dispatch(_Group(list(items)))

    def _dispatch(self, group: _Group) -> None:
        actor = self._free_actor()
        assert actor is not None, "no room"
        if not actor.in_flight:
            actor.busy_since = time.monotonic()
        actor.in_flight.append((actor.handle.run.remote(group.items), group))

    def wait(self, seconds: float) -> list[Answer]:
        """Wait for answers, at most ``seconds``, and return those that are there.

        Raises:
            GanchainError: all machines were lost and none came back within ``START_TIMEOUT`` seconds.
        """
        if time.monotonic() - self._scanned_at > SCAN_INTERVAL:
            self._start_actors()
        while self._retries and self._free_actor():
            self._dispatch(self._retries.popleft())
        waiting = [reference for actor in self._actors for reference, _ in actor.in_flight]
        waiting += [actor.starting for actor in self._actors if actor.starting is not None]
        if not waiting:
            if time.monotonic() - self._worked_at > START_TIMEOUT:
                raise GanchainError(f"no machine of the Ray cluster has taken work for {START_TIMEOUT:g} s")
            time.sleep(seconds)
            return []
        self._worked_at = time.monotonic()
        self._ray.wait(waiting, num_returns=1, timeout=seconds)
        done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)  # all that are done, not only the first
        answers: list[Answer] = []
        for actor in list(self._actors):
            if actor.starting is not None:
                self._check_started(actor, done)
            while actor.in_flight and actor.in_flight[0][0] in done:
                try:
                    outcomes = self._ray.get(actor.in_flight[0][0])
                except self._ray.exceptions.RayError:
                    answers += self._reap(actor)
                    break
                answers.append(Answer(actor.in_flight.popleft()[1].items, outcomes))
                actor.busy_since = time.monotonic()
        self._kill_timed_out()  # now, since the caller may have been away for long
        return answers

    def _check_started(self, actor: _Actor, done: Sequence[Any]) -> None:
        """Note that an actor is ready, or drop one whose machine was lost while it started."""
        if actor.starting in done:
            try:
                self._ray.get(actor.starting)
                actor.starting = None
            except self._ray.exceptions.RayError:  # its machine was lost before it was ready
                self._actors.remove(actor)

    def _kill_timed_out(self) -> None:
        """Kill the actors whose group takes too long."""
        for actor in self._actors:
            if not actor.in_flight:
                continue
            _, oldest = actor.in_flight[0]
            if time.monotonic() - actor.busy_since > self.timeout * len(oldest.items):
                actor.timed_out = True
                self._ray.kill(actor.handle)

    def _reap(self, actor: _Actor) -> list[Answer]:
        """Queue the groups of a lost worker once more; give up a group that was lost twice or took too long."""
        self._actors.remove(actor)
        reason = (
            f"took longer than {self.timeout:g} s" if actor.timed_out else "its worker on the cluster was lost twice"
        )
        given_up: list[Answer] = []
        for number, (_, group) in enumerate(actor.in_flight):
            was_running = number == 0  # the other groups only waited behind it
            group.losses += was_running
            if group.losses > 1 or (was_running and actor.timed_out):
                given_up.append(Answer(group.items, Lost(reason)))
            else:
                self._retries.append(group)
        return given_up


def _ray() -> Any:
    """Import Ray, told to report nothing to anybody."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return import_module("ray")
    except ImportError as error:
        raise GanchainError("many machines need Ray: pip install 'ganchain[ray]'") from error
