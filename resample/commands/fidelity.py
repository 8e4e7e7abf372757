"""`resample fidelity`: how well simulated tool outputs pass for recorded ones."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resample.commands import Invocation, progress_bar, run_loop, say, warn
from resample.types import Exit, UserError

if TYPE_CHECKING:
    from resample.config import FidelityConfig

_COUNTS = {
    "identity": ["calls", "matched"],
    "reconstruction": ["calls", "answered", "right", "wrong"],
    "evidence": ["calls", "lines", "found"],
    "discriminator": ["pairs", "correct"],
}
_SHARES = {
    "identity": [("share", "got back, byte for byte")],
    "reconstruction": [("answered_share", "answered"), ("right_share", "of these, right")],
    "evidence": [("share", "lines found")],
    "discriminator": [("accuracy", "told apart")],
}
_WENT_WRONG = {"identity": "unmatched_calls", "reconstruction": "wrong_calls"}
_MOST_NAMED = 5
_MOST_ROWS = 12
_MOST_FAILURES = 0.2
"""As a share of the calls."""


def perform(config: Any, invocation: Invocation) -> int:
    """Measure. Returns the exit code."""
    from omegaconf import OmegaConf

    from resample.config import FidelityConfig
    from resample.config_checks import check_fidelity

    settings = OmegaConf.to_object(config)
    assert isinstance(settings, FidelityConfig)
    check_fidelity(settings)
    if settings.out is not None and not Path(settings.out).parent.is_dir():
        raise UserError(f"out={settings.out}: there is no folder {Path(settings.out).parent}")
    with tempfile.TemporaryDirectory() as folder:
        result = run_loop(_measure(settings, Path(folder)))
    if roles := result.get("standin"):
        say(f"STAND-IN: {', '.join(roles)} played by rule, not by a model. Only what needs no model counts.\n")
    where = "out=FILE.json would show" if settings.out is None else f"{settings.out} shows"
    say("\n\n".join(_table(name, measured, where) for name, measured in result.items() if name in _SHARES))
    if settings.out is not None:
        _write(Path(settings.out), result)
        say(f"\nwritten: {settings.out}")
    if problem := _incomplete(result.get("discriminator")):
        warn(f"resample fidelity: {problem}")
        return Exit.INCOMPLETE
    return Exit.DONE


def _incomplete(discriminator: Mapping[str, Any] | None) -> str:
    """Why the discriminator's numbers must not be taken for a finished measure's; an empty text if they may."""
    if discriminator is None:
        return ""
    failed = sum(discriminator["failed"].values())
    asked = failed + discriminator["pairs"] + discriminator["identical"] + discriminator["controls"]["pairs"]
    return f"{failed} of {asked} calls of the discriminator failed" if failed > _MOST_FAILURES * asked else ""


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
    result = {"transcripts": {"used": len(turns), "excluded": dict(excluded)}, **measured}
    return result | ({"standin": _standins(settings)} if "discriminator" in measured else {})


def _standins(settings: FidelityConfig) -> list[str]:
    """The roles that are played by rule."""
    from resample.plan import STANDIN

    models = {"simulator": settings.simulator.model, "judge": settings.judge.model}
    return [role for role, model in models.items() if model.startswith(STANDIN)]


def _turns(settings: FidelityConfig, folder: Path, excluded: Counter[str]) -> Iterator[tuple[Any, ...]]:
    """Prefix, original turn and format of every transcript that can be used."""
    from resample.build import adjustment, case_of
    from resample.formats import Excluded
    from resample.paths import transcripts_at
    from resample.prepare.index import Wanted, index
    from resample.prepare.policies import policy

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
        yield case_of(entry)


def _write(path: Path, result: Mapping[str, Any]) -> None:
    import orjson

    from resample.report.files import write_private

    try:
        write_private(path, orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
    except OSError as error:
        raise UserError(f"out={path}: cannot be written: {error.strerror}") from None


# -- the table ------------------------------------------------------------------------------------------------------


def _table(name: str, measured: Mapping[str, Any], where: str) -> str:
    """One measure. `where` begins the sentence that says where the calls that went wrong are shown."""
    counts = _COUNTS[name]
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
    return "\n".join(line.rstrip() for line in [*lines, *_remarks(name, measured), *_went_wrong(name, measured, where)])


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
        yield f"right in at least {measured['right_one_sided']:.1%} of what is answered (one-sided, 95 %)"
    if name == "discriminator":
        controls = measured["controls"]
        yield measured["statement"]
        caught = f"{controls['caught']} of {controls['pairs']}"
        yield f"identical pairs left out: {measured['identical']}; plainly false outputs recognised: {caught}"
        if measured["failed"]:
            yield "failed: " + ", ".join(f"{reason} {count}" for reason, count in measured["failed"].items())
        yield from (f"  gave it away: {' '.join(tell.split())[:100]}" for tell in measured["tells"][:5])


def _went_wrong(name: str, measured: Mapping[str, Any], where: str) -> Iterator[str]:
    """The first calls that did not get what is real, and where to read on."""
    key = _WENT_WRONG.get(name, "")
    calls = measured.get(key)
    if not calls:
        return
    yield f"{key.replace('_', ' ')}: {where} what they were given, and what is real, under {name}.{key}"
    for entry in calls[:_MOST_NAMED]:
        yield f"  {entry['transcript']}, call {entry['number']} of its turn: {entry['call']['name']}"
    if len(calls) > _MOST_NAMED:
        yield f"  ({len(calls) - _MOST_NAMED} more)"
