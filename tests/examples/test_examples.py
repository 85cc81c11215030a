"""Every example prints what it promises, and draws its pictures.

They run one after the other in this process, for each spends a second on its imports; what only a
process of its own shows is asked of the demo, and of `tests/examples/test_training_scripts.py`.
"""

import ast
import contextlib
import fnmatch
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree as ET

import pytest

from tests.test_packaging import checkout

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PNG = b"\x89PNG\r\n\x1a\n"

PRINTS: dict[str, list[str]] = {  # patterns that the output must hold
    "annealing": [
        r"least training loss is 0\.73066\d",
        r"constant +0\.(0[2-9]|[1-9])",  # it keeps jumping about; the others come to rest
        *(
            rf"{name} +0\.00\d{{4}} "
            for name in ("step", "exponential", "1/t", "  cosine", "warm-up, then cosine")
        ),
        *(rf"{name} +0\.00\d{{4}} " for name in ("one cycle", "on plateau", "rising momentum")),
    ],
    "activations": [
        r"step of -1, 0, 1 = \[0\. 0\. 1\.\]\n",
        r"σ\(1\) = 0\.731",
        r"differ by \de-1\d at most\n",
        r"\[9\.99954600e-01 4\.53978686e-05 2\.06106005e-09\]\n",
        r"\[0\.71 0\.04 0\.26\]\n",
        r"\[0\.55 0\.12 0\.33\]",
    ],
    "apples_and_oranges": [
        r"price +715 +715\n",
        r"∂ apple +2\.2 +2\.2\n",
        r"∂ number of apples +110 +110\n",
        r"∂ orange +3\.3 +3\.3\n",
        r"∂ number of oranges +165 +165\n",
        r"∂ tax +650 +650\n",
    ],
    "augmentation": [
        r"shift by ±1 pixel +5\d\.\d % +9[789]\.\d %\n",
        r"rotate by ±25° +[89]\d\.\d % +9[789]\.\d %\n",
        r"scale by ±25 % +[89]\d\.\d % +9[789]\.\d %\n",
    ],
    "batch_normalization": [
        r"with it: 1[2-6] of 16 scales reach 90 %",
        r"without: [12] of 16 scales reach 90 %",
    ],
    "case_studies": [
        r"VGG-16, 2014\nVGG, input \(3, 224, 224\)\n",
        r"total +138,357,544 ",
        r"of VGG-16: 15,237,608 activations,\n61 MB;",
        r"LeNet-5 +61,706 ",
        r"AlexNet +61,100,840 ",
        r"GoogLeNet +6,624,904 ",
        r"ResNet-50 +25,557,032 ",
        r"loss [67]\.\d+, ln 1000 = 6\.908; gradients of 138,357,544 parameters",
    ],
    "circuits": [
        r"out = -12, ∂x = -4, ∂y = -4, ∂z = 3\n",
        r"out = -12, ∂x = -3, ∂y = 4\n",
        r"out = 4, ∂x = 1, ∂y = 0\n",
        r"out = -20, ∂x = -8, ∂y = 6, ∂z = 2, ∂w = 0\n",
        r"out = 0\.731\d+, ∂w0 = -0\.19\d+, ∂w1 = -0\.39\d+, ∂w2 = 0\.19\d+, ∂x0 = 0\.39\d+",
        r"out = 1\.545645, ∂x = 2\.0595\d+, ∂y = 1\.5922\d+\n",
        r"out \(5, 3\), ∂W \(5, 10\), ∂X \(10, 3\)\n",
    ],
    "convolution": [
        r"Conv2d\(1, 1, kernel_size=3\) +7×7×1 +5×5×1 +5 +10\n",
        r"Conv2d\(1, 1, kernel_size=3, stride=2\) +7×7×1 +3×3×1 +3 +10\n",
        r"227×227×3 +55×55×96 +55 +34,944\n",
        r"maximum, 2×2: \[\[2\.0, 3\.0\], \[4\.0, 2\.0\]\]",
        r"mean, 2×2: \[\[1\.0, 1\.5\], \[2\.25, 1\.0\]\]",
        r"length \(L2\), 2×2: \[\[2\.45, 3\.74\], \[5\.39, 2\.45\]\]",
    ],
    "demo": [
        r"price = 715\n",
        r"∂price/∂\(apple\) = 2\.2\n",
        r"∂price/∂\(number of apples\) = 110\n",
        r"∂price/∂\(orange\) = 3\.3\n",
        r"∂price/∂\(number of oranges\) = 165\n",
        r"∂price/∂\(tax\) = 650\n",
        r"1437 images learnt, 360 held back",
        r"Next:",
    ],
    "diagnosis": [
        r"a sound model\n✓ initial loss: 2\.\d+, in theory ln 10 = 2\.303\n",
        r"hinge loss\n✓ initial loss: [\d.]+, in theory 10 − 1 = 9\n",
        r"✓ overfitting: loss 2\.\d+ → 0\.0\d+ on 20 samples",
        r"0 to 255 instead of 0 to 1\n✗ initial loss: \d{3}",
        r"takes logits\n✓ .*\n.*\n✗ overfitting: loss 2\.\d+ → 1\.5 on 20 samples",
        r"too high: 3 .* 2\.3\d\d +(9|10|11)\.\d\d%\n",
        r"good: 0\.3 .* 0\.0\d\d +9[5-9]\.\d\d%\n",
        r"low: 0\.01 +2\.\d+ +1\.8\d\d +1\.3\d\d ",
        r"weight decay 0 .* gap (2[5-9]|3\d)\.\d\d%\n",
        r"weight decay 0\.02 .* gap ([2-9]|1[0-2])\.\d\d%\n",
        r"tanh, Xavier's weights\n(.*\n){10}nothing unusual\n",
        r"too small\n(.*\n){10}- gradients vanish: at layer 0 ",
        r"too large\n(.*\n){10}(- layer \d: [5-9]\d% of the values are saturated: .*\n){3}",
        r"too high\n(.*\n){10}(- .*\n)*- layer \d: \d\d% of the units are dead: ",
        r"in the browser: pictures.diagnosis\.html\n",
    ],
    "digits_row_by_row": [r"after 1 row: [34]\d", r"after 8 rows: 9[5-9]\.\d% of 360 test digits"],
    "following_the_gradient": [
        r"differ by \de-0[5-7] of the largest",
        r"random search +loss +[5-7]\.\d+, [12]\d\.\d+%",
        r"random local search +loss +0\.[34]\d+, (8[4-9]|9[0-2])\.\d+%",
        r"gradient descent +loss +0\.0\d+, 9[5-8]\.\d+%",
        r"15\.5 % and 21\.4 %",
    ],
    "ensembles": [
        r"one network +9[45]\.\d\d%",
        r"checkpoints of it +9[45]\.\d\d% of the test digits, \+0\.[1-9]\d ± 0\.\d\d points\n",
        r"running average +9[45]\.\d\d% of the test digits, \+0\.[1-9]\d ± 0\.\d\d points\n",
        r"5 networks +95\.\d\d% of the test digits, \+0\.[4-9]\d ± 0\.\d\d points\n",
    ],
    "fully_connected_as_convolution": [
        r"Linear\(288, 64\) is now Conv2d\(32, 64, kernel_size=3\)\n",
        r"(9|1[0-2]) of 12 test digits read right",
        r"against 841 windows: scores differ by [\d.]+e-0[67] ",
        r"with zero padding: by (0\.0[1-9]|0\.[1-9]|[1-9])",
        r"multiplications: 18\.6 against 36\.0, 1\.9 times fewer\n",
    ],
    "hyperparameter_search": [
        r"warning: the best lr, 0\.00\d+, lies on the upper border of Range\(1e-06, 0\.01, log",
        r"fine: lr in Range\(0\.000\d+, 0\.03\d*, log=True\)",
        r"fine: [^:]*\n20 complete\n.*\n +\d+  0\.9[6-9]",  # better than the coarse search
        r"9[5-9]\.\d\d% of 360 test digits are right",
    ],
    "initialisation": [
        r"Xavier, 1 / n_in +0\.1000 wanted, 0\.09\d+ drawn\n",
        r"He, 2 / n_in +0\.1414 wanted, 0\.14\d+ drawn\n",
        r"zeros +loss 2\.\d+, hidden units that differ: 1\n",
        r"Xavier +loss 0\.\d+, hidden units that differ: 50\n",
    ],
    "layers": [
        r"difference to \(y - t\) / N: 0e\+00\n",
        r"relu, x \(2, 3, 4\): loss (\d\.\d{6}) by hand, \1\n",
        r"sigmoid, x \(4,\): loss (\d\.\d{6}) by hand, \1\n",
    ],
    "layers_op_by_op": [
        r"loss 1\.4057: ∂a = (\[\[ 0\.0182 -0\.7548  0\.7366\]\]), y − t = \1\n",
        r"∂x = \[\[ 0\.2645 -0\.3307  0\.0661\]\], sum 0\.000000000\n",
    ],
    "linear_classifiers": [
        r"gradient of b: differ by (\de-1[5-9]|0e\+00) at most\n",
        *(
            rf"{name}, gradient of 650 weights .*:\ngradcheck: passed"
            for name in ("SVM", "softmax")
        ),
        *(rf"{name}: mean of 5 seeds: 9[4-7]\.\d\d%" for name in ("SVM", "softmax")),
    ],
    "losses": [
        r"sum of squares, y against class 2 +0\.0975\n",
        r"class 2 +0\.5108\n",
        r"where y is 0\.1 +2\.30\d\d\n",
        r"Δ = 10 +8\.0000\n",
        r"softmax +2\.302\d\n",
        r"SVM +9\.0000\n",
        r"\[ +0\. +2000\.\], no overflow",
    ],
    "local_response": [
        r"from the formula: \d(e-1[3-9]|e\+00)\n",
        r"channel  3:  40\.0 →   6\.35\n",
        r"40 parameters shared, 1,440 locally connected;\n.* differ by \d(e-1[5-9]|e\+00)\n",
    ],
    "nearest_neighbours": [
        r"k =   1 +9[789]\.\d\d% +9[789]\.\d\d% ± ",
        r"k = 100 +(89|9\d)\.\d\d% +(89|9[012])\.\d\d% ± ",
        r"mean of 5 seeds: (98\.[3-9]|99\.)\d*%",
        r"L1 38\.6 %, L2 35\.4 %",
    ],
    "neighbours_in_a_plane": [
        *(rf"{name} +2\.677\n" for name in ("shifted by a pixel", "dimmed", "under a box")),
        r"nearest of another class +1\.979\n",
    ],
    "numerical_differentiation": [r"one_sided h = 1e-01", r"right\n", r"lr = 10: .* diverges\n"],
    "perceptrons": [
        r" 0  0 +0 +1 +0 +0\n 0  1 +0 +1 +1 +1\n 1  0 +0 +1 +1 +1\n 1  1 +1 +0 +1 +0\n",
        r"the best of 9261 perceptrons has 3 right\n",
        r"two layers learned: 0\.0\d [01]\.[09]\d [01]\.[09]\d 0\.0\d, loss 0\.00",
        r"from 10 starts: (9|10) learned it\n",
    ],
    "preprocessing": [
        r"as it came +3\.80 +2\.91 +5\.79 +3\.16 +2\.08 ",
        r"and scaled +0\.00 +0\.00 +1\.00 +0\.91 +1\.00 ",
        r"PCA\) +0\.00 +0\.00 +7\.60 +0\.00 +0\.27 ",
        r"whitened +0\.00 +0\.00 +1\.00 +0\.00 +1\.00 ",
        r"20 of 64 numbers keep +88\.9 % of the variance of the test digits\n",
    ],
    "optimizers": [
        r"SGD +\(-0\.3504, \+0\.0848\)",
        r"Newton +\(\+0\.0000, \+0\.0000\), loss \d\.\de[-+]",
        r"as in CS231n and PyTorch  1\.90",
        r"velocity after the update 2\.71",
        r"Newton +never: its first step ends on the saddle, \(0, 0\)",
        *(
            rf"{name} +from \({x}, 2\): {end}"
            for name in ("SGD", "AdaGrad", "Adam")
            for x, end in (
                (r"-0\.5", r"\(-4\.00, .*, value -51[12]\.\d"),
                (r"\+0\.5", r"\(\+2\.00, .*, value -(80|79)\."),
            )
        ),
        r"lr = 0\.9  -0\.80 \+0\.64 -0\.51",
        r"lr = 1\.0  -1\.00 \+1\.00 -1\.00 … \+1\.00\n",
        r"lr = 1\.05 -1\.10 \+1\.21 -1\.33 … \+6\.73\n",
        *(rf"{name} +training loss .*, test 9\d" for name in ("SGD", "Nesterov", "Adam", "L-BFGS")),
    ],
    "second_order_graph": [
        r"f\(2\)   = 1\.818595, by hand 1\.818595\n",
        r"f'\(2\)  = 0\.077004, by hand 0\.077004\n",
        r"f''\(2\) = -2\.650889, by hand -2\.650889\n",
        r"forward +#2 += sin\(x\) += 0\.9093\n",
        r"∂ of sin +#6 += cos\(x\) += -0\.4161\n",
        r"∂ backward +∂x += #4 \+ #7 += 0\.0770\n",
    ],
    "showing_digits": [
        r"True +True +True +\(1437, 64\) +float32 +0 … 1 +\(1437, 10\)\n",
        r"False +False +False +\(1437, 1, 8, 8\) +uint8 +0 … 16 +\(1437,\)\n",
        r"9[5-9]\.\d\d% of the test digits recognised\n.* that differ: 0\n",
        r"one by one takes ([2-9]|\d\d+) times as long\n",
    ],
    "sorting_digits": [
        r"backwards: 9[4-9]\.\d% of 2000 digits said right",
        r"ascending: (8[4-9]|9\d)\.\d% of 2000 digits said right",
    ],
    "regularisation": [
        r"all labels right: training 100\.00%, test 9\d",
        r"none +training +(99|100)\.\d\d% +test +7\d\.",  # memorised, errors and all
        *(
            rf"{name} +training +([78]\d|9[0-3])\.\d\d% +test +(8[3-9]|9\d)\."
            for name in (
                *("L2", "L1", "elastic net", "max-norm"),
                *("Saito's form", "inverted dropout", "dropconnect"),
            )
        ),
    ],
    "transfer_learning": [
        r"frozen layers gain ([5-9]|[12]\d)\.\d points with 1 image of each, ([5-9]|[12]\d)\.\d ",
    ],
    "two_layer_net": [
        *(rf"{name} +mean \|difference\| \d\.\de-1\d\n" for name in (r"0\.weight", r"2\.bias")),
        r"mean of 5: 9[789]\.\d\d%",
    ],
    "three_layer_network": [r"\[5, 11, 17\]\n", r"\[0\.31682708 0\.69627909\]\n"],
    "train_convnet": [r"mean of 5 seeds: (98\.[3-9]|99)"],
    "train_deep_convnet": [
        r"mean of 5 seeds: 9[89]\.",
        r"training images: [56]\d\.\d\d% in the last epoch, while learning",
        r"; (99|100)\.\d\d% after it, without either\n",
        r"dropout takes half of the ten scores too",
    ],
    "train_mlp": [r"mean of 5 seeds: 9[789]\."],
    "unrolled_recurrence": [
        r"w = 0\.3 +0\.0023 +0\.0081 +0\.029 +0\.1 +0\.37 +1\.3\n",
        r"w = 1 +0\.061 .* 0\.3\n",
    ],
    "vanishing_gradients": [
        r"SigmoidSmall +\d\.?\d*e-(09|10) .* 0\.0\d+\n",
        r"SigmoidXavier +0\.000\d+ ",
        r"ReLUHe +0\.0\d+ +0\.0\d+ +0\.0\d+ +0\.0\d+ +0\.0\d+ +0\.0\d+\n",
        r"ReLULarge +\d\.?\d*e\+03 ",
    ],
    "weight_gradient": [r"loss +0\.20713\n", r"0\.0293956\d +0\.0828562\d +-0\.1122518\d"],
}
QUICK = {"apples_and_oranges", "three_layer_network", "weight_gradient"}  # in every `make test`
_CIRCUITS = "sum_times_z product maximum patterns neuron staged matrices"
PICTURES: dict[str, set[str]] = {name: {f"{name}.png"} for name in PRINTS}
PICTURES |= {
    "annealing": {"annealing.png", "schedules.png"},
    "apples_and_oranges": {"apples_and_oranges.svg"},
    "circuits": {f"circuit_{name}.svg" for name in _CIRCUITS.split()},
    "demo": {"apples_and_oranges.svg", "apples_and_oranges.html", "digits.png", "digits.html"},
    "diagnosis": {
        "diagnosis.html",
        *(f"diagnosis_{name}.png" for name in ("curves", "good", "small", "large", "dead")),
    },
    "following_the_gradient": {"following_the_gradient.png", "loss_slices.png"},
    "layers": set(),
    "layers_op_by_op": {
        f"{name}.{form}" for name in ("softmax_with_loss", "batch_norm") for form in ("svg", "html")
    },
    "numerical_differentiation": {"error_against_h.png"},
    "preprocessing": {"preprocessing.png", "digits_by_few_numbers.png"},
    "optimizers": {f"optimizers{name}.png" for name in ("", "_elsewhere", "_digits")},
    "second_order_graph": {"slope.svg", "curvature.svg"},
    "three_layer_network": set(),
    "train_convnet": {
        f"train_convnet_{name}.png" for name in ("curves", "filters", "maps", "mistakes")
    },
    "train_deep_convnet": {
        f"train_deep_convnet_{name}.png" for name in ("curves", "filters", "mistakes")
    },
    "train_mlp": {f"train_mlp_{name}.png" for name in ("curves", "filters", "mistakes")},
    "unrolled_recurrence": {
        f"recurrence_{w}.{form}" for w in ("0.3", "1") for form in ("svg", "html")
    },
    "vanishing_gradients": {"vanishing_gradients.svg"},
    "weight_gradient": set(),
}


