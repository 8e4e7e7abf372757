"""Truncation policies: where each cuts, and the estimand of the rates that come of it (method: estimand)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
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

_ONE_EACH = "the transcripts that were included, one {unit} each"
_NOT_RANDOM = "this is where a conversation ended, not {unit} drawn at random"


def _last_turn(settings: Truncate, seed: int) -> Policy:
    estimand = Estimand(
        "final turn",
        _ONE_EACH.format(unit="final turn"),
        "before the first assistant message of the last turn that has one; " + _NOT_RANDOM.format(unit="a turn"),
    )
    return Policy("last_turn", estimand, lambda recording: recording.cuts([recording.turns[-1].first]))


def _last_action(settings: Truncate, seed: int) -> Policy:
    estimand = Estimand(
        "last action",
        _ONE_EACH.format(unit="last action"),
        "before the last assistant message, with what the agent did earlier in that turn in the prefix; "
        + _NOT_RANDOM.format(unit="an action"),
    )
    return Policy("last_action", estimand, lambda recording: recording.cuts([recording.actions[-1]]))


def _last_model_call(settings: Truncate, seed: int) -> Policy:
    estimand = Estimand(
        "last model call",
        _ONE_EACH.format(unit="last model call"),
        "before the last assistant message, also where the prefix then ends with another one; "
        + _NOT_RANDOM.format(unit="a call"),
    )
    return Policy("last_model_call", estimand, lambda recording: recording.cuts([recording.turns[-1].last]))


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
        index = int(at * len(actions)) if 0 < at < 1 else int(at) - (at > 0)
        if not -len(actions) <= index < len(actions):
            return Problem(Reason.NO_SUCH_PLACE, f"{len(actions)} actions")
        return recording.cuts([actions[index]])

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
        index = settings.n - (settings.n > 0)
        if not -len(places) <= index < len(places):
            return Problem(Reason.NO_SUCH_PLACE, f"{len(places)} such calls")
        action = recording.action_of(places[index])
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
        actions = {recording.action_of(index) for index in indices} - {None}
        if not actions:
            return Problem(Reason.NO_SUCH_PLACE, f"no action at labels.{settings.label}")
        return recording.cuts(sorted(action for action in actions if action is not None))

    return Policy("flagged", estimand, cuts)


def _is_index(value: Any, recording: Recording) -> bool:
    return type(value) is int and 0 <= value < len(recording.messages)


POLICIES: dict[str, Callable[[Truncate, int], Policy]] = {
    "last_turn": _last_turn,
    "last_action": _last_action,
    "last_model_call": _last_model_call,
    "step": _step,
    "each_action": _each_action,
    "random": _random,
    "at_tool": _at_tool,
    "flagged": _flagged,
}
