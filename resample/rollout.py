"""Play one turn: the candidate acts, the simulator answers, until the turn ends.

Knows no config, no disk and no other rollout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from resample.actions import ActionStyle, style
from resample.guard import guarded
from resample.seeds import derive
from resample.types import (
    ChatModel,
    ChatRequest,
    Fault,
    Hears,
    Message,
    ModelError,
    Prefix,
    Reply,
    Role,
    Rollout,
    RunStopped,
    SimulatorSession,
    Source,
    StopReason,
    ToolCall,
    ToolOutput,
    ToolSimulator,
)

_CANDIDATE_FAULTS = {
    Fault.REJECTED: StopReason.CANDIDATE_ERROR,
    Fault.REFUSED: StopReason.REFUSED,
    Fault.CONTEXT: StopReason.CONTEXT_OVERFLOW,
    Fault.ACCESS: StopReason.INFRASTRUCTURE_ERROR,
    Fault.UNAVAILABLE: StopReason.INFRASTRUCTURE_ERROR,
}
_SIMULATOR_FAULTS = {
    Fault.ACCESS: StopReason.INFRASTRUCTURE_ERROR,
    Fault.UNAVAILABLE: StopReason.INFRASTRUCTURE_ERROR,
}
_CUT_SHORT = {"length": StopReason.MAX_TOKENS, "content_filter": StopReason.REFUSED}


async def play(
    prefix: Prefix,
    original: Sequence[Message],
    candidate: ChatModel,
    simulator: ToolSimulator,
    *,
    seed: int,
    max_steps: int,
    role: Role = Role.CANDIDATE,
) -> Rollout:
    """Resample the turn after `prefix`. A failure is a stop reason; only RunStopped is raised.

    Candidate and simulator may be anybody's code: whatever they raise fails this rollout, visibly, and no other.
    """
    turn = _Turn()
    try:
        session = simulator.open(prefix, original, derive(seed, Role.SIMULATOR))
    except RunStopped:
        raise
    except Exception as error:
        return turn.end(StopReason.SIMULATOR_ERROR, f"open: {type(error).__name__}: {error}")
    known_tools = frozenset(_tool_name(schema) for schema in prefix.tools.items)
    actions = style(prefix.actions).as_shown(prefix.messages.items)
    for step in range(max_steps):
        request = ChatRequest(role, prefix.messages, tuple(turn.messages), prefix.tools, step)
        try:
            reply = await guarded(candidate.complete(request))
        except ModelError as error:
            return turn.end(_CANDIDATE_FAULTS[error.fault], str(error))
        except RunStopped:
            raise
        except Exception as error:
            return turn.end(StopReason.CANDIDATE_ERROR, f"{type(error).__name__}: {error}")
        turn.messages.append(reply.message)
        calls = actions.calls(reply.message)
        if (ending := _ending(reply, calls, prefix, actions)) is not None:
            return turn.end(ending)
        if step == max_steps - 1:
            break  # nobody will read these outputs: do not pay for them
        stopped = await _answer_all(turn, calls, actions, known_tools, session)
        if stopped is not None:
            return stopped
    return turn.end(StopReason.MAX_STEPS)


@dataclass
class _Turn:
    messages: list[Message] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def end(self, reason: StopReason, detail: str = "") -> Rollout:
        marks = tuple(self.marks) if any(self.marks) else ()
        return Rollout(tuple(self.messages), reason, tuple(self.sources), marks, detail)


def _ending(reply: Reply, calls: Sequence[ToolCall], prefix: Prefix, actions: ActionStyle) -> StopReason | None:
    """Why the turn ends with this reply; None where the candidate waits for tool outputs."""
    if reply.message.get("refusal"):
        return StopReason.REFUSED
    if reply.finish_reason in _CUT_SHORT:
        return _CUT_SHORT[reply.finish_reason]
    if any(call.name in prefix.terminal_tools or actions.ends_turn(call) for call in calls):
        return StopReason.TERMINAL_TOOL
    return None if calls else StopReason.ENDED


async def _answer_all(
    turn: _Turn,
    calls: Sequence[ToolCall],
    actions: ActionStyle,
    known_tools: frozenset[str],
    session: SimulatorSession,
) -> Rollout | None:
    """Append the output of every call, in order; the ended rollout if one could not be answered."""
    for call in calls:
        output = _harness_error(call, known_tools)
        if output is not None:
            if isinstance(session, Hears):
                session.hear(call, output)
        else:
            try:
                output = _checked(await guarded(session.answer(call)))
            except RunStopped:
                raise
            except ModelError as error:
                reason = _SIMULATOR_FAULTS.get(error.fault, StopReason.SIMULATOR_ERROR)
                return turn.end(reason, f"{call.name}: {error}")
            except Exception as error:
                return turn.end(StopReason.SIMULATOR_ERROR, f"{call.name}: {type(error).__name__}: {error}")
        turn.messages.append(actions.output(call, output.content))
        turn.sources.append(output.source)
        turn.marks.append(output.mark)
    return None


def _checked(output: object) -> ToolOutput:
    if not (isinstance(output, ToolOutput) and isinstance(output.content, str) and isinstance(output.source, Source)):
        raise TypeError(f"a simulator must answer with ToolOutput(text, Source), not {output!r:.200}")
    return output


def _harness_error(call: ToolCall, known_tools: frozenset[str]) -> ToolOutput | None:
    """The error a real harness gives the model for a call it cannot pass on to a tool."""
    if known_tools and call.name not in known_tools:
        listed = ", ".join(sorted(known_tools))
        return ToolOutput(f"Error: unknown tool {call.name!r}. Available tools: {listed}", Source.HARNESS)
    if call.parsed is None:
        return ToolOutput(
            f"Error: the arguments of {call.name} are not a valid JSON object: {call.arguments}",
            Source.HARNESS,
        )
    return None


def _tool_name(schema: Message) -> str:
    inner = schema.get("function") or schema.get("custom") or schema
    return str(inner.get("name", ""))
