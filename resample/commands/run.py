"""`resample run`: transcripts -> rollouts -> verdicts -> summary."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resample.commands import Invocation
from resample.types import Exit, UserError

if TYPE_CHECKING:
    from resample.config import RunConfig
    from resample.engine import Progress
    from resample.plan import Plan
    from resample.store import Store


def perform(config: Any, invocation: Invocation) -> int:
    """Run, or go on with, one run. Returns the exit code."""
    from omegaconf import OmegaConf

    from resample.build import make_plan
    from resample.config import RunConfig, check_run
    from resample.plan import accept
    from resample.store import Store

    settings = OmegaConf.to_object(config)
    assert isinstance(settings, RunConfig)
    check_run(settings)
    plan = make_plan(settings)
    directory = _directory(settings, invocation)
    new = not directory.exists()
    store = Store.open(directory)
    refused = False
    try:
        accept(plan, store, invocation.overrides)
        _write_config(directory, config, invocation)
        return _Run(store, plan).perform()
    except UserError:
        refused = new and store.is_empty
        raise
    finally:
        store.close()
        if refused:
            shutil.rmtree(directory)  # nothing was done: leave nothing behind


def _directory(config: RunConfig, invocation: Invocation) -> Path:
    """Where the run lives. In a sweep, a folder named by what is swept, so that the same sweep resumes."""
    if invocation.sweep is None:
        return Path(config.out or f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    if config.out is not None:
        raise UserError("out is not allowed in a sweep, whose jobs need a folder each: use hydra.sweep.dir=DIR")
    return Path(invocation.sweep, _folder_name(invocation.swept))


def _folder_name(swept: list[str]) -> str:
    import hashlib
    import re

    text = ",".join(sorted(swept)) or "job"
    name = re.sub(r"[^\w.,=+-]+", "-", text)
    return name if len(name) <= 150 else f"{name[:130]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _write_config(directory: Path, config: Any, invocation: Invocation) -> None:
    """Hydra's record of how the run was called. Interpolations stay unresolved: no secret of the environment."""
    from omegaconf import OmegaConf

    folder = directory / ".hydra"
    folder.mkdir(mode=0o700, exist_ok=True)
    _write(folder / "config.yaml", OmegaConf.to_yaml(config))
    _write(folder / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(invocation.overrides)))


def _write(path: Path, text: str) -> None:
    from resample.report.files import write_private

    write_private(path, text)


class _Run:
    """One run in one directory."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self._store = store
        self._plan = plan
        self._signal: int | None = None

    def perform(self) -> int:
        """Work, and write what came of it."""
        from resample.report.files import write_report

        began = time.time()
        earlier = self._store.get("seconds") or 0.0
        if self._store.get("started") is None:
            self._store.put("started", datetime.now(UTC).isoformat(timespec="seconds"))
        self._store.put("ending", "")
        try:
            self._store.put("ending", asyncio.run(self._work()))
        finally:
            self._store.put("seconds", round(earlier + time.time() - began, 3))
            summary = write_report(self._store)
        self._show(summary)
        return self._exit_code(summary)

    async def _work(self) -> str:
        from resample.build import open_engine

        with _progress_bar(self._plan.config.progress) as progress:
            async with open_engine(self._plan, self._store, progress) as engine:
                task = asyncio.create_task(engine.run())
                with self._stop_on_signal(task):
                    try:
                        return str(await task)
                    except asyncio.CancelledError:
                        return "interrupted"

    @contextmanager
    def _stop_on_signal(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM ends the work cleanly; a second one is not held back."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)

        def stop(number: int) -> None:
            self._signal = number
            sys.stderr.write("\nstopping: what is finished is kept, the same command goes on\n")
            task.cancel()
            for each in signals:
                loop.remove_signal_handler(each)

        for each in signals:
            loop.add_signal_handler(each, stop, each)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    def _show(self, summary: dict[str, Any]) -> None:
        from resample.report.markdown import headline

        sys.stdout.write(headline(summary) + f"\n\nreport: {self._store.directory / 'report.md'}\n")
        sys.stdout.flush()

    def _exit_code(self, summary: dict[str, Any]) -> int:
        if self._signal is not None:
            return Exit.INTERRUPTED if self._signal == signal.SIGINT else Exit.TERMINATED
        problem = incomplete(summary, self._plan.config.max_failures)
        if problem:
            sys.stderr.write(f"resample run: {problem}\n")
            return Exit.INCOMPLETE
        return Exit.DONE


def incomplete(summary: dict[str, Any], max_failures: float) -> str:
    """Why a run's numbers must not be taken for a finished run's; an empty text if they may."""
    counts = summary["counts"]
    rollouts, verdicts = counts["rollouts"], counts["verdicts"]
    failed = sum(rollouts["failed"].values()) + sum(verdicts["failed"].values())
    finished = failed + verdicts["completed"]
    if finished and failed > max_failures * finished:
        return (
            f"{failed} of {finished} finished rollouts failed (max_failures={max_failures:g}): the run is not valid;"
            " retry=failed runs them again"
        )
    if not summary["run"]["complete"]:
        ending = summary["run"]["ending"]
        return (
            f"{verdicts['pending']} of {rollouts['planned']} rollouts are not done ({ending}); the same command goes on"
        )
    return ""


@contextmanager
def _progress_bar(wanted: bool) -> Iterator[Progress]:
    """A bar on a terminal, silence elsewhere."""
    from tqdm import tqdm

    from resample.engine import Progress

    shown = wanted and sys.stderr.isatty() and "NO_PROGRESS" not in os.environ
    with tqdm(unit="turn", disable=not shown, dynamic_ncols=True, file=sys.stderr) as bar:

        def changed(progress: Progress) -> None:
            bar.total = progress.planned
            bar.n = progress.finished
            bar.set_postfix_str(progress.text, refresh=False)
            bar.update(0)

        yield Progress(changed=changed)
