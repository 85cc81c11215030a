"""What the command line understands, and what it does."""

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
FORMS = (*DRAWN, *WRITTEN)
_LOOK = ("collapse", "focus", "radius", "direction", "heat", "layout")
_DRAWING = ("limit", "timeout")

_VIEW = """\
Run a script as `python script.py` would, then open a page in the browser that shows how one of
its tensors was computed, and how the gradient flows back, one step at a time.
"""
_NAMES = """\
examples:
  graphgrad view train.py             the one tensor that everything led to
  graphgrad view train.py:loss        the tensor in the variable `loss`
  graphgrad view train.py:loss --output loss.svg --collapse 1
  graphgrad view train.py --no-open -- --epochs 3
                                      what follows the -- is for the script

exit codes: 0; 1 if the script fails or there is nothing to draw; 2 for a command that cannot be
understood.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the code to exit with."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, passed_on = given, list[str]()
    if "--" in given:
        own, passed_on = given[: given.index("--")], given[given.index("--") + 1 :]
    parser = _parser()
    options, unknown = parser.parse_known_args(own)
    if unknown:
        parser.error(f"what is {' '.join(unknown)}? What is for a script follows a --")
    if options.do is None:
        parser.print_help(sys.stderr)
        return MISUSED
    try:
        return options.do(options, passed_on)  # type: ignore[no-any-return]
    except ScriptError as error:
        return _refuse(str(error), FAILED)
    except ChoiceError as error:
        return _refuse(f"graphgrad view: {error}", MISUSED)
    except GraphgradError as error:
        return _refuse(f"graphgrad: {_in_options(error)}", FAILED)
    except KeyboardInterrupt:
        return _refuse("graphgrad: interrupted", INTERRUPTED)


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
        help="run a script and show the graph of a tensor of it",
        description=_VIEW,
        epilog=_NAMES,
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
    look = view.add_argument_group("what to show")
    look.add_argument(
        "--collapse",
        type=int,
        metavar="N",
        help="close modules from this depth on into one box each; 0 is the whole network",
    )
    look.add_argument("--focus", metavar="NAME", help="show only what is near this value or module")
    look.add_argument(
        "--radius", type=int, metavar="N", help="how many operations away from the focus (2)"
    )
    look.add_argument(
        "--direction",
        choices=get_args(Direction),
        help="values only (forward), gradients only (backward), or both (the default)",
    )
    look.add_argument(
        "--heat",
        action="store_true",
        default=None,
        help="colour by the size of the gradient: where it vanishes, where it explodes",
    )
    look.add_argument(
        "--layout",
        choices=get_args(Layout),
        help="where the way forward leads (down in graphs with modules, else right)",
    )
    look.add_argument(
        "--limit", type=int, metavar="N", help="how many values there may be to draw (500)"
    )
    look.add_argument(
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
        help="where to; the suffix says what: .html (a page to step through), .svg, .png or .pdf "
        "(a picture), .dot, .mmd or .json (texts). Without it, a page in a temporary folder",
    )
    parser.add_argument("--no-open", action="store_true", help="write the file, but do not open it")


# -------------------------------------------------------------------------------- commands


def _view(options: argparse.Namespace, passed_on: list[str]) -> int:
    path, name = split(options.script)
    look = {key: x for key in _LOOK if (x := getattr(options, key)) is not None}
    drawing = {key: x for key in _DRAWING if (x := getattr(options, key)) is not None}
    # before the script runs, for that may take long
    wrong = _wrong_script(path) or _wrong_output(options.output) or _wrong_look(look)
    if wrong:
        return _refuse(f"graphgrad view: {wrong}", MISUSED)
    _check_layout(options.output)
    ran = run(path, passed_on)
    called, tensor = choose(ran, name)
    name_values(ran)
    graph = Graph(take_snapshot(tensor, name=called))
    return _show(graph, f"{readable(called, 60)} of {path}", options, look | drawing)


def _demo(options: argparse.Namespace, passed_on: list[str]) -> int:
    wrong = _wrong_output(options.output)
    if passed_on:
        wrong = f"what is {passed_on[0]!r} for? The demo takes no arguments after --"
    if wrong:
        return _refuse(f"graphgrad demo: {wrong}", MISUSED)
    price, leaves = price_of_fruit()
    apple, apples, orange, oranges, tax = leaves
    _say(f"{apples:g} apples at {apple:g}, {oranges:g} oranges at {orange:g}, tax {tax:g}")
    _say(f"    price = {price:g}")
    for x in leaves:
        _say(f"    ∂price/∂({x.name}) = {x.grad:g}")
    return _show(Graph(take_snapshot(price)), "the price", options, {})


def split(text: str) -> tuple[Path, str | None]:
    """Split ``script.py:name``; the colon of a Windows drive, and of a file's name, is none."""
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
    if _form(path) not in FORMS:
        return f"--output '{path}' ends in none of {', '.join(f'.{form}' for form in FORMS)}"
    if not path.parent.is_dir():
        return f"--output '{path}': there is no folder '{path.parent}'"
    if path.is_dir():
        return f"--output '{path}' is a folder; name a file"
    return None


def _wrong_look(look: dict[str, Any]) -> str | None:
    """Say what makes no sense in any graph; of a focus only its own can tell."""
    defaults: dict[str, Any] = {"collapse": None, "radius": 2, "direction": "both", "heat": False}
    try:
        check_options(**defaults | look | {"focus": None})
    except PictureError as error:
        return _in_options(error)
    return None


def _check_layout(output: str | None) -> None:
    """Raise an error, if there is no Graphviz and a layout is needed."""
    if _form(output) not in WRITTEN and next(graphviz_commands("json0"), None) is None:
        raise PictureError(INSTALL)


def _form(output: str | os.PathLike[str] | None) -> str:
    return "html" if output is None else Path(output).suffix.lower().removeprefix(".")


def _show(graph: Graph, what: str, options: argparse.Namespace, look: dict[str, Any]) -> int:
    path = Path(options.output) if options.output else temporary_file("graph.html")
    graph.render(path, **look)
    _say(f"{what}: {path}")
    if _form(path) in DRAWN and not options.no_open and not open_in_browser(path):
        _say("No browser could be opened; open that file in one.")
    return 0


# ---------------------------------------------------------------------------------- saying


def _in_options(error: GraphgradError) -> str:
    """Say what a picture refuses as the command line would: ``limit=5`` is ``--limit 5``."""
    message = error.message  # the line is one of ours
    names = "|".join((*_LOOK, *_DRAWING))
    message = re.sub(rf"\b({names})=(?=[\w'])", r"--\1 ", message)
    message = re.sub(rf"\b({names})=|^({names})(?=: )", r"--\1\2", message)
    message = message.replace("; the id of a value does it too", "")
    return message.replace(".to_dot()", "--output graph.dot")


def _say(text: str) -> None:
    """Print, also where the terminal or a pipe does not know a character."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def _refuse(message: str, code: int) -> int:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    return code