def run(name: str, folder: Path, *arguments: str) -> str:
    """Run an example in a folder, its pictures going to `pictures` there; return what it prints."""
    path = str(EXAMPLES / f"{name}.py")
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()) as printed,
        patch.object(sys, "argv", [path, "pictures", *arguments]),
        patch.object(sys, "path", [str(EXAMPLES), *sys.path]),
    ):
        runpy.run_path(path, run_name="__main__")
    return printed.getvalue()


def run_apart(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a user does, its warnings being errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )


def test_every_example_is_listed() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"common"}  # which they share
    assert names == set(PRINTS) == set(PICTURES)


@checkout
def test_the_table_of_the_examples_is_complete() -> None:
    """Each script stands there once, with all of its pictures and no other."""
    text = (EXAMPLES / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| \[`(\w+)\.py`\]\(\1\.py\).* \| (.*) \| (\d+) \|$", text, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| [^s-]", text, re.MULTILINE)), "another form of row"
    assert sorted(name for name, *_ in rows) == sorted(PICTURES)
    for name, cell, _ in rows:
        endings = re.findall(r"`([^`]+)`", cell)
        patterns = [f"{name}{end}" if end[0] in "._" else end for end in endings]
        found = {pattern: set(fnmatch.filter(PICTURES[name], pattern)) for pattern in patterns}
        assert all(found.values()), f"{name}: {found}"
        assert set().union(*found.values()) == PICTURES[name], name
        assert bool(patterns) != (cell == "none"), name


