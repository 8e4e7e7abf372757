"""`resample import`: foreign logs -> canonical JSONL, and one table that says what became of everything."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resample.commands import Invocation, progress_bar, say, warn
from resample.commands.preview import show
from resample.formats.seen import Seen
from resample.types import Exit, UserError

if TYPE_CHECKING:
    from resample.config import ImportConfig
    from resample.formats import Excluded, Located, Skipped
    from resample.types import Transcript

_TEXT_WIDTH = 90
_KEEP = "\N{NO-BREAK SPACE}"


def perform(config: Any, invocation: Invocation) -> int:
    """Import. Returns the exit code."""
    from omegaconf import OmegaConf

    from resample.config import ImportConfig
    from resample.config_checks import check_import

    settings = OmegaConf.to_object(config)
    assert isinstance(settings, ImportConfig)
    check_import(settings)
    if settings.scrub.preview:
        return show(settings.transcripts, settings.scrub, settings.progress)
    _check_out(settings)
    tally = Tally()
    bodies = _bodies(settings, tally)
    if settings.out is None:
        for _ in bodies:
            pass
    else:
        _write(Path(settings.out), bodies, tally)
    say(f"{tally.table()}\n\n" + (f"written: {settings.out}" if settings.out else "nothing written: give out=FILE"))
    return Exit.DONE


def _check_out(config: ImportConfig) -> None:
    """Nothing that may be somebody's only copy is replaced unasked, and no log by its own import."""
    if config.out is None or not (Path(config.out).exists() or Path(config.out).is_symlink()):
        return
    if Path(config.out).is_symlink() or not Path(config.out).is_file():
        raise UserError(f"out={config.out}: is there already, and is no plain file")
    given = config.transcripts.path
    if given is not None and Path(given).expanduser().exists() and Path(given).expanduser().samefile(config.out):
        raise UserError(f"out={config.out}: is what is read; write to another file")
    if not config.overwrite:
        raise UserError(f"out={config.out}: is there already; overwrite=true replaces it")


def _write(out: Path, bodies: Iterator[bytes], tally: Tally) -> None:
    from resample.formats import canonical

    # The first one is looked for beforehand: a collection without any leaves no empty file behind.
    first = list(islice(bodies, 1))
    if not first:
        raise UserError(tally.nothing_usable())

    def everything() -> Iterator[bytes]:
        yield from first
        yield from bodies

    canonical.write_bodies(out, everything())


def _bodies(config: ImportConfig, tally: Tally) -> Iterator[bytes]:
    from resample.build import adjustment
    from resample.formats import Excluded, Located, read
    from resample.paths import transcripts_at

    wanted = config.transcripts
    items = read(
        transcripts_at(wanted.path),
        wanted.format,
        strict=wanted.strict,
        skip=Path(config.out) if config.out else None,
        adjust=adjustment(wanted, config.scrub),
    )
    with progress_bar(config.progress, unit="conversation") as bar:
        for item in items:
            tally.count(item)
            if isinstance(item, Excluded):
                warn(str(item.error()))
            if isinstance(item, Located):
                if (body := _body(item, config.to, tally)) is not None:
                    yield body
                bar.update()
                if tally.conversations == wanted.limit:
                    return


def _body(item: Located, to: str, tally: Tally) -> bytes | None:
    """A transcript in the form that is wanted; None if that has no place for it, which is said and counted."""
    from resample.formats import Excluded
    from resample.formats.exclusions import Problem
    from resample.formats.export import EXPORTS

    if to == "canonical":
        return item.body
    exported = EXPORTS[to](item.transcript)
    if isinstance(exported, Problem):
        excluded = Excluded.at(item.file, item.line, exported)
        warn(str(excluded.error()))
        tally.excluded[excluded.reason] += 1
        return None
    tally.changed.update(exported.changed)
    return exported.body


@dataclass
class Tally:
    """What was read, and what became of it."""

    conversations: int = 0
    messages: int = 0
    calls: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    supplied: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    """What another form could not take as it is."""
    scrubbed: Counter[str] = field(default_factory=Counter)
    clusters: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    files: int = 0
    skipped: int = 0
    _file: str = ""
    _first: Excluded | None = None
    _clusters: Seen = field(default_factory=Seen)

    def count(self, item: Located | Excluded | Skipped) -> None:
        """Take note of one more."""
        from resample.formats import Excluded, Located

        if item.file != self._file:  # files come one after the other
            self._file = item.file
            self.files += 1
        if isinstance(item, Located):
            self._count_transcript(item.transcript)
        elif isinstance(item, Excluded):
            self.excluded[item.reason] += 1
            self._first = self._first or item
        else:
            self.skipped += 1

    def _count_transcript(self, transcript: Transcript) -> None:
        from resample.prepare.prefix import style_of

        metadata = transcript.metadata
        self.conversations += 1
        self.messages += len(transcript.messages)
        self.formats[metadata.get("source") or "canonical"] += 1
        self.missing.update(metadata.get("missing") or ())
        self.supplied.update(metadata.get("supplied") or ())
        self.dropped.update(metadata.get("dropped") or {})
        self.scrubbed.update(metadata.get("scrubbed") or {})
        self.clusters += not self._clusters.before(metadata.get("cluster") or transcript.id)
        try:
            agent = style_of(transcript)
        except UserError:  # a run will exclude it under that reason
            return
        self.calls += sum(len(agent.calls(m)) for m in transcript.messages if m["role"] == "assistant")

    def table(self) -> str:
        """One row per kind of thing."""
        rows = [
            ["files", f"{self.files:,}", f"{self.skipped} of them labels, manifests or notes"],
            ["conversations", f"{self.conversations:,}", f"in {self.clusters:,} clusters: {_listed(self.formats)}"],
            ["messages", f"{self.messages:,}", ""],
            ["tool calls", f"{self.calls:,}", ""],
            ["excluded", f"{self.excluded.total():,}", _listed(self.excluded)],
            ["log lacks", "", _listed(self.missing)],
            ["supplied", "", _listed(self.supplied)],
            ["left out", "", _listed(self.dropped)],
            ["scrubbed", f"{self.scrubbed.total():,}" if self.scrubbed else "", _listed(self.scrubbed)],
            ["written as", "", _listed(self.changed)],
        ]
        return "\n".join(_row(name, count, text) for name, count, text in rows if count or text)

    def nothing_usable(self) -> str:
        """Why nothing is written."""
        if self._first is None:
            return "no transcripts there"
        return f"none of {self.excluded.total()} is usable; the first: {self._first.error()}"


def _row(name: str, count: str, text: str) -> str:
    """A row of the table, its text wrapped between the things it lists."""
    first, *rest = [line.replace(_KEEP, " ") for line in textwrap.wrap(text, _TEXT_WIDTH)] or [""]
    return "\n".join([f"{name:<13} {count:>7}  {first}".rstrip(), *(" " * 23 + line for line in rest)])


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}".replace(" ", _KEEP) for name, count in counts.most_common())
