"""A bar that shows how far an epoch is."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Show = Callable[[int, Mapping[str, float]], None]  # samples done, numbers to show


@contextlib.contextmanager
def progress_bar(title: str, total: int, done: int, wanted: bool | None) -> Iterator[Show]:
    """Show samples per second and numbers such as the loss; give a function that moves the bar.

    Parameters
    ----------
    title
        What stands in front.
    total, done
        Samples in all, and those done before.
    wanted
        Whether to show it; None is in terminals and notebooks. Without tqdm (extra: train)
        there is none.
    """
    if wanted is None:
        wanted = sys.stderr.isatty() or "ipykernel" in sys.modules
    tqdm = _tqdm() if wanted else None
    if tqdm is None:
        yield lambda _samples, _numbers: None
        return
    with tqdm(total=total, initial=done, desc=title, unit=" samples", dynamic_ncols=True) as bar:

        def show(samples: int, numbers: Mapping[str, float]) -> None:
            bar.set_postfix_str(", ".join(map(_text, numbers.items())), refresh=False)
            bar.update(samples - bar.n)

        yield show


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm


def _text(item: tuple[str, float]) -> str:
    name, value = item
    return f"{name} {value:.1%}" if name.endswith("accuracy") else f"{name} {value:.4g}"
