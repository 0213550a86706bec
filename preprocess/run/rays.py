"""The engine `ray`: workers on the nodes of a Ray cluster, or of one that is started on this machine.

A worker that dies, or is lost with its node, is replaced wherever there is room. Ray itself restarts nothing and tries nothing
again: which tasks are done again, and how, is decided in one place for all engines (`work.py`).
"""

import os
import pickle
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import ModuleType
from typing import Any

import yaml

import params
import pipeline
import process
from params import Run
from preprocess.run import cluster, machine, node, sources
from preprocess.run.engine import LOGS, THREADS, Call, Crew, EngineError, WorkerDiedError
from preprocess.store.entries import Store

LOOK = 5.0  # seconds without a result after which the cluster is looked at
PATIENCE = 30.0  # seconds without any worker after which the user is told
FAILURES = 3  # workers in a row that die before they are ready: then no other would do better


@dataclass(frozen=True)
class Ray:
    """Workers in a Ray cluster, for a stage. `gpu` is the kind of GPU that they compute on; "" for none."""

    run: Run
    stage: str
    gpu: str = ""

    def workers(self) -> int:
        room = cluster.room(cluster.connect(self.run), self.run, bool(self.gpu))
        return self.run.workers or room

    @contextmanager
    def crew(self, call: Call) -> Iterator[Crew]:
        ray = cluster.connect(self.run)
        store = Store(self.run.store_folder / self.stage)
        with NamedTemporaryFile(dir=LOGS, prefix=f"{self.stage}.", suffix=".sign") as sign, store.workplace() as place:
            crew = _Crew(ray, self, call, order(self, call, sign.name, place), ray.remote(node.Worker))
            try:
                yield crew
            finally:
                crew.close()


def order(engine: Ray, call: Call, sign: str, place: str) -> node.Order:
    """What a worker is told: `sign` is a new file below the working folder, `place` a new folder in the store."""
    tree = yaml.safe_load(params.PATH.read_text(encoding="utf-8")) if params.PATH.is_file() else {}
    root, corpus = sources.ROOT, node.leaf(tree, "corpus.root")
    ffmpeg = node.leaf(tree, "decoder.ffmpeg") or "bundled"
    files = [sources.file_of(name) for name in sources.modules(call.module)]
    return node.Order(
        checkout=str(Path.cwd()),
        root=str(root),
        sign=str(Path(sign).relative_to(Path.cwd())),
        commit=node.commit_of(root),
        code=node.code_of(root, sorted(str(path.relative_to(root)) for path in files)),
        parameters={key: node.leaf(tree, key) for key in pipeline.keys_of(engine.stage)},
        folders={"the corpus": str(Path(corpus).absolute())} if corpus and Path(corpus).is_dir() else {},
        store=place,
        log=str(call.log),
        preload=list(call.preload),
        machine=pickle.dumps(machine.of_stage(call.module, engine.gpu, ffmpeg)),
        ffmpeg=ffmpeg,
        function=pickle.dumps(call.function),
    )


@dataclass(eq=False)
class _Member:
    """A worker of the crew."""

    actor: Any
    joining: Any  # reference to the answer of its `join`; None when it is ready
    node: str = ""  # id
    hands: dict[Any, Any] = field(default_factory=dict)  # the tasks that it has, by reference to the result


