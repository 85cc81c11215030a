"""Showing the page of a graph: in the cell of a notebook, else from a file in the browser."""

import sys
import tempfile
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import nn
from graphgrad.errors import PictureError
from graphgrad.viz.showing import HEIGHT, frame, kernel_shell
from tests.browser import Parts


@pytest.fixture
def graph() -> Any:
    x = gg.Tensor(2.0, requires_grad=True, name='"><script>alert(1)</script>')
    return gg.graph(x * x)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """No real one: the addresses that it was asked to open. Temporary files go to tmp_path."""
    addresses: list[str] = []

    def open_it(url: str) -> bool:
        addresses.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_it)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return addresses


def test_the_page_is_in_a_file_that_stays_and_opens(graph: Any, browser: list[str]) -> None:
    path = graph.show()
    assert browser == [path.as_uri()]
    assert path.read_text("utf-8") == graph.to_html()
    assert graph.show() != path, "the first page is still open in the browser"
    assert path.exists()


def test_the_page_goes_where_it_is_told_and_looks_as_told(
    graph: Any, browser: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert graph.show(path="page.html", direction="forward") == Path("page.html")
    assert browser == [(tmp_path / "page.html").as_uri()]
    written = (tmp_path / "page.html").read_text("utf-8")
    assert written == graph.to_html(direction="forward") != graph.to_html()


@pytest.mark.parametrize("fault", [None, webbrowser.Error("none"), OSError("none")])
def test_without_a_browser_it_says_where_the_page_is(
    graph: Any,
    browser: list[str],
    fault: Exception | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: str) -> bool:
        if fault is None:
            return False
        raise fault

    monkeypatch.setattr(webbrowser, "open", fail)
    path = graph.show()
    assert path.is_file()
    said = capsys.readouterr()
    assert said.err == f"show: no browser could be opened; the page is in {path}\n"
    assert (said.out, browser) == ("", [])


def test_what_cannot_be_written_or_drawn_opens_nothing(
    graph: Any, browser: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PictureError, match="limit=1"):
        graph.show(limit=1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(PictureError, match=r"cannot make a temporary folder: .*path="):
        graph.show()
    assert browser == []
    assert list(tmp_path.iterdir()) == []


class Shell:
    """What IPython's shell is for us: some have a kernel, and something that publishes."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.published: list[dict[str, str]] = []
        self.display_pub = SimpleNamespace(publish=self.published.append)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return shell


def test_the_page_is_in_the_cell(graph: Any, browser: list[str], notebook: Shell) -> None:
    assert graph.show(direction="forward") is None
    (bundle,) = notebook.published
    assert bundle["text/plain"] == f"{graph!r}\nto see the page: .show(path='page.html')"
    ((tag, given),) = Parts(bundle["text/html"]).tags
    assert tag == "iframe"
    assert given["srcdoc"] == graph.to_html(direction="forward")
    assert given["sandbox"] == "allow-scripts", "neither the notebook's origin nor its cookies"
    assert given["title"] == repr(graph)
    assert bundle["text/html"].endswith(">Run this cell again to see the page.</iframe>")
    assert browser == []


def test_a_notebook_writes_a_file_where_one_is_asked_for(
    graph: Any, browser: list[str], notebook: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    assert graph.show(path=path) == path
    assert path.read_text("utf-8") == graph.to_html()
    (bundle,) = notebook.published
    assert bundle["text/plain"] == f"{graph!r}\npage: {path}"
    assert browser == []


@pytest.mark.parametrize(
    "module",
    [
        SimpleNamespace(),  # half imported
        SimpleNamespace(get_ipython=lambda: None),  # imported by some library
        SimpleNamespace(get_ipython=SimpleNamespace),  # in a terminal: no kernel
        SimpleNamespace(get_ipython=lambda: Shell(None)),
    ],
)
def test_ipython_without_a_kernel_is_no_notebook(
    module: Any, graph: Any, browser: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert kernel_shell() is None
    assert graph.show().is_file()
    assert len(browser) == 1


def test_a_page_in_a_frame_runs_its_own_script_and_nothing_else(tmp_path: Path, visit: Any) -> None:
    """Its strict policy holds there too; the page around it stays out of its reach."""
    history = {"loss": [2.0, 1.0], "accuracy": [0.5, 0.75]}
    page = gg.viz.training_page(history, tmp_path / "page.html", title="A & <b>")
    around = tmp_path / "notebook.html"
    cell = frame(page.read_text("utf-8"), '"><script>alert(1)</script>')
    around.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{cell}</body>", "utf-8")
    outer = visit(around)
    inside = outer.frame_locator("iframe")
    inside.locator("svg").first.wait_for()
    assert inside.locator("h1").inner_text() == "A & <b>"
    assert outer.locator("script").count() == 0
    width = outer.locator("iframe").bounding_box()["width"]
    assert width == outer.locator("body").bounding_box()["width"]
    child = outer.frames[1]
    assert (
        child.evaluate(
            "(() => { try { return parent.document && 'reached' } catch { return 'no' } })()"
        )
        == "no"
    )


def test_the_stepper_works_in_a_cell(tmp_path: Path, visit: Any) -> None:
    """Its frame may store nothing and reach nothing; it steps, opens a module and comes back."""
    net = nn.Sequential(nn.Affine(3, 4), nn.ReLU(), nn.Affine(4, 2))
    page = gg.graph(net, np.ones((2, 3), np.float32)).to_html(collapse=1)
    around = tmp_path / "notebook.html"
    around.write_text(f"<!DOCTYPE html><body>{frame(page, 'net')}</body>", "utf-8")
    outer = visit(around, 700)
    inside = outer.frame_locator("iframe")
    inside.locator("body.ready").wait_for()
    size = outer.frames[1].evaluate("[document.documentElement.scrollHeight, innerHeight]")
    assert size == [HEIGHT, HEIGHT], "nothing is out of sight"
    count = inside.locator("#count")
    end = count.inner_text()
    inside.locator("#first").click()
    start = count.inner_text()
    inside.locator("#canvas").press("ArrowRight")
    assert len({start, count.inner_text(), end}) == 3
    box = inside.locator("g.box[aria-label='Linear 2']")
    box.press("Enter")  # choose it
    box.press("Enter")  # open it
    inside.locator("#path li").nth(1).wait_for()
    assert inside.locator("[aria-label='weight']").count() == 1
    inside.locator("#out").click()
    assert inside.locator("#path li").count() == 1
