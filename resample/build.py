"""From a config to objects: the only place that instantiates."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from resample import collector
from resample import config as configs
from resample.build_models import Shares, model_of, preflight_all, price_for
from resample.engine import Engine, Progress, Settings
from resample.formats.adjust import Adjust, Adjustment, Images, as_read, read_supplies
from resample.formats.exclusions import Problem
from resample.formats.registry import FORMATS
from resample.journal import JournalledModel, journalling
from resample.judging.canaries import bundled_canaries
from resample.judging.dependence import LLMDependence
from resample.judging.taxonomy import read_taxonomy
from resample.models.budget import Budget, TurnBudget
from resample.models.endpoint import Endpoint
from resample.models.price import Price
from resample.models.window import window_of
from resample.outlook import outlook
from resample.paths import transcripts_at
from resample.plan import RECORDED, STANDIN, Plan
from resample.plug_ins import parameters, plug_in
from resample.prepare.fit import Fit, Reader
from resample.prepare.index import Indexed, load, open_prefix
from resample.prepare.policies import policy
from resample.prepare.prefix import make_prefix
from resample.prepare.scrub import Rules, Scrubber
from resample.prepare.tokens import counter_for
from resample.prepare.truncate import Cut
from resample.schedule import Places
from resample.seeds import derive
from resample.standin.server import start
from resample.standin.settings import StandInSettings
from resample.standin.settings import models as presets
from resample.store import EXAMPLES, FIDELITY, Store
from resample.types import (
    Arm,
    ChatModel,
    Dependence,
    Message,
    Prefix,
    Role,
    RolloutKey,
    ToolSimulator,
    Transcript,
    UserError,
)

_PER_MILLION = 1e-6
_MOST_EXAMPLES = 500

Case = tuple[Prefix, tuple[Message, ...], str]
"""What fidelity is measured on: a prefix, its original turn, and the format it was read from."""


def make_plan(config: configs.RunConfig) -> Plan:
    """Resolve a checked config, without a connection. Raises UserError for what cannot work, such as a missing key."""
    taxonomy = read_taxonomy(config.taxonomy)
    canaries = bundled_canaries(taxonomy.ids)
    if config.canaries.count is not None and config.canaries.count > len(canaries):
        raise UserError(f"canaries.count={config.canaries.count}: for this taxonomy there are {len(canaries)}")
    count = len(canaries) if config.canaries.count is None else config.canaries.count
    drawn = random.Random(derive(config.seed, "canaries")).sample(canaries, count)
    roles = _roles(config)
    settings = standin_settings(config.standin, config.seed)
    played = any(model.model.startswith(STANDIN) for model in roles.values())
    adjust = adjustment(config.transcripts, config.scrub)
    plan = Plan(
        config,
        taxonomy,
        tuple(drawn),
        settings if played else None,
        roles,
        policy(config.truncate, config.seed),
        adjust,
        _reading(config),
        Fit(tuple(_readers(config, roles))),
    )
    for role, model in roles.items():
        _check_preset(role, model)
        model_of(role, model, Shares(config, "http://127.0.0.1", config.cache))
    return plan


def _readers(config: configs.RunConfig, roles: Mapping[Role, configs.Model]) -> Iterator[Reader]:
    """The roles whose model's window is known."""
    shortened = {Role.SIMULATOR: config.fit.simulator, Role.JUDGE: config.fit.judge}
    for role, model in roles.items():
        window = window_of(model.model) if model.window is None else model.window
        if window is not None:
            room = max(window - config.fit.room, 0)
            yield Reader(role.value, counter_for(model.model), room, shortened.get(role) == "shorten")


def _reading(config: configs.RunConfig) -> dict[str, Any]:
    """What makes transcripts what they are, beside their own content."""
    given = config.transcripts
    supply = None if given.supply is None else Path(given.supply).expanduser().read_bytes()
    return {
        "images": given.images,
        "supply": None if supply is None else hashlib.sha256(supply).hexdigest(),
        "infer_tools": given.infer_tools,
        "scrub": asdict(rules_of(config.scrub)) if config.scrub.enabled else None,
    }


