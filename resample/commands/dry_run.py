"""`dry_run=true`: what a run would ask, and what it would cost. No call is made, nothing is left on the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from resample.commands import say
from resample.types import Exit, Role

if TYPE_CHECKING:
    from resample.models.price import Price
    from resample.outlook import Outlook
    from resample.plan import Plan
    from resample.store import Store

_OWN = (Role.CANDIDATE, Role.CONTROL)
"""Roles whose target, if there is one, is the model itself."""
_HEAD = ("role", "model", "requests", "prompt tokens", "from the cache", "completion tokens", "USD", "USD uncached")
_ASSUMED = (
    "assumed: as many steps as the original turn has (at most max_steps), messages as long as those before the cut,"
    " every tool call answered by the simulator's model, and a provider that caches prompts; without the questions"
    " that findings raise (judge.whose_fault), faulty answers asked for again, and fidelity.sample"
)


def dry_run(plan: Plan) -> int:
    """Print it. Returns the exit code."""
    from resample.build import prices
    from resample.outlook import outlook
    from resample.plan import accept
    from resample.store import Store

    with tempfile.TemporaryDirectory(prefix="resample-") as folder:
        store = Store.open(Path(folder))
        try:
            accept(plan, store, [])
            say(_shown(plan, store, outlook(plan, store), prices(plan)))
        finally:
            store.close()
    return Exit.DONE


def _shown(plan: Plan, store: Store, found: Outlook, prices: Mapping[Role, Price | None]) -> str:
    from resample.report.form import aligned

    excluded = sum(store.excluded().values())
    tokens = store.tokens()
    rows = [_row(plan, role, found, prices) for role in found.roles]
    totals = [asked.usage(None, cached=True) for asked in found.roles.values()]
    rows.append(
        [
            "all",
            "",
            _count(sum(asked.requests for asked in found.roles.values())),
            _count(sum(usage.prompt_tokens for usage in totals)),
            _count(sum(usage.cached_tokens for usage in totals)),
            _count(sum(usage.completion_tokens for usage in totals)),
            *(_total(found, prices, cached=cached) for cached in (True, False)),
        ]
    )
    limit = plan.config.budget
    planned = sum(usage.prompt_tokens + usage.completion_tokens for usage in totals)
    over = limit.tokens is not None and planned > limit.tokens
    lines = [
        f"{found.prefixes:,} prefixes of {tokens['sum']:,} tokens, the longest of {tokens['max']:,}"
        f" ({excluded:,} transcripts excluded)",
        f"{found.played:,} rollouts to be played and judged, {found.judged:,} recorded turns and canaries to be judged",
        "",
        aligned(_HEAD, rows),
        *([f"budget.tokens={limit.tokens:,}: that may be too little for all of it"] if over else []),
        "",
        f"disk: about {max(found.disk / 1e6, 1):,.0f} MB",
        _ASSUMED,
        "no call was made, nothing is written",
    ]
    return "\n".join(lines)


def _row(plan: Plan, role: Role, found: Outlook, prices: Mapping[Role, Price | None]) -> list[str]:
    asked = found.roles[role]
    usage = asked.usage(None, cached=True)
    own = plan.roles[role]._target_ if role in _OWN else None
    return [
        role.value,
        own or plan.roles[role].model,
        _count(asked.requests),
        _count(usage.prompt_tokens),
        _count(usage.cached_tokens),
        _count(usage.completion_tokens),
        *(_usd(asked.usage(prices[role], cached=cached).usd) for cached in (True, False)),
    ]


def _total(found: Outlook, prices: Mapping[Role, Price | None], *, cached: bool) -> str:
    costs = [asked.usage(prices[role], cached=cached).usd for role, asked in found.roles.items()]
    return _usd(None if None in costs else sum(filter(None, costs)))


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _usd(cost: float | None) -> str:
    return "no price known" if cost is None else f"{cost:,.2f}"
