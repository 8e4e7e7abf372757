"""Truncation policies: where each cuts, and the estimand of the rates that come of it (method: estimand)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from resample.formats.exclusions import Problem, Reason
from resample.prepare.truncate import Cuts, Recording
from resample.seeds import derive
from resample.types import UserError


@dataclass
class Truncate:
    """Where to cut."""

    policy: str = "last_turn"
    """One of `POLICIES`."""
    at: float | None = None
    """`step`: before which of the candidate's actions, counted from 1, from the end if negative; or a fraction."""
    tool: str = "*"
    """`at_tool`: the names of tools, as a pattern with * and ?."""
    arguments: str | None = None
    """`at_tool`: a regular expression that is found in the arguments, as they were written."""
    n: int = 1
    """`at_tool`: before which of the matching calls, counted from 1, from the end if negative."""
    turns: int = 1
    """`random`: how many turns are drawn of each transcript, if it has as many."""
    label: str = "flagged"
    """`flagged`: the entry of `metadata.labels` that holds the index of a message, or several."""


class Estimand(NamedTuple):
    """What a rate over prefixes of this policy is a rate of."""

    unit: str
    population: str
    cut: str
    conditional: bool = False
    """The content decides where, or whether, a transcript is cut: rates hold for such moments, not for the traffic."""
    per_turn: bool = False
    """Turns were sampled uniformly: a rate may be given per 100,000 turns."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A truncation policy with its settings."""

    name: str
    estimand: Estimand
    cuts: Callable[[Recording], Cuts | Problem]
    """Where to cut, or why that cannot be done."""


_TAKES = {"step": ("at",), "at_tool": ("tool", "arguments", "n"), "random": ("turns",), "flagged": ("label",)}
"""The settings of each policy that has any."""


def policy(settings: Truncate, seed: int = 0) -> Policy:
    """The policy of these settings. Raises UserError for a policy, or a setting of it, that there is not."""
    if settings.policy not in POLICIES:
        raise UserError(f"truncate.policy={settings.policy}: must be one of {', '.join(POLICIES)}")
    takes = _TAKES.get(settings.policy, ())
    for entry in fields(Truncate):
        if entry.name != "policy" and entry.name not in takes and getattr(settings, entry.name) != entry.default:
            raise UserError(f"truncate.{entry.name}: has no meaning with truncate={settings.policy}")
    found = POLICIES[settings.policy](settings, seed)

    def cuts(recording: Recording) -> Cuts | Problem:
        return found.cuts(recording) if recording.turns else Problem(Reason.NO_ASSISTANT)

    return Policy(found.name, found.estimand, cuts)


# -- by position ----------------------------------------------------------------------------------------------------


def _at_the_end(
    name: str, unit: str, cut: str, drawn: str, place: Callable[[Recording], int]
) -> Callable[[Truncate, int], Policy]:
    """A policy that cuts once, near the end, and takes no settings."""
    estimand = Estimand(
        unit,
        f"the transcripts that were included, one {unit} each",
        f"{cut}; this is where a conversation ended, not {drawn} drawn at random",
    )
    found = Policy(name, estimand, lambda recording: recording.cuts([place(recording)]))
    return lambda settings, seed: found


def _nth(places: Sequence[int], n: int) -> int | None:
    """One of these places, counted from 1, or from the end if negative; None if there are not as many."""
    index = n - (n > 0)
    return places[index] if -len(places) <= index < len(places) else None


def _step(settings: Truncate, seed: int) -> Policy:
    at = settings.at
    if at is None or not (0 < at < 1 or (abs(at) >= 1 and at == int(at))):
        given = "" if at is None else f"={at:g}"
        raise UserError(f"truncate.at{given}: truncate=step needs a whole number but 0, or a fraction between 0 and 1")
    where = f"{at:g} of the way through" if 0 < at < 1 else f"number {at:g} of" if at > 0 else f"{at:g} from the end of"
    estimand = Estimand(
        "turn from an action on",
        "the included transcripts that have such an action, one each",
        f"before the action {where} a transcript's actions",
    )

    def cuts(recording: Recording) -> Cuts | Problem:
        actions = recording.actions
        place = _nth(actions, int(at * len(actions)) + 1 if 0 < at < 1 else int(at))
        return Problem(Reason.NO_SUCH_PLACE, f"{len(actions)} actions") if place is None else recording.cuts([place])

    return Policy("step", estimand, cuts)