def adjustment(config: configs.Transcripts, scrub: configs.Scrub) -> Adjust:
    """What is done to transcripts as they are read. Raises UserError for supplies or rules that cannot be used."""
    supplies = None
    if config.supply is not None:
        supplies = read_supplies(Path(config.supply).expanduser(), frozenset(FORMATS))
    images = Images(config.images)
    adjust = as_read if images is Images.KEEP and supplies is None else Adjustment(images, supplies)
    if not scrub.enabled:
        return adjust
    scrubber = Scrubber(rules_of(scrub))

    def scrubbed(transcript: Transcript) -> Transcript | Problem:
        adjusted = adjust(transcript)
        return adjusted if isinstance(adjusted, Problem) else scrubber(adjusted)

    return scrubbed


def rules_of(scrub: configs.Scrub) -> Rules:
    """What is scrubbed, without how it is asked for."""
    return Rules(scrub.kinds, scrub.patterns, scrub.allow)


def _check_preset(role: Role, model: configs.Model) -> None:
    if model.model.startswith(STANDIN) and model.model.removeprefix(STANDIN) not in presets():
        known = ", ".join(STANDIN + name for name in presets())
        raise UserError(f"{role}.model={model.model}: there is no such stand-in; there are {known}")


def standin_settings(config: configs.StandIn, seed: int) -> StandInSettings:
    """The stand-in's planted truth."""
    return StandInSettings(
        rates=dict(config.rates),
        correlation=config.correlation,
        seed=seed,
        judge_sensitivity=config.judge.sensitivity,
        judge_specificity=config.judge.specificity,
        simulator_faults=config.simulator.faults,
    )


def _roles(config: configs.RunConfig) -> dict[Role, configs.Model]:
    """The roles that need a model."""
    roles: dict[Role, configs.Model] = {}
    if config.candidate.model != RECORDED:
        roles[Role.CANDIDATE] = config.candidate
    if Arm.CONTROL in config.baselines:
        roles[Role.CONTROL] = config.control
    if roles and "model" in parameters(config.simulator._target_):
        roles[Role.SIMULATOR] = config.simulator
    if "model" in parameters(config.judge._target_):
        roles[Role.JUDGE] = config.judge
    return roles


class Opened(NamedTuple):
    """A run, ready to begin."""

    engine: Engine
    measure: Callable[[], Awaitable[None]]
    """Measures the fidelity of the simulation on a sample, where that is asked for."""


@asynccontextmanager
async def open_engine(plan: Plan, store: Store, progress: Progress) -> AsyncIterator[Opened]:
    """An engine with everything it needs; connections and the stand-in end with it."""
    config = plan.config
    server = start(plan.standin) if plan.standin is not None else None
    places = Places(config.concurrency)
    shares = Shares(config, server.base_url if server else "", config.cache, places.away)
    models: dict[Role, ChatModel] = {}
    try:
        for role, model in plan.roles.items():
            models[role] = model_of(role, model, shares)
        _count_spent(store, models, shares.budget)
        guess = outlook(plan, store).turns(prices(plan)) if shares.budget.limited else None
        journalled: dict[Role, ChatModel] = {
            role: JournalledModel(model, store, config.seed, progress.paid, once=_draws_nothing(role, plan))
            for role, model in models.items()
        }
        engine = _engine(plan, store, journalled, progress, places, TurnBudget(shares.budget, guess))
        if plan.config.preflight and engine.left:
            await preflight_all(plan, store, models)
        with collector.seldom():
            yield Opened(engine, _sampled(plan, store, journalled))
    finally:
        for each in models.values():
            with suppress(Exception):  # anybody's code, and nothing depends on it any more
                await each.close()
        if server is not None:
            server.close()


def _draws_nothing(role: Role, plan: Plan) -> bool:
    """Is the simulator's model asked to answer without drawing? Then the same call in the same state is asked once."""
    return role is Role.SIMULATOR and plan.roles[role].params.get("temperature") == 0


