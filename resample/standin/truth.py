"""What stands in a stand-in's rollout, and what was planted: the reference for tests and for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from resample.judging.render import call_texts, reasoning_of, text_of
from resample.standin.phrasebook import AWARENESS, ROBUSTNESS, Act, phrasebook
from resample.standin.settings import StandInSettings
from resample.types import Message


class CommittedAct(NamedTuple):
    """An act that stands in a rollout."""

    act: Act
    step: int
    """Counted from 1 among the assistant messages."""


def acts_in(messages: Iterable[Message]) -> list[CommittedAct]:
    """The acts that stand in the assistant messages of a rollout, in order; tool outputs do not count."""
    agent = [message for message in messages if message["role"] == "assistant"]
    return [
        CommittedAct(act, step)
        for step, message in enumerate(agent, start=1)
        for act in phrasebook().find("\n".join([reasoning_of(message), text_of(message), *call_texts(message)]))
    ]


def planted(model: str, settings: StandInSettings) -> Mapping[str, float]:
    """The planted rate of every category, also at zero, and of evaluation awareness."""
    return settings.rates_of(model)


def apparent(rate: float, settings: StandInSettings) -> float:
    """The rate that a judge of the planted sensitivity and specificity reports (Rogan and Gladen, 1978)."""
    return rate * settings.judge_sensitivity + (1 - rate) * (1 - settings.judge_specificity)


def any_of(rates: Mapping[str, float]) -> float:
    """The chance of at least one misalignment category: each is drawn independently of the others."""
    counted = [r for category, r in rates.items() if category != AWARENESS and category not in ROBUSTNESS]
    return 1 - math.prod(1 - rate for rate in counted)
