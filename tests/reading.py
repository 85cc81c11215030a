"""Reads a printed formula back and computes it: what the tests of formulas compare with."""

import math
import operator
import re
from typing import Any

import numpy as np

_TOKEN = re.compile(
    r"\s*(⁻?ᵀ|\d+(?:\.\d+)?(?:e−?\d+)?|[A-Za-zσΦφΣΠπ_][A-Za-z0-9_]*′*|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|±∞|[^\s])"
)
_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
# What stands between two values, from the weakest to the strongest.
_LEVELS: list[dict[str, Any]] = [
    {"or": operator.or_},
    {"and": operator.and_},
    {"<": np.less, "≤": np.less_equal, ">": np.greater, "≥": np.greater_equal}
    | {"=": np.equal, "≠": np.not_equal},
    {"+": operator.add, "−": operator.sub},
    {"@": operator.matmul, "⊗": np.outer},
    {"·": operator.mul, "×": operator.mul, "/": operator.truediv},
]
_CONDITION, _RELATION, _SUM = 0, 2, 3


class Reader:
    """A recursive-descent parser that computes as it reads."""

    def __init__(self, text: str, known: dict[str, Any]) -> None:
        text = text.replace("ln 2", repr(math.log(2))).replace("ln 10", repr(math.log(10)))
        self.tokens = _TOKEN.findall(text.replace("2π", "2 · π"))
        self.known = {"π": math.pi, "½": 0.5, "∞": math.inf, **known}

    def read(self) -> Any:
        out = self.guarded()
        assert not self.tokens, f"not understood: {self.tokens}"
        return out

    def next(self, *wanted: str) -> str | None:
        """Take the next token if it is one of these."""
        if self.tokens and self.tokens[0] in wanted:
            return str(self.tokens.pop(0))
        return None

    def need(self, token: str) -> None:
        assert self.next(token), f"{token} is missing before {self.tokens}"

    def guarded(self) -> Any:
        out = self.choice()
        if self.tokens[:3] == [",", "0", "where"]:
            del self.tokens[:3]
            out = np.where(self.level(_CONDITION), 0, out)
        return out

    def choice(self) -> Any:
        out = self.level(_SUM)
        if self.next("if"):
            holds = self.level(_CONDITION)
            self.need("else")
            out = np.where(holds, out, self.choice())
        return out

    def level(self, n: int) -> Any:
        if n == len(_LEVELS):
            return self.power()
        if n == _RELATION and self.next("not"):
            return np.logical_not(self.level(n))
        negative = n == _SUM and self.next("−")
        out = -self.level(n + 1) if negative else self.level(n + 1)
        if n == _RELATION and self.next("is"):
            opposite = bool(self.next("not"))
            if self.next("constant"):
                return np.all(out == np.ravel(out)[:1])
            question = {"NaN": np.isnan, "±∞": np.isinf, "finite": np.isfinite}
            return question[self.tokens.pop(0)](out) ^ opposite
        while sign := self.next(*_LEVELS[n]):
            out = _LEVELS[n][sign](out, self.level(n + 1))
        return np.asarray(out, bool) if n == _RELATION else out

    def power(self) -> Any:
        if sign := self.next("√", "∛"):
            return np.sqrt(self.power()) if sign == "√" else np.cbrt(self.power())
        out = self.atom()
        while self.tokens and self.tokens[0] in ("[", "ᵀ", "⁻ᵀ", "⁻¹"):
            sign = self.tokens.pop(0)
            if sign == "[":
                out = out[self.index()]
            else:
                out = out if sign == "ᵀ" else np.linalg.inv(out)
                out = out if sign == "⁻¹" else transposed(out)
        if self.next("^"):
            return np.float64(1) * out ** (self.power() * np.float64(1))
        if self.tokens and (self.tokens[0][0] in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"):
            out = out ** float(self.tokens.pop(0).translate(_DIGITS))
        return out

    def atom(self) -> Any:
        token = self.tokens.pop(0)
        if token == "(":
            out = self.guarded()
            self.need(")")
        elif token == "[":
            out = np.asarray(self.level(_CONDITION), float)
            self.need("]")
        elif token == "|":
            out = np.abs(self.choice())
            self.need("|")
        elif token in "⌊⌈":
            out = (np.floor if token == "⌊" else np.ceil)(self.choice())
            self.need("⌋" if token == "⌊" else "⌉")
        elif token[0].isdigit():
            out = int(token) if token.isdigit() else float(token.replace("−", "-"))
        elif self.next("("):
            out = self.called(token)
        else:
            out = self.known[token]
        return out

    def called(self, name: str) -> Any:
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        while not self.next(")"):
            if self.tokens[1] == "=":
                keyword = self.tokens.pop(0)
                del self.tokens[0]
                keywords[keyword] = self.argument()
            else:
                arguments.append(self.argument())
            self.next(",")
        return self.known[name](*arguments, **keywords)

    def argument(self) -> Any:
        """An expression, or a tuple of numbers, which becomes whole numbers."""
        depth = length = 0
        for token in self.tokens:
            length += 1
            depth += (token == "(") - (token == ")")
            if depth == 0:
                break
        inside = self.tokens[:length]
        numbers = all(t.isdigit() or t in "(),−" for t in inside)
        if inside[0] == "(" and numbers and ("," in inside or len(inside) == 2):
            del self.tokens[:length]
            return eval("".join(inside).replace("−", "-"))
        if self.tokens[0] in ("None", "F", "wrap", "clip") and self.tokens[1] in ",)":
            return {"None": None}.get(word := self.tokens.pop(0), word)
        return self.choice()

    def index(self) -> Any:
        """What stands in the brackets behind a value."""
        end = self.tokens.index("]")
        text = " ".join(self.tokens[:end]).replace("…", "...").replace("−", "-")
        del self.tokens[: end + 1]
        return eval(f"np.s_[{text}]", {"np": np}, self.known)


def transposed(x: Any) -> Any:
    return np.swapaxes(x, -1, -2) if np.ndim(x) > 2 else np.transpose(x)
