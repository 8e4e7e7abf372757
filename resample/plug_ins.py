"""Classes that a config names: the program's own and anybody's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from resample import config as configs
from resample.types import UserError

_METHODS = {"candidate": "complete", "control": "complete", "simulator": "open", "judge": "judge"}
"""What each role's target must be able to do."""


def plug_in(role: str, model: configs.Model, given: Mapping[str, Any]) -> Any:
    """An instance of the role's target: it gets its options, and of what the program has to give what it asks for."""
    wanted = parameters(model._target_)
    arguments = {name: value for name, value in given.items() if name in wanted}
    try:
        made = resolve(model._target_)(**arguments, **model.options)
    except UserError:
        raise  # it says by itself what was wrong
    except (Exception, SystemExit) as error:  # anybody's code
        raise UserError(
            f"{role}._target_={model._target_}: cannot be made: {type(error).__name__}: {error}"
            f" ({role}.options gives arguments)"
        ) from None
    if not callable(getattr(made, _METHODS[role], None)):
        raise UserError(
            f"{role}._target_={model._target_}: gives a {type(made).__name__} without a method `{_METHODS[role]}`:"
            " resample/types.py has the protocols"
        )
    return made


def parameters(target: str | None) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(resolve(target)).parameters


def resolve(target: str | None) -> Callable[..., Any]:
    module, _, name = (target or "").rpartition(".")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # anybody's code
        raise UserError(f"_target_={target}: cannot be imported ({type(error).__name__}: {error})") from None
    if not callable(found):
        raise UserError(f"_target_={target}: is nothing that can be called")
    return found
