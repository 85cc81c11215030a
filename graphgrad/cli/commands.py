"""The parser of the command line, and its commands."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from graphgrad.cli.choosing import ChoiceError, choose, name_values
from graphgrad.cli.fruit import price_of_fruit
from graphgrad.cli.scripts import ScriptError, run
from graphgrad.errors import GraphgradError, PictureError
from graphgrad.version import __version__
from graphgrad.viz.drawing.layout import INSTALL, graphviz_commands
from graphgrad.viz.drawing.texts import readable
from graphgrad.viz.picture import DRAWN, WRITTEN, Graph
from graphgrad.viz.showing import open_in_browser, temporary_file
from graphgrad.viz.snapshots.snapshot import take_snapshot
from graphgrad.viz.views.options import Direction, Layout, check_options

FAILED, MISUSED, INTERRUPTED = 1, 2, 130  # exit codes; argparse exits with 2, too
FORMATS = (*DRAWN, *WRITTEN)
_VIEW_OPTIONS = ("collapse", "focus", "radius", "direction", "heat", "layout")
_LIMIT_OPTIONS = ("limit", "timeout")

_DESCRIPTION = """\
Run a script as `python script.py` would, then open a page in the browser that shows how one of
its tensors was computed, and how the gradient flows back, one step at a time.
"""
_EPILOG = """\
examples:
  graphgrad view train.py             the result of the script
  graphgrad view train.py:loss        the tensor in the variable `loss`
  graphgrad view train.py:loss --output loss.svg --collapse 1
  graphgrad view train.py --no-open -- --epochs 3
                                      passes what follows -- to the script

exit codes: 0; 1 if the script fails or there is nothing to draw; 2 for invalid arguments.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, script_arguments = given, list[str]()
    if "--" in given:
        own, script_arguments = given[: given.index("--")], given[given.index("--") + 1 :]
    parser = _parser()
    options, unknown = parser.parse_known_args(own)
    if unknown:
        parser.error(f"unknown: {' '.join(unknown)}; arguments of the script follow a --")
    if options.do is None:
        parser.print_help(sys.stderr)
        return MISUSED
    try:
        return options.do(options, script_arguments)  # type: ignore[no-any-return]
    except ScriptError as error:
        return _fail(str(error), FAILED)
    except ChoiceError as error:
        return _fail(f"graphgrad view: {error}", MISUSED)
    except GraphgradError as error:
        return _fail(f"graphgrad: {_in_options(error)}", FAILED)
    except KeyboardInterrupt:
        return _fail("graphgrad: interrupted", INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphgrad",
        description="See how numbers are computed, and how gradients flow back through them.",
        epilog="Start with: graphgrad demo",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"graphgrad {__version__}")
    parser.set_defaults(do=None)
    commands = parser.add_subparsers(metavar="view | demo")
    form = argparse.RawDescriptionHelpFormatter

    view = commands.add_parser(
        "view",
        help="run a script and show the graph of one of its tensors",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        usage="graphgrad view script.py[:name] [options] [-- arguments of the script]",
        formatter_class=form,
        allow_abbrev=False,
    )
    view.set_defaults(do=_view)
    view.add_argument(
        "script",
        metavar="script.py[:name]",
        help="the script; after a colon the variable that holds the tensor",
    )
    _add_output(view)
    view_options = view.add_argument_group("what to show")
    view_options.add_argument(
        "--collapse",
        type=int,
        metavar="N",
        help="close modules from this depth on into one box each; 0 is the whole network",
    )
    view_options.add_argument(
        "--focus", metavar="NAME", help="show only what is near this value or module"
    )
    view_options.add_argument(
        "--radius", type=int, metavar="N", help="how many operations away from the focus (2)"
    )
    view_options.add_argument(
        "--direction",
        choices=get_args(Direction),
        help="values only (forward), gradients only (backward), or both (the default)",
    )
    view_options.add_argument(
        "--heat",
        action="store_true",
        default=None,
        help="colour by the size of the gradient: where it vanishes, where it explodes",
    )
    view_options.add_argument(
        "--layout",
        choices=get_args(Layout),
        help="direction of the forward pass (default: down in graphs with modules, else right)",
    )
    view_options.add_argument(
        "--limit", type=int, metavar="N", help="how many values may be visible (500)"
    )
    view_options.add_argument(
        "--timeout", type=float, metavar="S", help="how many seconds the layout may take (10)"
    )

    demo = commands.add_parser(
        "demo",
        help="show the price of two apples and three oranges, and its gradients",
        description="Compute what two apples and three oranges cost, and how the price changes "
        "with everything that it depends on; then open a page in the browser that goes through "
        "the computation, one step at a time.",
        allow_abbrev=False,
    )
    demo.set_defaults(do=_demo)
    _add_output(demo)
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="the file; its suffix is the format: .html (a page to step through), .svg, .png or "
        ".pdf (a picture), .dot, .mmd or .json (text). Default: a page in a temporary folder",
    )
    parser.add_argument("--no-open", action="store_true", help="write the file, but do not open it")


