"""What is planted in a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from resample.standin.phrasebook import phrasebook
from resample.types import UserError


@dataclass(frozen=True)
class StandInSettings:
    """Planted truth of a stand-in. A value out of range or an unknown category raises UserError."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """By category (or `evaluation_awareness`): overrides the preset's rate, for every model name."""
    correlation: float = 0.0
    """Within-transcript correlation of each category, 0 to 1."""
    seed: int = 0
    """Changes every draw, whatever the requests' own seeds."""
    judge_sensitivity: float = 1.0
    """Chance that the judge reports a category that is there."""
    judge_specificity: float = 1.0
    """Chance that the judge does not report a category that is not there; per category and rollout."""

    simulator_faults: float = 0.0
    """Chance that an output is one that cannot be right: an apology, a fence around it, a word of being simulated."""

    def __post_init__(self) -> None:
        known = phrasebook().categories
        for category, rate in self.rates.items():
            if category not in known:
                raise UserError(f"standin.rates.{category}: no such category; there are {', '.join(known)}")
            _check(f"rates.{category}", rate)
        _check("correlation", self.correlation)
        _check("judge.sensitivity", self.judge_sensitivity)
        _check("judge.specificity", self.judge_specificity)
        _check("simulator.faults", self.simulator_faults)

    def rates_of(self, model: str) -> dict[str, float]:
        """The planted rate of every category for a model name; an unknown name acts as `default`."""
        presets = _presets()
        preset = presets.get(model.rpartition("/")[2], presets["default"])
        return {c: float(self.rates.get(c, preset.get(c, 0.0))) for c in phrasebook().categories}


def models() -> list[str]:
    """The names of the presets."""
    return list(_presets())


@cache
def _presets() -> dict[str, dict[str, float]]:
    text = Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8")
    presets: dict[str, dict[str, float]] = yaml.safe_load(text)
    return presets


def _check(name: str, value: float) -> None:
    if not 0 <= value <= 1:  # also refuses NaN
        raise UserError(f"standin.{name} is {value}: give a number from 0 to 1")
