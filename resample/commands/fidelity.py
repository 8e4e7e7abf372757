"""`resample fidelity`: how well simulated tool outputs pass for recorded ones."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resample.commands import Invocation, progress_bar, say
from resample.types import Exit, UserError

if TYPE_CHECKING:
    from resample.config import FidelityConfig

_SHARES = {
    "identity": [("share", "got back, byte for byte")],
    "reconstruction": [("answered_share", "answered"), ("right_share", "of these, right")],
    "evidence": [("share", "lines found")],
    "discriminator": [("accuracy", "told apart")],
}
_MOST_ROWS = 12


def perform(config: Any, invocation: Invocation) -> int:
    """Measure. Returns the exit code."""
    from omegaconf import OmegaConf

    from resample.config import FidelityConfig, check_fidelity

    settings = OmegaConf.to_object(config)
    assert isinstance(settings, FidelityConfig)
    check_fidelity(settings)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(_measure(settings, Path(folder)))
    say("\n\n".join(_table(name, measured) for name, measured in result.items() if name in _SHARES))
    if settings.out is not None:
        _write(Path(settings.out), result)
        say(f"\nwritten: {settings.out}")
    return Exit.DONE


async def _measure(settings: FidelityConfig, folder: Path) -> dict[str, Any]:
    from resample.build import fidelity

    excluded: Counter[str] = Counter()
    turns = list(_turns(settings, folder, excluded))
    if not turns:
        listed = ", ".join(f"{reason} {count}" for reason, count in excluded.items()) or "nothing was read"
        raise UserError(f"no transcript could be used: {listed}")
    with progress_bar(settings.progress, unit="pair") as bar:

        def advance(done: int) -> None:
            bar.n = done
            bar.update(0)

        measured = await fidelity(settings, turns, advance)
    return {"transcripts": {"used": len(turns), "excluded": dict(excluded)}, **measured}


def _turns(settings: FidelityConfig, folder: Path, excluded: Counter[str]) -> Iterator[tuple[Any, ...]]:
    """Prefix, original turn and format of every transcript that can be used."""
    import orjson

    from resample.build import adjustment
    from resample.formats import Excluded
    from resample.paths import transcripts_at
    from resample.prepare.index import Wanted, index, load
    from resample.prepare.policies import policy
    from resample.prepare.prefix import make_prefix
    from resample.prepare.truncate import Cut

    given = settings.transcripts
    wanted = Wanted(
        path=transcripts_at(given.path),
        policy=policy(settings.truncate, settings.seed),
        format=given.format,
        limit=given.limit,
        strict=given.strict,
        adjust=adjustment(given, settings.scrub),
        select=settings.select,
        seed=settings.seed,
        infer_tools=given.infer_tools,
    )
    for entry in index(wanted, folder):
        if isinstance(entry, Excluded):
            excluded[entry.reason] += 1
            continue
        transcript = load(entry)
        tools = orjson.loads(entry.toolset) if entry.toolset else []
        prefix, original = make_prefix(transcript, Cut(entry.cut, entry.cut_end), tools)
        yield prefix, original, str(transcript.metadata.get("source") or "canonical")


def _write(path: Path, result: Mapping[str, Any]) -> None:
    import orjson

    from resample.report.files import write_private

    try:
        write_private(path, orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
    except OSError as error:
        raise UserError(f"out={path}: cannot be written: {error.strerror}") from None


# -- the table ------------------------------------------------------------------------------------------------------


def _table(name: str, measured: Mapping[str, Any]) -> str:
    counts = [
        key
        for key, value in measured.items()
        if isinstance(value, int) and key not in ("transcripts", "with_wrong", "declined")
    ]
    counts = [key for key in counts if key in next(iter(measured["by_format"].values()), {})] or counts
    titles = [title for _, title in _SHARES[name]]
    rows = [[name, *counts, *titles], ["all", *_cells(name, counts, measured)]]
    for group in ("by_format", "by_tool"):
        shown = list(measured[group].items())
        rows += [[f"  {key}", *_cells(name, counts, row)] for key, row in shown[:_MOST_ROWS]]
        if len(shown) > _MOST_ROWS:
            rows.append([f"  ({len(shown) - _MOST_ROWS} more)"])
        if group == "by_format":
            rows.append([])
    widths = [max(len(row[at]) for row in rows if len(row) > at) for at in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in [*lines, *_remarks(name, measured)])


def _cells(name: str, counts: list[str], row: Mapping[str, Any]) -> list[str]:
    return [*(f"{row[key]:,}" for key in counts), *(_share(row[share]) for share, _ in _SHARES[name])]


def _share(share: Mapping[str, Any]) -> str:
    if share["rate"] is None:
        return "-"
    low, high = share["ci"]
    return f"{share['rate']:.1%} [{low:.1%}, {high:.1%}]"


def _remarks(name: str, measured: Mapping[str, Any]) -> Iterator[str]:
    if name == "reconstruction":
        sources = ", ".join(f"{source} {count:,}" for source, count in measured["by_source"].items()) or "none"
        wrong = f"{measured['with_wrong']} of {measured['transcripts']}"
        yield f"answered by: {sources}; transcripts with a wrong answer: {wrong}"
    if name == "discriminator":
        controls = measured["controls"]
        yield measured["statement"]
        caught = f"{controls['caught']} of {controls['pairs']}"
        yield f"identical pairs left out: {measured['identical']}; plainly false outputs recognised: {caught}"
        if measured["failed"]:
            yield "failed: " + ", ".join(f"{reason} {count}" for reason, count in measured["failed"].items())
        yield from (f"  gave it away: {' '.join(tell.split())[:100]}" for tell in measured["tells"][:5])
