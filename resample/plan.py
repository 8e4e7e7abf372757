"""What a run would do, resolved before anything is read or spent; what may not change under one `out`; what it did.

`accept` is the gate between a config and a store: a new run is planned, an old one is extended, and any other
difference is refused with its name.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from resample import config as configs
from resample.formats.adjust import Adjust, as_read
from resample.formats.exclusions import Excluded
from resample.judging.canaries import Canary
from resample.judging.context import PROMPTS as JUDGE_PROMPTS
from resample.judging.taxonomy import Taxonomy
from resample.paths import transcripts_at
from resample.prepare.fit import Fit
from resample.prepare.index import Indexed, Wanted, index
from resample.prepare.policies import Policy
from resample.prepare.tokens import counter_for
from resample.prompts import prompt_hashes
from resample.seeds import derive
from resample.standin.settings import StandInSettings
from resample.store import Store
from resample.summary import Facts
from resample.types import Arm, Role, UserError

STANDIN = "standin/"
RECORDED = "recorded"


@dataclass(frozen=True)
class Plan:
    """A config that holds together, and what follows from it."""

    config: configs.RunConfig
    taxonomy: Taxonomy
    canaries: tuple[Canary, ...]
    standin: StandInSettings | None
    """None if no role is played by a stand-in."""
    roles: Mapping[Role, configs.Model]
    """The roles that talk to a model."""
    policy: Policy
    """Where transcripts are cut."""
    adjust: Adjust = as_read
    """What is done to transcripts as they are read."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """The settings that `adjust` comes of, and others that make transcripts what they are."""
    fit: Fit = field(default_factory=Fit)
    """What the models that read the prefixes can take."""

    @property
    def arms(self) -> dict[str, int]:
        """Planned turns per prefix, by arm."""
        samples = self.config.samples
        arms = {Arm.CANDIDATE.value: 1 if self.config.candidate.model == RECORDED else samples}
        return arms | {name: 1 if name == RECORDED else samples for name in self.config.baselines}

    @property
    def judge_name(self) -> str:
        """Under which the verdicts are kept: a judge asked otherwise is another judge."""
        judge = self.config.judge
        asked = orjson.dumps([_asked(judge), self.taxonomy.hash], option=orjson.OPT_SORT_KEYS)
        return f"{judge.model}:{judge.view}:{hashlib.sha256(asked).hexdigest()[:8]}"

    def wanted(self, purged: Container[str]) -> Wanted:
        """What is taken of the transcripts, and how it is prepared."""
        config = self.config
        return Wanted(
            path=transcripts_at(config.transcripts.path),
            policy=self.policy,
            format=config.transcripts.format,
            limit=config.transcripts.limit,
            strict=config.transcripts.strict,
            adjust=self.adjust,
            select=config.select,
            seed=config.seed,
            infer_tools=config.transcripts.infer_tools,
            fit=self.fit,
            counter=counter_for(config.candidate.model),
            purged=purged,
        )

    def identity(self) -> dict[str, Any]:
        """All that may not change under one `out`, by the config key a person knows it by."""
        config = self.config
        identity: dict[str, Any] = {
            "transcripts": self.reading,
            "select": asdict(config.select),
            "truncate": asdict(config.truncate),
            "fit": {reader.role: [reader.room, reader.shorten] for reader in self.fit.readers},
            "candidate": _asked(config.candidate),
            "simulator": _asked(config.simulator),
            "judge": _asked(config.judge),
            "taxonomy": self.taxonomy.hash,
            "prompts": prompts_of(config),
            "seed": config.seed,
            "max_steps": config.max_steps,
            "baselines": sorted(config.baselines),
            "canaries": sorted(canary.prefix.id for canary in self.canaries),
        }
        if Arm.CONTROL in config.baselines:
            identity["control"] = _asked(config.control)
        if config.first_step != "each":
            identity["first_step"] = config.first_step
        if self.standin is not None:
            identity["standin"] = asdict(config.standin)
        return identity

    def facts(self, identity: str, transcripts: str, weighted: bool) -> Facts:
        """What the summary has to know of the run."""
        config = self.config
        return Facts(
            id=secrets.token_hex(4),
            identity=identity,
            hashes={
                "prompts": prompts_of(config),
                "taxonomy": self.taxonomy.hash,
                "transcripts": transcripts,
            },
            models=self._asked_models(),
            judge=self.judge_name,
            estimand={**self.policy.estimand._asdict(), "weighted": weighted},
            arms=self.arms,
            categories=list(self.taxonomy.ids),
            misalignment=[name for name in self.taxonomy.ids if name in self.taxonomy.misalignment],
            severities=list(self.taxonomy.severity),
            canaries={c.prefix.id: {"id": c.id, "expected": sorted(c.expected)} for c in self.canaries},
            confidence=config.confidence,
            seed=config.seed,
            max_failures=config.max_failures,
            standin=self._standin_facts(),
        )

    def _asked_models(self) -> dict[str, Any]:
        """By role: what was asked for; the class where a role needs no model."""
        config = self.config
        roles = {Role.CANDIDATE: config.candidate, Role.SIMULATOR: config.simulator, Role.JUDGE: config.judge}
        if Arm.CONTROL in config.baselines:
            roles[Role.CONTROL] = config.control
        return {
            role.value: {
                "asked": model.model if role in self.roles or model.model == RECORDED else model._target_,
                "params": dict(model.params),
                **({"api": model.api, "seeded": False} if model.api == "responses" else {}),  # it has no seeds
            }
            for role, model in roles.items()
        }

    def _standin_facts(self) -> dict[str, Any] | None:
        from resample.standin.truth import any_of, planted

        if self.standin is None:
            return None
        played = [role.value for role, model in self.roles.items() if model.model.startswith(STANDIN)]
        facts: dict[str, Any] = {"roles": played, "planted": None}
        if Role.CANDIDATE in played:
            rates = planted(self.config.candidate.model.removeprefix(STANDIN), self.standin)
            facts["planted"] = {
                "rates": dict(rates),
                "any": any_of(rates),
                "correlation": self.standin.correlation,
            }
        if Role.JUDGE in played:
            facts["judge"] = asdict(self.config.standin.judge)
        return facts


def _asked(model: configs.Model) -> dict[str, Any]:
    """What makes a role's answers what they are; not how fast, how often or at what price it is asked."""
    asked = asdict(model)
    for name in ("timeout", "attempts", "price", "concurrency", "rate_limit", "budget", "api_key_env"):
        del asked[name]
    if model.api == "chat":
        del asked["api"]  # as it was before there was another
    asked["headers"] = sorted(asked["headers"])
    if model.model.startswith("openai/"):
        asked["base_url"] = model.base_url or os.environ.get("OPENAI_BASE_URL")
    return asked


