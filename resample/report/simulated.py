"""What `report.md` says of the simulated world: what stood in the environment's place, and what rests on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resample.report.form import RATE_HEAD, markdown_table, percent, percent_level, rate_row

_SOURCES = {
    "recorded": "recorded: the real output of the same call",
    "workspace": "workspace: rebuilt from the transcript, or from a snapshot",
    "llm": "llm: written by the simulator's model",
    "other": "other: a simulator of the user's own, or trouble that was drawn",
    "harness": "harness: the error for a call that no tool can take",
}
_SHARES = {
    "no outputs": "no outputs at all",
    "none": "none written by the model",
    "up to half": "up to half",
    "more than half": "more than half",
}
_ORIGINAL = {"shown": "the simulator had the original turn", "hidden": "it had not"}


def simulation_sections(summary: Mapping[str, Any]) -> list[str]:
    """The sections of the candidate's tool outputs; none if it got none."""
    simulation = summary["simulation"]
    if not sum(simulation["tool_outputs"].values()):
        return []
    return [
        "## The simulated world",
        *_outputs(simulation),
        *_fidelity(simulation),
        *_invented(summary),
        "### By the share of outputs that the simulator's model wrote",
        "The candidate's own calls decide what has to be written, so these turns differ in more than that share."
        f" Of the turns with so many such outputs, those with any misalignment ({_level(summary)}):",
        _groups("share", simulation["by_llm_share"], _SHARES),
        *_by_original(summary),
    ]


def _outputs(simulation: Mapping[str, Any]) -> list[str]:
    counted = simulation["tool_outputs"]
    total = sum(counted.values())
    rows = [[_SOURCES.get(name, name), f"{n:,}", percent(n / total)] for name, n in counted.items() if n]
    flagged, trouble = simulation["flagged"], simulation["trouble"]
    notes = []
    if flagged["of"]:
        notes.append(
            f"Of the {flagged['of']:,} that the model wrote, {flagged['outputs']:,} ({percent(flagged['rate'])}) could"
            " not be right, by their form or by what was known, also when asked for again, and were kept."
        )
    if trouble:
        kinds = ", ".join(f"{kind.replace('_', ' ')} {n:,}" for kind, n in trouble.items())
        notes.append(f"Trouble was drawn for {sum(trouble.values()):,} of the {total:,}: {kinds}.")
    return [
        f"No tool was executed. The candidate's calls got {total:,} outputs; shares are of all of them, not estimates.",
        markdown_table(["where they came from", "outputs", "share"], rows),
        " ".join(notes),
    ]


def _fidelity(simulation: Mapping[str, Any]) -> list[str]:
    """How real it was, where that was measured."""
    measured = simulation.get("fidelity")
    if not measured:
        return []
    rate, (low, high) = measured["accuracy"]["rate"], measured["ci"]
    told = f"{measured['correct']:,} of {measured['pairs']:,} pairs"
    if rate is not None:
        told += f" ({percent(rate)}; 95 % interval {percent(low)} to {percent(high)})"
    controls = measured["controls"]
    text = (
        f"**How real it was.** The original turns of {measured['prefixes']:,} prefixes were simulated, too, and a model"
        f" was asked of each output which of two was the real one. It picked that in {told}; {measured['identical']:,}"
        f" pairs were identical. Statement: {measured['statement']}. Of plainly false outputs it recognised"
        f" {controls['caught']:,} of {controls['pairs']:,}."
    )
    failed = sum(measured["failed"].values())
    return [text + (f" {failed:,} calls failed." if failed else "")]


def _invented(summary: Mapping[str, Any]) -> list[str]:
    simulation = summary["simulation"]
    count = simulation["findings"]
    title = "### What rests on invented content"
    if not count["findings"]:
        return [title, "Nothing was found, so nothing rests on it."]
    text = (
        "Content is invented if only the simulator wrote it (llm, other). A later call, which is told where each output"
        " came from, asks of each finding whether the act would be gone, or would not be misaligned, without that"
        f" content. Findings of all categories: {count['findings']}. Depend on it: {count['depend_on_invented']}. Do"
        f" not: {count['do_not']}. Not known: {count['unknown']}"
        + (" (nobody was asked, or no answer was of use; they count in both rows)." if count["unknown"] else ".")
    )
    rows = [
        rate_row("**any misalignment**", summary["any"]),
        rate_row("without findings that depend on invented content", simulation["any_without_invented"]),
    ]
    note = (
        "The lower rate is no correction of the higher one. Where an invented output gave the occasion, the real"
        " environment may have given it, or another, or none: how far the two lie apart shows how much rests on the"
        " simulator."
    )
    return [title, text, markdown_table(RATE_HEAD, rows), note]


def _by_original(summary: Mapping[str, Any]) -> list[str]:
    simulation = summary["simulation"]
    if not simulation["original_hidden"]:
        return []
    return [
        "### With and without the original turn",
        "In a share of the rollouts, drawn by lot, the simulator was not given the original turn's calls and outputs."
        f" Of the turns with tool outputs, those with any misalignment ({_level(summary)}):",
        _groups("", simulation["by_original"], _ORIGINAL),
    ]


def _groups(head: str, groups: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> str:
    rows = [rate_row(names.get(name, name), rates) for name, rates in groups.items() if rates["rollouts"]]
    return markdown_table([head, *RATE_HEAD[1:-1]], rows)


def _level(summary: Mapping[str, Any]) -> str:
    return f"intervals at {percent_level(summary['confidence'])}"
