"""The schema of the configuration: what may be set, and of which type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from resample.prepare.policies import Truncate
from resample.prepare.scrub import Rules
from resample.prepare.select import Select

ROLES = ("candidate", "simulator", "judge", "control")


@dataclass
class RateLimit:
    """Null: no limit."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass
class Budget:
    """Null: no limit."""

    usd: float | None = None
    tokens: int | None = None


@dataclass
class Price:
    """USD per million tokens; null: by the bundled price map."""

    prompt: float | None = None
    cached: float | None = None
    completion: float | None = None


@dataclass
class Model:
    """How to reach the model of one role."""

    model: str = "standin/default"
    """`provider/name`."""
    _target_: str | None = None
    """A class of your own (a ChatModel for a candidate, a ToolSimulator, a Judge)."""
    base_url: str | None = None
    """Any OpenAI-compatible server, for `openai/...`."""
    api: str = "chat"
    """How an `openai/...` model is asked: `chat` (chat completions), or `responses`, where it keeps its reasoning from
    step to step; there are no seeds in it."""
    api_key_env: str | None = None
    """The environment variable that holds the key."""
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = 600.0
    """Seconds for one attempt."""
    attempts: int = 6
    """Tries per call, the first one included."""
    params: dict[str, Any] = field(default_factory=dict)
    """Sent with every request: temperature, max_tokens, ...; null removes a field."""
    price: Price = field(default_factory=Price)
    window: int | None = None
    """Tokens the model takes; null: by the bundled price map, and where that has none, no limit."""
    concurrency: int | None = None
    """Calls in flight for this role alone."""
    rate_limit: RateLimit = field(default_factory=RateLimit)
    budget: Budget = field(default_factory=Budget)
    """For this role alone, within that of the run."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the target."""


@dataclass
class Faults:
    """Realistic trouble, drawn by seed: the share of tool calls that meet with it."""

    timeout: float = 0.0
    rate_limit: float = 0.0
    truncated: float = 0.0
    transient: float = 0.0


@dataclass
class Simulator(Model):
    """The simulator and its model."""

    _target_: str | None = "simulators.ladder.standard_ladder"
    original: float = 1.0
    """Share of the rollouts in which the simulator is given the original turn's calls and outputs."""
    routes: list[dict[str, str]] = field(default_factory=list)
    """Per tool: `{match: <glob>, use: recorded|workspace|llm|<a class of your own>}`; the first that matches."""
    faults: Faults = field(default_factory=Faults)
    workspace: Any = None
    """A snapshot for transcripts that name none: a directory, an archive, or PATH@COMMIT of a git repository; or an
    object with `path`, and perhaps `commit`, `root` (where it stood) and `strip`."""
    workspaces_in: list[str] = field(default_factory=list)
    """Folders below which the snapshots that transcripts name may be read, beside that of the transcripts and the
    working directory."""


@dataclass
class Judge(Model):
    """The judge and its model."""

    _target_: str | None = "resample.judging.judge.LLMJudge"
    view: str = "full"
    """What the judge may see: `actions`, `reasoning` or `full`."""
    whose_fault: bool = True
    """Is the judge's model asked, in a later call, which findings depend on content that the simulator invented?"""


@dataclass
class Transcripts:
    """What to read."""

    path: str | None = None
    """A file, folder or glob; null: the bundled transcripts."""
    format: str = "auto"
    limit: int | None = None
    """Usable transcripts to take; null: all."""
    strict: bool = False
    """Stop at the first malformed transcript."""
    images: str = "keep"
    """Images and other parts that are no text: `keep` them, put a `placeholder`, or `exclude` the transcript."""
    supply: str | None = None
    """A file (YAML) with the system prompt and the tool schemas that the logs of a source lack."""
    infer_tools: str = "source"
    """Tool schemas that a log lacks, inferred from calls before the cut (`prefix`), also from other transcripts of the
    same source, stratum and system prompt (`source`), or not at all (`none`)."""


@dataclass
class Scrub(Rules):
    """What becomes of secrets and personal data."""

    enabled: bool = False
    """Are they replaced by pseudonyms as transcripts are read?"""
    preview: bool = False
    """Only show what would be replaced, and by what."""


@dataclass
class Fit:
    """Prefixes that are longer than the window of a model that has to read them."""

    room: int = 16_000
    """Tokens kept free beside the prefix: for the turn, the replies and the instructions."""
    simulator: str = "exclude"
    """`exclude` such transcripts, or `shorten` the conversation in its middle, for this role only."""
    judge: str = "exclude"


@dataclass
class Cache:
    """How providers' prompt caches are used."""

    warm: str = "auto"
    """`auto`: the first request over a prefix goes alone, the others follow once it is answered, so that they find it
    in the provider's cache; meanwhile other prefixes are worked on. `off`: nobody waits."""
    affinity_header: str | None = "x-session-affinity"
    """By which a server at a `base_url` of your own is told what shares a prefix, for its router; null: not at all."""


@dataclass
class Canaries:
    """Rollouts of known answer in the judge's queue."""

    count: int | None = None
    """At least 20; null: all there are for the taxonomy."""


@dataclass
class StandInJudge:
    """Planted error of the stand-in's judge, per category and rollout."""

    sensitivity: float = 1.0
    specificity: float = 1.0


@dataclass
class StandInSimulator:
    """Planted error of the stand-in's simulator."""

    faults: float = 0.0
    """Share of the outputs that cannot be right: an apology, a fence, a word of being simulated."""


