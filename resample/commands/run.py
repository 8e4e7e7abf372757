"""`resample run`: transcripts -> rollouts -> verdicts -> summary."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resample.commands import Invocation, progress_bar, run_loop, say, warn
from resample.commands.dry_run import dry_run
from resample.commands.interruption import Interruption
from resample.commands.preview import show
from resample.types import Exit, StoreFailed, UserError

if TYPE_CHECKING:
    from resample.config import RunConfig
    from resample.engine import Progress
    from resample.plan import Plan
    from resample.store import Store


def perform(config: Any, invocation: Invocation) -> int:
    """Run, or go on with, one run. Returns the exit code."""
    from omegaconf import OmegaConf

    from resample.build import make_plan
    from resample.config import RunConfig
    from resample.config_checks import check_no_environment, check_run

    check_no_environment(config)
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, RunConfig)
    check_run(settings)
    if settings.scrub.preview:
        return show(settings.transcripts, settings.scrub, settings.progress)
    plan = make_plan(settings)
    if settings.dry_run:
        return dry_run(plan)
    with Interruption() as interruption:
        return _in_directory(plan, config, invocation, interruption)


def _in_directory(plan: Plan, config: Any, invocation: Invocation, interruption: Interruption) -> int:
    from resample.plan import accept
    from resample.store import Store

    directory, new = _directory(plan.config, invocation)
    store = None
    refused = False
    try:
        store = Store.open(directory)
        accept(plan, store, invocation.overrides)
        _warn_of_expired(store)
        _write_config(directory, config, invocation)
        return _Run(store, plan, interruption).perform()
    except UserError:
        refused = new and (store is None or store.is_empty)
        raise
    finally:
        if store is not None:
            store.close()
        if refused:
            shutil.rmtree(directory, ignore_errors=True)  # nothing was done: leave nothing behind


def _warn_of_expired(store: Store) -> None:
    from resample.purge import expired

    if names := expired(store, datetime.now(UTC)):
        warn(
            f"resample run: {len(names)} transcripts are past their metadata.retain_until, the first is {names[0]!r};"
            f" resample purge run={store.directory} expired=true removes them"
        )


def _directory(config: RunConfig, invocation: Invocation) -> tuple[Path, bool]:
    """Where the run lives, and whether it is new there.

    In a sweep it is a folder named by what is swept, so that the same sweep resumes.
    """
    if invocation.sweep is not None:
        if config.out is not None:
            raise UserError("out is not allowed in a sweep, whose jobs need a folder each: use hydra.sweep.dir=DIR")
        directory = Path(invocation.sweep, _folder_name(invocation.swept))
    elif config.out is not None:
        directory = Path(config.out)
    else:
        return _new_directory(Path(f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}")), True
    return directory, not directory.exists()


def _new_directory(path: Path) -> Path:
    """A directory that nobody has: `path`, or if another run took it in this very second, one beside it."""
    for number in itertools.count(2):
        try:
            path.mkdir(parents=True, mode=0o700)
            return path
        except FileExistsError:
            path = path.with_name(f"{path.name.partition('-run')[0]}-run{number}")
        except OSError as error:
            raise UserError(f"{path}: cannot be made: {error.strerror}") from None
    raise AssertionError("unreachable")


def _folder_name(swept: list[str]) -> str:
    import hashlib
    import re

    text = ",".join(sorted(word.lstrip("+") for word in swept)) or "job"
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

    def __init__(self, store: Store, plan: Plan, interruption: Interruption) -> None:
        self._store = store
        self._plan = plan
        self._interruption = interruption
        self._began = time.time()
        self._why = ""

    def perform(self) -> int:
        """Work, and write what came of it."""
        from resample.report.markdown import headline

        if self._store.get("started") is None:
            self._store.put("started", datetime.now(UTC).isoformat(timespec="seconds"))
        self._store.put("ending", "")
        try:
            ending = run_loop(self._work())
        except (UserError, StoreFailed) as error:
            with suppress(StoreFailed):
                self._finish(str(error))
            raise
        summary = self._finish(ending)
        say(f"{headline(summary)}\n\nreport: {self._store.directory / 'report.md'}")
        if self._interruption.code is not None:
            return self._interruption.code
        if problem := incomplete(summary):
            warn(f"resample run: {problem}{self._why and f'. {self._why}'}")
            return Exit.INCOMPLETE
        return Exit.DONE

    async def _work(self) -> str:
        task = asyncio.create_task(self._engine())
        with self._interruption.cancels(task):
            try:
                return await task
            except asyncio.CancelledError:
                return "interrupted"

    async def _engine(self) -> str:
        from resample.build import open_engine
        from resample.engine import Ending

        with _progress_bar(self._plan.config.progress) as progress:
            async with open_engine(self._plan, self._store, progress) as (engine, measure):
                ending = await engine.run()
                self._why = engine.why
                if ending is Ending.FINISHED:
                    await measure()
                return str(ending)

    def _finish(self, ending: str) -> dict[str, Any]:
        from resample.report.files import write_report

        earlier = self._store.get("seconds") or 0.0
        self._store.put("ending", ending)
        self._store.put("seconds", round(earlier + time.time() - self._began, 3))
        return write_report(self._store)


def incomplete(summary: dict[str, Any]) -> str:
    """Why a run's numbers must not be taken for a finished, valid run's; an empty text if they may."""
    run = summary["run"]
    if run["invalid"]:
        return f"{run['invalid']}: the run is not valid; retry=failed runs again what failed"
    if not run["complete"]:
        pending, planned = summary["counts"]["verdicts"]["pending"], summary["counts"]["rollouts"]["planned"]
        more = ", with a larger budget," if run["ending"].startswith("budget") else ""
        return f"{pending} of {planned} rollouts are not done ({run['ending']}); the same command{more} goes on"
    return ""


@contextmanager
def _progress_bar(wanted: bool) -> Iterator[Progress]:
    from resample.engine import Progress

    with progress_bar(wanted, unit="turn") as bar:

        def changed(progress: Progress) -> None:
            bar.total = progress.planned
            bar.n = progress.finished
            bar.set_postfix_str(progress.text, refresh=False)
            bar.update(0)

        yield Progress(changed=changed)