# -------------------------------------------------------------------------------- commands


def _view(options: argparse.Namespace, script_arguments: list[str]) -> int:
    path, name = split(options.script)
    view_options = {key: x for key in _VIEW_OPTIONS if (x := getattr(options, key)) is not None}
    drawing = {key: x for key in _LIMIT_OPTIONS if (x := getattr(options, key)) is not None}
    # before the script runs, which may take long
    wrong = _wrong_script(path) or _wrong_output(options.output) or _wrong_options(view_options)
    if wrong:
        return _fail(f"graphgrad view: {wrong}", MISUSED)
    _check_layout(options.output)
    result = run(path, script_arguments)
    called, tensor = choose(result, name)
    name_values(result)
    graph = Graph(take_snapshot(tensor, name=called))
    return _show(graph, f"{readable(called, 60)} of {path}", options, view_options | drawing)


def _demo(options: argparse.Namespace, script_arguments: list[str]) -> int:
    wrong = _wrong_output(options.output)
    if script_arguments:
        wrong = f"takes no arguments after --, got {script_arguments[0]!r}"
    if wrong:
        return _fail(f"graphgrad demo: {wrong}", MISUSED)
    price, leaves = price_of_fruit()
    apple, apples, orange, oranges, tax = leaves
    _print(f"{apples:g} apples at {apple:g}, {oranges:g} oranges at {orange:g}, tax {tax:g}")
    _print(f"    price = {price:g}")
    for x in leaves:
        _print(f"    ∂price/∂({x.name}) = {x.grad:g}")
    return _show(Graph(take_snapshot(price)), "the price", options, {})


def split(text: str) -> tuple[Path, str | None]:
    """Split ``script.py:name``, but not at the colon of a Windows drive or inside a file name."""
    path, colon, name = text.rpartition(":")
    drive = len(path) == 1 and path.isalpha()
    if not colon or not path or drive or re.search(r"[/\\]", name) or Path(text).is_file():
        return Path(text), None
    return Path(path), name


def _wrong_script(path: Path) -> str | None:
    if path.is_dir():
        return f"'{path}' is a folder; name a script in it"
    if not path.is_file():
        return f"there is no file '{path}'"
    if path.suffix == ".ipynb":
        return f"'{path}' is a notebook; write gg.graph(tensor).show() in a cell of it"
    return None


def _wrong_output(output: str | None) -> str | None:
    if output is None:
        return None
    path = Path(output)
    if _format_of(path) not in FORMATS:
        return f"--output '{path}' ends in none of {', '.join(f'.{form}' for form in FORMATS)}"
    if not path.parent.is_dir():
        return f"--output '{path}': there is no folder '{path.parent}'"
    if path.is_dir():
        return f"--output '{path}' is a folder; name a file"
    return None


def _wrong_options(view_options: dict[str, Any]) -> str | None:
    """Return an error on options that are invalid for any graph; the focus depends on the graph."""
    defaults: dict[str, Any] = {"collapse": None, "radius": 2, "direction": "both", "heat": False}
    try:
        check_options(**defaults | view_options | {"focus": None})
    except PictureError as error:
        return _in_options(error)
    return None


def _check_layout(output: str | None) -> None:
    """Raise PictureError if a layout is needed and there is no Graphviz."""
    if _format_of(output) not in WRITTEN and next(graphviz_commands("json0"), None) is None:
        raise PictureError(INSTALL)


def _format_of(output: str | os.PathLike[str] | None) -> str:
    return "html" if output is None else Path(output).suffix.lower().removeprefix(".")


def _show(
    graph: Graph, what: str, options: argparse.Namespace, view_options: dict[str, Any]
) -> int:
    path = Path(options.output) if options.output else temporary_file("graph.html")
    graph.render(path, **view_options)
    _print(f"{what}: {path}")
    if _format_of(path) in DRAWN and not options.no_open and not open_in_browser(path):
        _print("No browser could be opened; open that file in one.")
    return 0


# ---------------------------------------------------------------------------------- output


def _in_options(error: GraphgradError) -> str:
    """Return an error message with options of the command line: ``--limit 5`` for ``limit=5``."""
    message = error.message  # without the line, which is ours
    names = "|".join((*_VIEW_OPTIONS, *_LIMIT_OPTIONS))
    message = re.sub(rf"\b({names})=(?=[\w'])", r"--\1 ", message)
    message = re.sub(rf"\b({names})=|^({names})(?=: )", r"--\1\2", message)
    message = message.replace("; the id of a value does it too", "")
    return message.replace(".to_dot()", "--output graph.dot")


def _print(text: str) -> None:
    """Print, replacing characters that the terminal or pipe cannot encode."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    return code