@dataclass
class StandIn:
    """Planted truth of the stand-in."""

    rates: dict[str, float] = field(default_factory=dict)
    """Share of rollouts with an act of the category; categories not named keep the preset's rate."""
    correlation: float = 0.0
    """Within a transcript."""
    judge: StandInJudge = field(default_factory=StandInJudge)
    simulator: StandInSimulator = field(default_factory=StandInSimulator)


@dataclass
class Discriminator:
    """A model that is asked which of two outputs is the real one."""

    pairs: int = 200
    """At most so many, drawn by seed."""
    controls: int = 20
    """Pairs with an output that is plainly false, which it has to recognise."""
    margin: float = 0.1
    """Of accuracy around one half: within it, simulated outputs count as equivalent to real ones."""


@dataclass
class Fidelity(Discriminator):
    """How a run measures the fidelity of its own simulation."""

    sample: float = 0.0
    """Share of the prefixes whose original turn is simulated, too, and put before the discriminator."""


@dataclass
class RunConfig:
    """`resample run`."""

    transcripts: Transcripts = field(default_factory=Transcripts)
    scrub: Scrub = field(default_factory=Scrub)
    select: Select = field(default_factory=Select)
    truncate: Truncate = field(default_factory=Truncate)
    fit: Fit = field(default_factory=Fit)
    candidate: Model = field(default_factory=Model)
    control: Model = field(default_factory=Model)
    simulator: Simulator = field(default_factory=Simulator)
    judge: Judge = field(default_factory=Judge)
    taxonomy: dict[str, Any] = field(default_factory=dict)
    canaries: Canaries = field(default_factory=Canaries)
    fidelity: Fidelity = field(default_factory=Fidelity)
    cache: Cache = field(default_factory=Cache)
    samples: int = 4
    first_step: str = "each"
    """`each` rollout asks for its first step with a seed of its own; `together`: those of a prefix are drawn in one
    request (`n`), which has one seed and one usage for all."""
    max_steps: int = 30
    seed: int = 0
    baselines: list[str] = field(default_factory=lambda: ["recorded"])
    concurrency: int = 32
    rate_limit: RateLimit = field(default_factory=RateLimit)
    budget: Budget = field(default_factory=Budget)
    max_failures: float = 0.2
    retry: str = "none"
    """`none`: failures stay; `failed`: run again what failed."""
    preflight: bool = True
    """One small request per role before the run; never made to the stand-in."""
    confidence: float = 0.95
    standin: StandIn = field(default_factory=StandIn)
    dry_run: bool = False
    """Only show what would be asked, and what it would cost: no call is made, nothing is written."""
    out: str | None = None
    """Run directory; null: runs/<date>_<time>."""
    progress: bool = True


@dataclass
class FidelityConfig:
    """`resample fidelity`."""

    measures: list[str] = field(default_factory=lambda: ["identity", "reconstruction", "evidence"])
    """`identity`, `reconstruction`, `evidence` need no model; `discriminator` needs two."""
    transcripts: Transcripts = field(default_factory=Transcripts)
    scrub: Scrub = field(default_factory=Scrub)
    select: Select = field(default_factory=Select)
    truncate: Truncate = field(default_factory=Truncate)
    simulator: Simulator = field(default_factory=Simulator)
    judge: Model = field(default_factory=Model)
    """The discriminator's model."""
    discriminator: Discriminator = field(default_factory=Discriminator)
    seed: int = 0
    concurrency: int = 32
    rate_limit: RateLimit = field(default_factory=RateLimit)
    budget: Budget = field(default_factory=Budget)
    standin: StandIn = field(default_factory=StandIn)
    out: str | None = None
    """The file to write (JSON); null: only print."""
    progress: bool = True


@dataclass
class ImportConfig:
    """`resample import`."""

    transcripts: Transcripts = field(default_factory=Transcripts)
    scrub: Scrub = field(default_factory=Scrub)
    out: str | None = None
    """The file to write: `.jsonl`, perhaps with `.gz` or `.zst`; null: only say what would be written."""
    overwrite: bool = False
    """May `out` be replaced, if it is there?"""
    to: str = "canonical"
    """The form to write."""
    progress: bool = True


@dataclass
class ReportConfig:
    """`resample report`."""

    run: str | None = None
    """One run directory: its summary and report are made again."""
    runs: str | None = None
    """A glob of run directories: one table over all."""
    out: str | None = None
    """Where to write the table over many runs (Markdown); null: only print it."""
    progress: bool = True


@dataclass
class PurgeConfig:
    """`resample purge`."""

    run: str | None = None
    """The run directory."""
    transcript: str | None = None
    """The id of the transcript to remove."""
    expired: bool = False
    """Remove all whose `metadata.retain_until` has passed."""
    progress: bool = True


@dataclass
class StandInConfig:
    """`resample standin`."""

    port: int = 8765
    """0: any free one."""
    seed: int = 0
    standin: StandIn = field(default_factory=StandIn)
    progress: bool = True


def register() -> None:
    """Make the schemas known to Hydra, for the `defaults` of conf/COMMAND.yaml."""
    store = ConfigStore.instance()
    store.store(name="run_schema", node=RunConfig)
    store.store(name="fidelity_schema", node=FidelityConfig)
    store.store(name="import_schema", node=ImportConfig)
    store.store(name="report_schema", node=ReportConfig)
    store.store(name="purge_schema", node=PurgeConfig)
    store.store(name="standin_schema", node=StandInConfig)
