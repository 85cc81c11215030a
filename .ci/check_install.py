"""Look at the installed package from outside the checkout, whose path is the first argument."""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import numpy as np

import graphgrad as gg

checkout = Path(sys.argv[1]).resolve()
place = Path(gg.__file__).resolve().parent
if place.is_relative_to(checkout):
    sys.exit(f"graphgrad comes from the checkout, not from the wheel: {place}")
for name in ("nn", "optim"):
    package = getattr(gg, name)
    if package is not sys.modules[f"graphgrad.{name}"]:
        sys.exit(f"there are two of graphgrad.{name}")
    if Path(str(package.__file__)).resolve().parent != place / name:
        sys.exit(f"graphgrad.{name} comes from {package.__file__}")
    if importlib.util.find_spec(name) is not None:
        sys.exit(f"a top-level {name} got installed")
if not (place / "py.typed").is_file():
    sys.exit("py.typed is missing")
if importlib.metadata.version("graphgrad") != gg.__version__:
    sys.exit("the metadata tell another version")

x = gg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
(x * x).sum().backward()
if np.asarray(x.grad).tolist() != [2.0, 4.0, 6.0]:
    sys.exit(f"a wrong gradient: {x.grad}")

page = gg.viz.training_page({"loss": [2.0, 1.0]}, "page.html")  # with the style and the script
if "svg" not in page.read_text("utf-8"):
    sys.exit("the page of a training has no script")

python = sys.version.split()[0]
print(f"graphgrad {gg.__version__} works when installed: Python {python}, NumPy {np.__version__}")