def _each_action(settings: Truncate, seed: int) -> Policy:
    estimand = Estimand(
        "turn from an action on",
        "all actions of the included transcripts before which a cut is possible, all weighing the same; those of one"
        " transcript are one cluster",
        "before every action",
    )
    return Policy("each_action", estimand, lambda recording: recording.cuts(recording.actions))


def _random(settings: Truncate, seed: int) -> Policy:
    if settings.turns < 1:
        raise UserError(f"truncate.turns={settings.turns}: must be at least 1")
    estimand = Estimand(
        "turn",
        "all turns of the included transcripts before which a cut is possible",
        f"before {settings.turns} turn{'s' if settings.turns > 1 else ''} of each transcript, drawn uniformly",
        per_turn=True,
    )

    def cuts(recording: Recording) -> Cuts | Problem:
        found = recording.cuts(turn.first for turn in recording.turns)
        if isinstance(found, Problem):
            return found
        draw = random.Random(derive(seed, "turns", recording.id))
        drawn = sorted(draw.sample(found.cuts, min(settings.turns, len(found.cuts))), key=lambda cut: cut.index)
        stands_for = len(found.cuts) / len(drawn)
        return Cuts(tuple(replace(cut, stands_for=stands_for) for cut in drawn), found.passed_over)

    return Policy("random", estimand, cuts)


# -- by content -----------------------------------------------------------------------------------------------------


def _at_tool(settings: Truncate, seed: int) -> Policy:
    if settings.n == 0:
        raise UserError("truncate.n=0: calls are counted from 1, or from the end with -1")
    try:
        pattern = re.compile(settings.arguments or "")
    except re.error as error:
        raise UserError(f"truncate.arguments={settings.arguments}: is no regular expression: {error}") from None
    wanted = f"the tool {settings.tool}" if settings.tool != "*" else "any tool"
    wanted += f" with arguments like {settings.arguments}" if settings.arguments else ""
    estimand = Estimand(
        "turn from such a call on",
        f"the included transcripts in which the original model made call number {settings.n} of {wanted}",
        f"before call number {settings.n} of {wanted}",
        conditional=True,
    )

    def cuts(recording: Recording) -> Cuts | Problem:
        places = [
            place
            for place, message in enumerate(recording.messages)
            if message["role"] == "assistant"
            for call in recording.style.calls(message)
            if fnmatchcase(call.name, settings.tool) and pattern.search(call.arguments)
        ]
        place = _nth(places, settings.n)
        if place is None:
            return Problem(Reason.NO_SUCH_PLACE, f"{len(places)} such calls")
        action = recording.action_of(place)
        return Problem(Reason.NO_SUCH_PLACE) if action is None else recording.cuts([action])

    return Policy("at_tool", estimand, cuts)


def _flagged(settings: Truncate, seed: int) -> Policy:
    estimand = Estimand(
        "turn from a flagged action on",
        f"the included transcripts with a message flagged in metadata.labels.{settings.label}",
        "before the action that is flagged, or that answers the flagged message",
        conditional=True,
    )

    def cuts(recording: Recording) -> Cuts | Problem:
        marked = recording.labels.get(settings.label)
        indices = marked if isinstance(marked, list) else [] if marked is None else [marked]
        if not indices:
            return Problem(Reason.NO_SUCH_PLACE, f"no labels.{settings.label}")
        if not all(_is_index(index, recording) for index in indices):
            return Problem(Reason.BAD_LABEL, f"labels.{settings.label}")
        actions = {action for index in indices if (action := recording.action_of(index)) is not None}
        if not actions:
            return Problem(Reason.NO_SUCH_PLACE, f"no action at labels.{settings.label}")
        return recording.cuts(sorted(actions))

    return Policy("flagged", estimand, cuts)


def _is_index(value: Any, recording: Recording) -> bool:
    return type(value) is int and 0 <= value < len(recording.messages)


POLICIES: dict[str, Callable[[Truncate, int], Policy]] = {
    "last_turn": _at_the_end(
        "last_turn",
        "final turn",
        "before the first assistant message of the last turn that has one",
        "a turn",
        lambda recording: recording.turns[-1].first,
    ),
    "last_action": _at_the_end(
        "last_action",
        "last action",
        "before the last assistant message, with what the agent did earlier in that turn in the prefix",
        "an action",
        lambda recording: recording.actions[-1],
    ),
    "last_model_call": _at_the_end(
        "last_model_call",
        "last model call",
        "before the last assistant message, also where the prefix then ends with another one",
        "a call",
        lambda recording: recording.turns[-1].last,
    ),
    "step": _step,
    "each_action": _each_action,
    "random": _random,
    "at_tool": _at_tool,
    "flagged": _flagged,
}