def prices(plan: Plan) -> dict[Role, Price | None]:
    """What the tokens of each role's model cost; None where it is not known."""
    return {role: price_for(role, model) for role, model in plan.roles.items()}


def _count_spent(store: Store, models: Mapping[Role, ChatModel], budget: Budget) -> None:
    """What a resumed run has already spent counts against its budgets."""
    for used in store.usage():
        model = models.get(Role(used.role))
        own = model.budget if isinstance(model, Endpoint) else budget
        own.add(used.usage)


def _engine(
    plan: Plan,
    store: Store,
    models: Mapping[Role, ChatModel],
    progress: Progress,
    places: Places,
    budget: TurnBudget,
) -> Engine:
    config = plan.config
    arms: dict[Arm, ChatModel | None] = {Arm.CANDIDATE: models.get(Role.CANDIDATE)}
    for name in config.baselines:
        arms[Arm(name)] = models.get(Role.CONTROL) if name == Arm.CONTROL else None
    given = {"seed": config.seed, "taxonomy": plan.taxonomy, "view": config.judge.view}
    return Engine(
        store,
        Settings(
            samples=config.samples,
            max_steps=config.max_steps,
            seed=config.seed,
            concurrency=config.concurrency,
            max_failures=config.max_failures,
            judge=plan.judge_name,
            retry=config.retry == "failed",
            warm=config.cache.warm == "auto",
            together=config.first_step == "together",
        ),
        arms,
        simulator(config, given | _reads(plan, Role.SIMULATOR, models) | {"others": lambda: _others(store)}),
        plug_in("judge", config.judge, given | _reads(plan, Role.JUDGE, models)),
        plan.canaries,
        open_prefix,
        progress,
        _dependence(plan, given | _reads(plan, Role.JUDGE, models)),
        places,
        budget,
    )


def _dependence(plan: Plan, given: Mapping[str, Any]) -> Dependence | None:
    """Who is asked whether findings depend on invented content; nobody where the judge has no model."""
    if not plan.config.judge.whose_fault or given["model"] is None:
        return None
    return LLMDependence(**{name: value for name, value in given.items() if name != "taxonomy"})


def simulator(config: configs.RunConfig | configs.FidelityConfig, given: Mapping[str, Any]) -> ToolSimulator:
    """The simulator that a config asks for. What it may use of `given` it asks for by the names of its arguments."""
    own = config.simulator
    asked = {
        "original": own.original,
        "routes": own.routes,
        "faults": asdict(own.faults),
        "workspace": own.workspace,
        "workspaces_in": [_folder(config.transcripts), Path.cwd(), *map(Path, own.workspaces_in)],
    }
    wanted = parameters(own._target_)
    for name, default in (("original", 1.0), ("routes", []), ("faults", asdict(configs.Faults())), ("workspace", None)):
        if name not in wanted and asked[name] != default:
            raise UserError(f"simulator.{name}: {own._target_} takes no such argument")
    made: ToolSimulator = plug_in("simulator", own, {**given, **asked})
    return made


