"""Names and shapes in the state dicts of torchvision's models: what `nn.models` must have too.

To write them anew, where torchvision is installed: python -m tests.golden.shapes
"""

import json
from pathlib import Path

PATH = Path(__file__).with_name("torchvision_shapes.json")
MODELS = (
    *("alexnet", "vgg11", "vgg16", "vgg19"),
    *("googlenet", "resnet18", "resnet34", "resnet50"),
)


def shapes(model: str) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the "parameters" and the "buffers" of a model, each a shape by name."""
    stored: dict[str, dict[str, list[int]]] = json.loads(PATH.read_text("utf-8"))[model]
    return {kind: {name: tuple(s) for name, s in found.items()} for kind, found in stored.items()}


def written() -> str:
    """Build every model without its numbers; a model is a line."""
    import torch
    import torchvision

    lines = [f'"torchvision": "{torchvision.__version__.partition("+")[0]}"']
    for name in MODELS:
        draws = name.startswith(("vgg", "googlenet"))  # slowly, and for nothing
        with torch.device("meta"):
            model = getattr(torchvision.models, name)(**{"init_weights": False} if draws else {})
        kinds = {
            "parameters": {key: list(p.shape) for key, p in model.named_parameters()},
            "buffers": {key: list(b.shape) for key, b in model.named_buffers()},
        }
        assert set(model.state_dict()) == kinds["parameters"].keys() | kinds["buffers"].keys()
        lines.append(f'"{name}": {json.dumps(kinds, separators=(",", ":"))}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(written(), "utf-8", newline="\n")
    print(PATH.name)  # noqa: T201
