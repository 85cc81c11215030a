"""Decisions before changes: a program that must give up has changed nothing yet."""

from graphgrad.compiling.program import UNGUARDED, Call, Program, Var
from graphgrad.compiling.tracing import Trace


def decisions_first(program: Program, trace: Trace) -> Program:
    """Move what changes something outside behind the last decision.

    Where a later call reads what was changed, that cannot be, and the trace fails.
    """
    last = max((k for k, c in enumerate(program.calls) if c.guard is not UNGUARDED), default=-1)
    outside = {var.memory for var, _ in program.inputs}
    early: list[Call] = []
    late: list[Call] = []
    moved: set[Var] = set()  # memory that is written later than the function did
    for call in program.calls[: last + 1]:
        touched = {v.memory for v in (*call.inputs(), *call.outputs(), *call.mutates)}
        writes = {v.memory for v in call.mutates}
        if (writes & outside or not call.pure) and not call.draws:
            late.append(call)
            moved |= writes | {v.memory for v in call.outputs()}
        elif touched & moved:
            if call.guard is not UNGUARDED or not writes <= moved:
                trace.fail("Python decides by a value after the function changed something")
                return program
            late.append(call)
        else:
            # nothing that a moved call reads may be overwritten in between
            early.append(call)
    calls = [*early, *late, *program.calls[last + 1 :]]
    return Program(program.inputs, calls, program.results, program.effects)