@pytest.mark.parametrize("name", PRINTS)
def test_a_script_says_how_to_run_it_and_which_picture_to_look_at(name: str) -> None:
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text("utf-8"))
    first, usage, *rest = str(ast.get_docstring(tree)).split("\n\n")
    assert first.endswith((".", "?")), name
    assert usage.startswith(f"    python examples/{name}.py"), name
    named = re.findall(r"[\w.*]+\.(?:png|svg|html)", " ".join(rest))
    wrong = [pattern for pattern in named if not fnmatch.filter(PICTURES[name], pattern)]
    assert wrong == []
    assert bool(named) == bool(PICTURES[name])


def check_prints(name: str, printed: str) -> None:
    """Check that a script printed what it promises."""
    for pattern in PRINTS[name]:
        assert re.search(pattern, printed), f"{pattern} is not in:\n{printed}"


def check_pictures(folder: Path, names: set[str]) -> None:
    """Check that a folder has these pictures, whole, and no other."""
    paths = [path for path in folder.rglob("*.*") if path.suffix != ".safetensors"]
    assert {path.relative_to(folder).as_posix() for path in paths} == names
    for path in paths:
        if path.suffix == ".svg":
            root = ET.parse(path).getroot()
            assert root.tag.endswith("svg")
            assert "∂ –" not in "".join(root.itertext()), "a gradient that was not kept"
        elif path.suffix == ".html":
            page = path.read_text("utf-8")
            assert page.startswith("<!DOCTYPE html>")
            assert "∂ –<" not in page, "a gradient that was not kept"
        else:
            assert path.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.whole)
        for name in PRINTS
        if name != "demo"
    ],
)
def test_example(name: str, tmp_path: Path) -> None:
    check_prints(name, run(name, tmp_path))
    check_pictures(tmp_path, {f"pictures/{picture}" for picture in PICTURES[name]})


def test_the_demo_runs_by_the_command_of_its_docstring(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    tree = ast.parse((EXAMPLES / "demo.py").read_text("utf-8"))
    found = re.search(r"^    python (\S+)", str(ast.get_docstring(tree)), re.MULTILINE)
    assert found
    result = run_apart(tmp_path, found[1])
    assert result.returncode == 0, result.stderr
    check_prints("demo", result.stdout)
    check_pictures(tmp_path / "demo_output", PICTURES["demo"])
    shown = {f"demo_output{os.sep}{picture}" for picture in PICTURES["demo"]}
    assert all(path in result.stdout for path in shown), "it says where the files are"
    accuracy = re.search(r"([\d.]+)% on the test images", result.stdout)
    assert accuracy, result.stdout
    assert float(accuracy[1]) >= 96
    assert "loss=" in result.stderr, "the progress bar shows the loss"
    assert "steps/s" in result.stderr, "the progress bar shows the rate"