@dataclass(eq=False)
class _Crew:
    ray: ModuleType
    engine: Ray
    call: Call
    order: node.Order
    worker: Any  # node.Worker, as Ray starts it
    members: list[_Member] = field(default_factory=list)
    declined: dict[str, str] = field(default_factory=dict)  # by id of the node: why
    failures: int = 0
    idle_since: float = 0.0  # when the crew was seen to have no worker; 0: it has some, or that was said

    def results(self, waiting: deque[Any], interrupted: list[Any], alone: bool) -> Iterator[Any]:
        if alone:  # one that died idle would be found out by its next task, which would be blamed
            self.members = [member for member in self.members if self._lives(member)]
        try:
            while waiting or any(member.hands for member in self.members):
                self._hire(len(waiting))
                self._hand_out(waiting, 1 if alone else 2)
                for member, reference in self._answered():
                    if reference is member.joining:
                        self._welcome(member)
                    else:
                        yield from self._result(member, reference, waiting, interrupted)
        except self.ray.exceptions.RayError as error:
            self.close()
            raise EngineError(f"the Ray cluster failed ({_line(error)}); finished clips are kept, run again to go on") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers at once."""
        for member in self.members:
            self.ray.kill(member.actor)
        self.members.clear()

    def _hire(self, tasks: int) -> None:
        """Ask for workers, one for each task at most; they come when the cluster has room for them."""
        begun = sum(bool(member.joining) for member in self.members)
        for _ in range(min(self.call.count - len(self.members), tasks - begun)):
            actor = self._actor()
            self.members.append(_Member(actor, actor.join.remote(self.order)))

    def _actor(self) -> Any:
        run, root = self.engine.run, self.order.root
        variables = dict.fromkeys([*THREADS, process.WORKER], "1")
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        key, _, value = run.label.partition("=")
        selector = ({key: value} if key else {}) | (
            {"ray.io/node-id": f"!in({', '.join(self.declined)})"} if self.declined else {}
        )
        return self.worker.options(
            num_cpus=run.cpus,
            num_gpus=run.gpus if self.engine.gpu else 0,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            label_selector=selector,
            runtime_env={"env_vars": variables | {"PYTHONPATH": path}},
        ).remote()

    def _hand_out(self, waiting: deque[Any], depth: int) -> None:
        for held in range(depth):
            for member in self.members:
                if waiting and not member.joining and len(member.hands) == held:
                    task = waiting.popleft()
                    member.hands[member.actor.do.remote(task)] = task

    def _answered(self) -> list[tuple[_Member, Any]]:
        """A worker with something that it has finished; nothing after LOOK seconds without."""
        pending = {reference: member for member in self.members for reference in member.hands}
        pending |= {member.joining: member for member in self.members if member.joining}
        done, _ = self.ray.wait(list(pending), num_returns=1, timeout=LOOK)
        if not done:
            self._look()
        return [(pending[reference], reference) for reference in done]

    def _lives(self, member: _Member) -> bool:
        try:
            return bool(member.joining or self.ray.get(member.actor.lives.remote(), timeout=PATIENCE))
        except self.ray.exceptions.RayError:
            return False

    def _deaths(self) -> tuple[type[Exception], ...]:
        """What is raised for a task whose worker has died."""
        raised = self.ray.exceptions
        return raised.RayActorError, raised.OutOfMemoryError, raised.NodeDiedError, raised.WorkerCrashedError

    def _look(self) -> None:
        """Tell the user, once, where no node has room for any worker."""
        if not all(member.joining for member in self.members):
            self.idle_since = 0.0
        elif not self.idle_since:
            self.idle_since = time.monotonic()
        elif self.idle_since < time.monotonic() - PATIENCE:
            print(
                f"{self.engine.stage}: waiting for the Ray cluster to start a worker (`ray status` shows what it has room for)",
                file=sys.stderr,
            )
            self.idle_since = float("inf")

    def _welcome(self, member: _Member) -> None:
        """A worker is ready, declines, or did not live to say so."""
        try:
            member.node, wrong = self.ray.get(member.joining)
        except self.ray.exceptions.RayTaskError as error:
            raise EngineError(f"a worker in the Ray cluster cannot begin ({error.cause!r}), see {self.call.log}") from None
        except self.ray.exceptions.RayError as error:
            self.members.remove(member)
            self.failures += 1
            if self.failures >= FAILURES:
                raise WorkerDiedError(
                    f"{FAILURES} workers died before their first task ({_line(error)}), see {self.call.log}"
                ) from None
            return
        self.failures, member.joining = 0, None
        if wrong:
            self.ray.kill(member.actor)
            self.members.remove(member)
            self._decline(member.node, wrong)

    def _decline(self, node_id: str, wrong: list[str]) -> None:
        """Take no more workers on a node, and say why; EngineError where no node is left."""
        usable = cluster.nodes(self.ray, self.engine.run.label)
        name = next((item.name for item in usable if item.id == node_id), node_id)
        if node_id not in self.declined:
            self.declined[node_id] = f"the Ray node {name} {'; it '.join(wrong)}"
            print(f"{self.engine.stage}: {self.declined[node_id]}. It gets no clips", file=sys.stderr)
        if not {item.id for item in usable if item.room(self.engine.run, bool(self.engine.gpu))} - self.declined.keys():
            raise EngineError("no node of the Ray cluster can do this: " + "; ".join(self.declined.values()))
        for other in [other for other in self.members if other.joining]:  # they may wait for room on that node
            self.ray.kill(other.actor)
            self.members.remove(other)

    def _result(self, member: _Member, reference: Any, waiting: deque[Any], interrupted: list[Any]) -> Iterator[Any]:
        try:
            is_done, value = self.ray.get(reference)
        except self._deaths():
            self.members.remove(member)
            self.ray.kill(member.actor)  # it may only have been out of reach
            if member.node in {item.id for item in cluster.nodes(self.ray)}:
                interrupted.extend(member.hands.values())
            else:  # the whole node is gone: none of these tasks is to blame
                waiting.extendleft(reversed(member.hands.values()))
            return
        del member.hands[reference]
        if not is_done:
            raise value
        yield value


def _line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
