"""The deep network of Saito's chapter 8 learns real images: six convolutions, dropout.

    python examples/train_deep_convnet.py [folder] [--data mnist|fashion|cifar10] [--resume]

train_deep_convnet_curves.png: how it learned; train_deep_convnet_filters.png: its first filters;
train_deep_convnet_mistakes.png: what it misreads, which you may find hard to read, too.
"""

import argparse

import common
import numpy as np

from graphgrad import data, nn

EPOCHS, LR = 40, 2e-3
START = 0.03  # standard deviation of the first filters


def learn(options: argparse.Namespace, seed: int) -> common.Run:
    """Learn with one seed: of a tenth of the training images only the validation takes note."""
    train, test = common.load(options, seed)
    rng = np.random.default_rng(seed)
    train, held = data.split(train, 0.1, rng=rng)
    model = nn.models.DeepConvNet(train.images.shape[1:], rng=rng)
    before = common.start_small(model.features[0].weight, START)
    trainer = common.learn(options, seed, model, train, held, lr=LR, rng=rng)
    return common.Run(trainer, before, test)


def main(options: argparse.Namespace) -> None:
    """Learn with each seed, and draw."""
    runs = common.learn_all(options, learn)
    print("(As in the book, dropout takes half of the ten scores too while the network learns: for")
    print("every other image that of the right answer.)")
    common.draw_curves(runs, options.folder / "train_deep_convnet_curves.png")
    after = runs[-1].model.features[0].weight.data
    path = options.folder / "train_deep_convnet_filters.png"
    common.draw_filters(runs[-1].filters_before, after, path, "The first layer's 16 filters", 8)
    common.draw_mistakes(runs, options.folder / "train_deep_convnet_mistakes.png")


if __name__ == "__main__":
    main(common.arguments("Let the deep network of Saito's chapter 8 learn.", EPOCHS))
