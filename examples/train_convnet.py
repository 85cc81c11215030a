"""The SimpleConvNet of Saito's chapter 7 learns real images; what its filters see.

    python examples/train_convnet.py [folder] [--data mnist|fashion|cifar10] [--resume] [--epochs N]

train_convnet_filters.png: the filters before and after. train_convnet_maps.png: what they see in an
image; train_convnet_curves.png: how it learned; train_convnet_mistakes.png: what it misreads.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np

from graphgrad import data, nn
from graphgrad.viz import plots

EPOCHS, LR = 40, 4e-3
START = 0.01  # standard deviation of the filters, as in the book


def learn(options: argparse.Namespace, seed: int) -> common.Run:
    """Learn with one seed: of a tenth of the training images only the validation takes note."""
    train, test = common.load(options, seed)
    rng = np.random.default_rng(seed)
    train, held = data.split(train, 0.1, rng=rng)
    shape = train.images.shape[1:]
    padding = 2 if shape[1] < 20 else 0  # else of 8×8 little would be left
    model = nn.models.SimpleConvNet(shape, padding=padding, rng=rng)
    before = common.start_small(model.features[0].weight, START)
    trainer = common.learn(options, seed, model, train, held, lr=LR, rng=rng)
    return common.Run(trainer, before, test)


def draw_maps(run: common.Run, path: Path) -> None:
    """Draw what each filter makes of an image, after ReLU and after pooling."""
    model, image = run.model, run.test.images[:1]
    seen: dict[str, Any] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, out: Any) -> None:
            seen[name] = np.array(out.data[0])

        return hook

    unhook = [
        model.features[i].register_forward_hook(note(name))
        for i, name in ((1, "after ReLU"), (2, "after pooling"))
    ]
    nn.predict(model, image)
    for remove in unhook:
        remove()
    figure = plots.figure(12, 4.4)
    parts: Any = figure.subfigures(1, 3, width_ratios=(1, 3, 3))
    plots.show_images(parts[0], image, [f"a {run.test.labels[0]}"])
    for part, (name, maps) in zip(parts[1:], seen.items(), strict=True):
        plots.show_images(part, maps, columns=6, title=f"the {len(maps)} maps {name}")
    print(f"drawn: {plots.save(figure, path)}")


def main(options: argparse.Namespace) -> None:
    """Learn with each seed, and draw."""
    runs = common.learn_all(options, learn)
    common.draw_curves(runs, options.folder / "train_convnet_curves.png")
    run = runs[-1]
    after = run.model.features[0].weight.data
    path = options.folder / "train_convnet_filters.png"
    common.draw_filters(run.filters_before, after, path, f"The {len(after)} filters", columns=6)
    draw_maps(run, options.folder / "train_convnet_maps.png")
    common.draw_mistakes(runs, options.folder / "train_convnet_mistakes.png")


if __name__ == "__main__":
    main(common.arguments("Let Saito's SimpleConvNet learn.", EPOCHS))
