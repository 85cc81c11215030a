"""What may be wrong in a rule: a sign, a factor, the order of operands, an axis, a comparison."""

import ast
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
RULES = ("graphgrad/ops", "graphgrad/nn/functional", "graphgrad/nn/kernels", "graphgrad/optim")

OPERATORS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
}
ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
ORDERED_CALLS = {"where", "subtract", "divide", "matmul", "dot", "outer", "power", "arctan2"}
OPPOSITES = {"maximum": "minimum", "max": "min", "fmax": "fmin", "logical_and": "logical_or"}
OPPOSITES |= {there: here for here, there in OPPOSITES.items()}
COMMENT = re.compile(r"  # .*")
# Not rules: what tests sample and pictures show, types, and the words of errors.
DECLARED = {"domain", "doc", "symbol", "name", "strict"}
DOMAINS = {"elementwise", "Reduction", "Cases", "call", "TypeVar"}


Key = tuple[str, str, str]  # a path, and lines of it as they are and as they become


class Mutant(NamedTuple):
    """One expression of a file and what stands in its place."""

    path: str
    reach: tuple[frozenset[int], ...]  # lines whose tests may notice it, the nearest first
    start: int  # in bytes
    end: int
    text: str
    old: str  # the lines of the expression without comments, as they are and as they become
    new: str

    def planted(self, source: bytes) -> bytes:
        """Return the file with the fault in it."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{min(self.reach[0])}\n- {self.old}\n+ {self.new}"

    @property
    def key(self) -> Key:
        """Name it by what it does, wherever it stands."""
        return self.path, self.old, self.new


def _changed(node: Any, **fields: Any) -> Any:
    return type(node)(**{**dict(ast.iter_fields(node)), **fields})


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


def _joined(node: ast.expr) -> bool:
    """Whether a sum of it joins sequences: another operator would be no fault of a rule."""
    return isinstance(node, ast.Tuple | ast.List | ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _of_operators(node: Any) -> Iterator[Any]:
    match node:
        case ast.BinOp() if _joined(node.left) or _joined(node.right):
            return
        case ast.BinOp() if isinstance(node.op, ORDERED):
            yield _changed(node, left=node.right, right=node.left)
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield node.operand
    for other in OPERATORS.get(type(node.op), []):
        yield _changed(node, op=other())


def _of_comparisons(node: ast.Compare) -> Iterator[Any]:
    if len(node.ops) == 1:
        for other in OPERATORS.get(type(node.ops[0]), []):
            yield _changed(node, ops=[other()])


def _of_choices(node: ast.IfExp) -> Iterator[Any]:
    yield _changed(node, body=node.orelse, orelse=node.body)


def _of_numbers(node: ast.Constant) -> Iterator[Any]:
    match node.value:
        case bool():
            yield ast.Constant(not node.value)
        case int():
            yield ast.Constant(node.value + 1)
        case float():
            yield ast.Constant(2 * node.value or 1.0)


def _of_calls(node: ast.Call) -> Iterator[Any]:
    name = _called(node)
    if name in ORDERED_CALLS and len(node.args) > 1:
        *others, left, right = node.args
        yield _changed(node, args=[*others, right, left])
    if other := OPPOSITES.get(name):
        within = isinstance(node.func, ast.Attribute)
        yield _changed(node, func=_changed(node.func, **{"attr" if within else "id": other}))


def _of_axes(node: ast.keyword) -> Iterator[Any]:
    if node.arg == "axis":
        match node.value:
            case ast.Tuple(elts=[_, *others]):
                yield ast.keyword("axis", ast.Tuple(others))
            case ast.UnaryOp():
                yield ast.keyword("axis", ast.Constant(0))
            case ast.Constant(value=int()):
                yield ast.keyword("axis", ast.Constant(-1))


FAULTS: dict[type[ast.AST], Callable[[Any], Iterator[Any]]] = {
    ast.UnaryOp: _of_operators,
    ast.BinOp: _of_operators,
    ast.AugAssign: _of_operators,
    ast.BoolOp: _of_operators,
    ast.Compare: _of_comparisons,
    ast.IfExp: _of_choices,
    ast.Constant: _of_numbers,
    ast.Call: _of_calls,
    ast.keyword: _of_axes,
}


def _inner(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node in which faults of rules may be."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Assert() | ast.Import() | ast.ImportFrom():
            return
        case ast.UnaryOp(operand=ast.Constant()) | ast.keyword(arg="axis"):
            return  # one fault is enough
        case ast.Call() if _called(node) in DOMAINS:
            return
    for name, value in ast.iter_fields(node):
        if name not in {"annotation", "returns"}:
            for part in value if isinstance(value, list) else [value]:
                declared = isinstance(part, ast.keyword) and part.arg in DECLARED
                if isinstance(part, ast.AST) and not declared:
                    yield part


def _read(nodes: Iterable[ast.AST]) -> dict[str, set[int]]:
    """Return the lines that read each name."""
    found: dict[str, set[int]] = {}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, set()).add(node.lineno)
    return found


def _for_domains(tree: ast.Module) -> set[ast.AST]:
    """Find the definitions that only domains read: what tests sample."""
    declared = [n for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg == "domain"]
    found: list[ast.AST] = []
    while True:
        inside = {part for node in (*declared, *found) for part in ast.walk(node)}
        read = _read(inside).keys() - _read(set(ast.walk(tree)) - inside).keys()
        more = [node for node in tree.body if node not in inside and _may_sample(node) & read]
        if not more:
            return set(found)
        found += more


def _lines(node: ast.AST) -> frozenset[int]:
    return frozenset(range(node.lineno, node.end_lineno + 1))  # type: ignore[attr-defined]


def _defined(statement: ast.AST) -> set[str]:
    """Return the names that an assignment gives."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _may_sample(statement: ast.stmt) -> set[str]:
    """Return the private name that a statement of the module gives to no op."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) if name.startswith("_"):
            return {name}
        case ast.Assign(value=ast.Call() as value) | ast.AnnAssign(value=ast.Call() as value):
            return set() if _called(value) == "op" else _defined(statement)
    return {name for name in _defined(statement) if name.isupper()}


def _text(fault: ast.AST) -> str:
    plain = ast.Constant | ast.Name | ast.Call | ast.Attribute | ast.keyword | ast.AugAssign
    text = ast.unparse(fault)
    return text if isinstance(fault, plain) else f"({text})"


def _walk(
    node: ast.AST, around: tuple[ast.AST, ...]
) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    """Yield every node in which a fault may be, with the statements around it, outermost first."""
    if isinstance(node, ast.stmt):
        around = (*around, node)
    yield node, around
    for part in _inner(node):
        yield from _walk(part, around)


def mutants_of(path: str, source: bytes) -> Iterator[Mutant]:
    """Yield every fault of one file."""
    lines = source.splitlines(keepends=True)
    starts = [0, *itertools.accumulate(map(len, lines))]
    tree = ast.parse(source)
    read = _read(ast.walk(tree))
    aside = _for_domains(tree)
    for node, around in _walk(tree, ()):
        if around and around[0] in aside:
            continue
        for fault in FAULTS.get(type(node), lambda _: iter(()))(node):
            start = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
            end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
            left, right = starts[node.lineno - 1], starts[node.end_lineno]  # type: ignore[attr-defined]
            text = _text(fault)
            old = source[left:right].decode()
            new = (source[left:start] + text.encode() + source[end:right]).decode()
            old, new = (" ".join(COMMENT.sub("", part).split()) for part in (old, new))
            functions = [_lines(part) for part in around if isinstance(part, ast.FunctionDef)]
            reach = (
                _lines(node),
                _lines(around[-1]) if not isinstance(around[-1], ast.FunctionDef) else _lines(node),
                *functions[::-1],
                frozenset().union(*(read.get(name, ()) for name in _defined(around[-1]))),
                frozenset(range(1, len(lines) + 1)),
            )
            yield Mutant(path, reach, start, end, text, old, new)


def every_mutant(root: Path = ROOT) -> list[Mutant]:
    """Return every fault of every rule, in an order that seems random.

    The order comes from what a fault does, so a change of the code elsewhere keeps it.
    """
    files = [file for folder in RULES for file in sorted((root / folder).rglob("*.py"))]
    files = [file for file in files if file.name != "docstrings.py"]
    found = [m for f in files for m in mutants_of(str(f.relative_to(root)), f.read_bytes())]
    return sorted(found, key=lambda m: hashlib.sha256(repr(m.key).encode()).digest())


def equivalents() -> dict[Key, str]:
    """Read which mutants compute the same as the code, and why.

    A paragraph of the file has a path and a reason, then lines as they are and as they become.
    """
    found = {}
    for paragraph in EQUIVALENT.read_text("utf-8").strip().split("\n\n"):
        head, *lines = paragraph.splitlines()
        path, _, reason = head.partition(": ")
        for old, new in zip(lines[::2], lines[1::2], strict=True):
            found[path, old.removeprefix("- "), new.removeprefix("+ ")] = reason
    return found