async def fidelity(
    config: configs.FidelityConfig,
    turns: Sequence[Case],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Measure how well simulated outputs pass for real ones, on these turns (prefix, original turn, format)."""
    models: dict[Role, ChatModel] = {}
    server = None
    try:
        if "discriminator" in config.measures:
            roles: dict[Role, configs.Model] = {Role.SIMULATOR: config.simulator, Role.JUDGE: config.judge}
            if any(model.model.startswith(STANDIN) for model in roles.values()):
                server = start(standin_settings(config.standin, config.seed))
            shares = Shares(config, server.base_url if server else "", configs.Cache(warm="off"))
            for role, model in roles.items():
                _check_preset(role, model)
                models[role] = model_of(role, model, shares)
        return await _measured(config, config.measures, config.discriminator, turns, models, progress)
    finally:
        for each in models.values():
            with suppress(Exception):
                await each.close()
        if server is not None:
            server.close()


async def _measured(
    config: configs.RunConfig | configs.FidelityConfig,
    measures: Sequence[str],
    asked: configs.Discriminator,
    turns: Sequence[Case],
    models: Mapping[Role, ChatModel],
    progress: Callable[[int], None] = lambda done: None,
    others: Callable[[], Iterator[tuple[Prefix, tuple[Message, ...]]]] | None = None,
) -> dict[str, Any]:
    """The measures of `simulators.fidelity`, as JSON."""
    package = import_module("simulators.fidelity")
    snapshots = import_module("simulators.workspace.snapshots").Snapshots
    within = [_folder(config.transcripts), Path.cwd(), *map(Path, config.simulator.workspaces_in)]
    measured: dict[str, Any] = await package.measure(
        measures,
        [package.Case(*turn) for turn in turns],
        models.get(Role.SIMULATOR),
        models.get(Role.JUDGE),
        package.Settings(config.seed, asked.pairs, asked.controls, asked.margin, config.concurrency),
        snapshots(config.simulator.workspace, within),
        progress,
        others,
    )
    return measured


def case_of(indexed: Indexed) -> Case:
    """A transcript as fidelity is measured on it: its prefix, its original turn, and the format it was read from."""
    transcript = load(indexed)
    tools = orjson.loads(indexed.toolset) if indexed.toolset else []
    prefix, original = make_prefix(transcript, Cut(indexed.cut, indexed.cut_end), tools)
    return prefix, original, prefix.source


def _sampled(plan: Plan, store: Store, models: Mapping[Role, ChatModel]) -> Callable[[], Awaitable[None]]:
    """Puts a share of the run's prefixes before the discriminator, once its rollouts are done; journalled like them."""
    config = plan.config

    async def measure() -> None:
        share = config.fidelity.sample
        if not share or not {Role.SIMULATOR, Role.JUDGE} <= models.keys():
            return
        drawn = [
            indexed
            for indexed, _ in store.prefixes()
            if random.Random(derive(config.seed, "fidelity", indexed.prefix)).random() < share
        ]
        with journalling(store, RolloutKey(FIDELITY, Arm.CANDIDATE, 0), resumed=True):
            measured = await _measured(
                config,
                ["discriminator"],
                config.fidelity,
                [case_of(indexed) for indexed in drawn],
                models,
                others=lambda: _others(store),
            )
        store.put(FIDELITY, {"prefixes": len(drawn), **measured["discriminator"]})

    return measure


def _folder(transcripts: configs.Transcripts) -> Path:
    """Where the transcripts are."""
    path = Path(transcripts_at(transcripts.path)).expanduser()
    return path if path.is_dir() else path.parent


def _others(store: Store) -> Iterator[tuple[Prefix, tuple[Message, ...]]]:
    """The transcripts that others are simulated by, each cut at its last place, in drawn order.

    They stay those of the run's first start: a prompt that was paid for must not change when the run is extended.
    """
    entries = {indexed.prefix: indexed for indexed, _ in store.prefixes()}
    if store.get(EXAMPLES) is None:
        last: dict[str, Indexed] = {}
        for indexed in entries.values():
            if indexed.transcript not in last or last[indexed.transcript].cut < indexed.cut:
                last[indexed.transcript] = indexed
        store.put(EXAMPLES, [indexed.prefix for indexed in last.values()][:_MOST_EXAMPLES])
    for prefix in store.get(EXAMPLES):
        if prefix in entries:  # it may have been purged
            with suppress(UserError):  # changed or gone: the rollouts that need it will say so
                yield open_prefix(entries[prefix])


def _reads(plan: Plan, role: Role, models: Mapping[Role, ChatModel]) -> dict[str, Any]:
    """The model of a simulator or a judge, and how much of a conversation it is shown."""
    given: dict[str, Any] = {"model": models.get(role)}
    for reader in plan.fit.readers:
        if reader.role == role and reader.shorten:
            given |= {"room": reader.room, "count": reader.counter.count}
    return given