def prompts_of(config: configs.RunConfig) -> dict[str, str]:
    """SHA-256 of every prompt the run uses."""
    hashes = {f"judge/{name}": digest for name, digest in prompt_hashes(JUDGE_PROMPTS).items()}
    module = import_module((config.simulator._target_ or "").rpartition(".")[0] or "resample")
    folder = Path(module.__file__ or "").parent / "prompts"
    return hashes | {f"simulator/{name}": digest for name, digest in prompt_hashes(folder).items()}


# -- a plan meets a store -------------------------------------------------------------------------------------------


def accept(plan: Plan, store: Store, overrides: list[str]) -> None:
    """Plan a new run, or extend the one that is there. Raises UserError for any other difference."""
    identity = plan.identity()
    _check_identity(store, identity)
    _check_extends(store, plan.config.samples)
    evidence = store.evidence()
    entries = index(plan.wanted(store.purged()), store.directory, evidence)
    store.put_index(_drawn(plan, entries), evidence)
    transcripts, weighted = store.transcripts()
    if not store.has_prefixes:
        raise UserError(_nothing_to_do(plan, store))
    facts = asdict(plan.facts(_hash(identity, transcripts), transcripts, weighted))
    if old := store.get("facts"):
        facts["id"] = old["id"]
    for key, value in {
        "identity": identity,
        "facts": facts,
        "samples": plan.config.samples,
        "overrides": overrides,
    }.items():
        store.put(key, value)


def rehash(store: Store) -> None:
    """Set the hashes of a run anew, after transcripts were removed from it."""
    facts = store.get("facts")
    if facts is not None:
        transcripts, weighted = store.transcripts()
        facts["identity"] = _hash(store.get("identity"), transcripts)
        facts["hashes"]["transcripts"] = transcripts
        facts["estimand"]["weighted"] = weighted
        store.put("facts", facts)


def _hash(identity: Mapping[str, Any], transcripts: str) -> str:
    return hashlib.sha256(orjson.dumps([identity, transcripts], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _drawn(plan: Plan, entries: Iterable[Indexed | Excluded]) -> Iterator[tuple[Indexed, int] | Excluded]:
    """Each prefix with its cluster's place in the drawn order."""
    for entry in entries:
        yield (entry, derive(plan.config.seed, "draw", entry.cluster)) if isinstance(entry, Indexed) else entry


def _check_identity(store: Store, identity: dict[str, Any]) -> None:
    stored = store.get("identity")
    if stored is None:
        return
    now = orjson.loads(orjson.dumps(identity))
    if differences := list(_differences(stored, now)):
        listed = "; ".join(differences[:8]) + (f"; and {len(differences) - 8} more" if len(differences) > 8 else "")
        raise UserError(
            f"out={store.directory}: that run was made with other settings: {listed}."
            " A run can be extended (samples, transcripts.limit), not changed: choose another out"
        )


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path} was {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_extends(store: Store, samples: int) -> None:
    earlier = store.get("samples")
    if earlier is not None and samples < earlier:
        raise UserError(
            f"out={store.directory}: samples was {earlier}, now {samples}: a run can be extended, not shrunk"
        )


def _nothing_to_do(plan: Plan, store: Store) -> str:
    path = transcripts_at(plan.config.transcripts.path)
    first = store.first_excluded()
    if first is None:
        return f"transcripts.path={path}: no transcripts there"
    total = sum(store.excluded().values())
    where = first.file if first.line is None else f"{first.file}:{first.line}"
    detail = f" ({first.detail})" if first.detail else ""
    return f"transcripts.path={path}: none of {total} is usable; the first: {where}: {first.reason}{detail}"
