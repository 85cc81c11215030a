"""Two affine layers learn real images: 97 % of the digits, nothing chosen on test images.

    python examples/train_mlp.py [folder] [--data mnist|fashion|cifar10] [--resume] [--epochs N]

train_mlp_curves.png: how it learned; train_mlp_filters.png: its first weights as images;
train_mlp_mistakes.png: what it misreads.
"""

import argparse
import math

import common
import numpy as np

from graphgrad import data, nn

EPOCHS, LR = 60, 5e-3


def learn(options: argparse.Namespace, seed: int) -> common.Run:
    """Learn with one seed: of a tenth of the training images only the validation takes note."""
    train, test = common.load(options, seed)
    shape = train.images.shape[1:]
    rng = np.random.default_rng(seed)
    train, held = data.split(train, 0.1, rng=rng)
    hidden, scores = nn.Affine(math.prod(shape), 100, rng=rng), nn.Affine(100, 10, rng=rng)
    model = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), scores)
    nn.init.initialize(model, nn.init.he_normal, rng=rng)
    before = hidden.weight.data.reshape(-1, *shape).copy()
    trainer = common.learn(options, seed, model, train, held, lr=LR, rng=rng)
    return common.Run(trainer, before, test)


def main(options: argparse.Namespace) -> None:
    """Learn with each seed, and draw."""
    runs = common.learn_all(options, learn)
    common.draw_curves(runs, options.folder / "train_mlp_curves.png")
    before, model = runs[-1].filters_before[:40], runs[-1].model
    after = model[1].weight.data[:40].reshape(before.shape)
    title = "What the first 40 hidden units look for: their weights"
    common.draw_filters(before, after, options.folder / "train_mlp_filters.png", title)
    common.draw_mistakes(runs, options.folder / "train_mlp_mistakes.png")


if __name__ == "__main__":
    main(common.arguments("Let two affine layers learn.", EPOCHS))
