"""The book's deep network of chapter 8 learns real images: six convolutions, dropout.

python examples/train_deep_convnet.py [folder] [--data mnist|fashion|cifar10] [--resume]
"""

import argparse

import numpy as np
from common import (
    Run,
    arguments,
    checkpoints,
    draw_curves,
    draw_filters,
    draw_mistakes,
    learn_all,
    load,
)

from graphgrad import data, nn, optim

EPOCHS, BATCH, LR = 40, 50, 1e-3


def learn(options: argparse.Namespace, seed: int) -> Run:
    """Learn with one seed: of a tenth of the training images only the validation takes note."""
    train, test = load(options, seed)
    rng = np.random.default_rng(seed)
    train, held = data.split(train, 0.1, rng)
    model = nn.models.DeepConvNet(train.images.shape[1:], rng=rng)
    before = model.features[0].weight.data.copy()
    optimizer = optim.Adam(model.parameters(), lr=LR)
    batches = data.Batches(train, BATCH, rng, augment=data.Rotate(10))
    trainer = nn.Trainer(
        model,
        optimizer,
        batches,
        validation=held,
        schedule=optim.CosineAnnealingLR(optimizer, options.epochs * len(batches)),
        checkpoints=checkpoints(options, seed),
    )
    trainer.fit(options.epochs, resume=options.resume)
    return Run(trainer, before, test)


def main(options: argparse.Namespace) -> None:
    """Learn with each seed, and draw."""
    runs = learn_all(options, learn)
    draw_curves(runs, options.folder / "train_deep_convnet_curves.png")
    after = runs[-1].model.features[0].weight.data
    path = options.folder / "train_deep_convnet_filters.png"
    draw_filters(runs[-1].filters_before, after, path, "The 16 filters of the first layer", 8)
    draw_mistakes(runs, options.folder / "train_deep_convnet_mistakes.png")


if __name__ == "__main__":
    main(arguments("Let the book's deep network learn.", EPOCHS))
