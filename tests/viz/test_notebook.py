"""What a notebook shows of a graph: an image that survives an untrusted one, and text."""

import base64
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import graphgrad as gg
from tests.builders import leaf


def bundle(tensor: Any) -> dict[str, str]:
    return gg.graph(tensor)._repr_mimebundle_()


def test_an_image_with_its_data_in_its_address_and_text_and_svg() -> None:
    x = leaf(2.0, name='"><script>alert(1)</script>')
    found = bundle(x * x)
    assert list(found) == ["text/plain", "image/svg+xml", "text/html"]
    assert found["text/plain"].startswith("<Graph of multiply, value 4: 1 op,")
    image = ET.fromstring(found["text/html"].replace('">', '"/>'))
    assert image.tag == "img", "no script, no frame, no inline SVG"
    kind, data = image.attrib["src"].split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == found["image/svg+xml"]
    assert "<script" not in found["image/svg+xml"]
    assert image.attrib["alt"] == found["text/plain"]


def test_what_cannot_be_drawn_is_text_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    x = leaf(np.ones(3))
    for _ in range(600):
        x = x + 1.0
    found = bundle(x)
    assert list(found) == ["text/plain"]
    assert "more than limit=500" in found["text/plain"]
    monkeypatch.setattr("graphgrad.viz.drawing.layout.graphviz_commands", lambda _: iter(()))
    found = bundle(leaf(2.0) * 3.0)
    assert "drawing needs Graphviz" in found["text/plain"]
