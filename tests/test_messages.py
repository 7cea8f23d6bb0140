"""The most important sentences that a user reads, word for word.

Only here is wording pinned. Elsewhere tests assert the class of an error, its fields, and which
argument it names, so that a better sentence changes this file alone.
"""

import shlex
from pathlib import Path

import pytest
from PIL import Image

from commands import resnets
from resnets.networks import catalog
from resnets.networks.folder import save, save_weights
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing

MESSAGES = {
    "show resnet5O": (
        1,
        (
            "no network is called 'resnet5O'; near it: resnet50, resnet50d, resnet50c (all: "
            "resnets models)"
        ),
    ),
    "show resnet50 --size 0": (
        1,
        "input size is not valid:\n  size: 0 is not a number of pixels from 1 to 32768",
    ),
    "show resnet50 --classes -3": (
        1,
        "architecture is not valid:\n  classes: -3 is not a whole number from 1 to 16777216",
    ),
    "models vgg*": (
        1,
        "no network matches 'vgg*' (all: resnets models)",
    ),
    "train --recipe quik": (
        1,
        (
            "no recipe is called 'quik'; did you mean quick? (there are quick, broad, "
            "instant, steady, swift, thorough, folder, finetune, accurate, chapter); a "
            "recipe's file ends in .toml or .json"
        ),
    ),
    "train --recipe gone.json": (
        1,
        "gone.json: no such file; a recipe is a name or a JSON or TOML file",
    ),
    "train --epochs 0": (
        1,
        "recipe is not valid:\n  epochs: 0 is not from 1 to 100000",
    ),
    "train --epoch 3": (
        2,
        "Unknown option: --epoch. Did you mean --epochs?",
    ),
    "train --momentum 0.9 --optimiser adamw": (
        1,
        "recipe is not valid:\n  momentum: adamw has none; its memory is set by betas",
    ),
    "train --data nowhere": (
        1,
        (
            "no data set is called 'nowhere' and no folder is there (data sets: "
            "fashion_mnist; or a folder with one folder of images a class)"
        ),
    ),
    "train --framework caffe": (
        1,
        "no backend is called 'caffe' (there are torch, jax, tensorflow, mxnet)",
    ),
    "train --data pictures --network resnet8_slim --epochs 3 --grow 2:resnet18": (
        1,
        "resnet18 does not contain resnet8_slim: stem.width: 32 here, 64 there",
    ),
    "train --data pictures --network resnet8_slim --epochs 3 --grow 3:2-2-2": (
        1,
        "recipe is not valid:\n  grow[0].epoch: 3 is not after 0 and before the end, 3",
    ),
    "train --reset-head": (
        1,
        "recipe is not valid:\n  reset_head: is for weights to start from; set start",
    ),
    "evaluate nowhere": (
        1,
        (
            "nowhere: no such file or folder (a name on the hub: hf-hub:owner/name; the "
            "catalog's names have no weights)"
        ),
    ),
    "predict net": (
        2,
        'Command "predict" parameter IMAGES requires an argument.',
    ),
    "explain net": (
        1,
        "net is no run folder; say what to evaluate on by --data",
    ),
    "export resnet8_slim --to a.onnx --int8": (
        1,
        "resnet8_slim leads to no images; --data names images for int8",
    ),
    "export resnet8_slim --to a --engine tensorrt": (
        1,
        (
            "no engine is called 'tensorrt' (there are torch-plain, torch, torch-bf16, "
            "torch-compiled, onnxruntime, onnxruntime-int8, openvino, openvino-bf16, "
            "openvino-int8)"
        ),
    ),
    "export net --to net": (
        1,
        "net: exists; choose another name, or remove it first",
    ),
    "convert net.safetensors out --classes 3": (
        1,
        "net.safetensors has 10 classes, not 3; --reset-head draws a new dense layer for 3",
    ),
    "convert net.safetensors out --channels 1": (
        1,
        (
            "net.safetensors takes 3 channels, not 1; choose what becomes of its first "
            "kernel: --input sum (to 1 channel) or --input repeat"
        ),
    ),
    "convert net.safetensors out.pth": (
        1,
        (
            "out.pth: pickles are not written; torch opens a .safetensors file by "
            "safetensors.torch.load_file(FILE), timm and transformers open the folder"
        ),
    ),
    "report net -o page.pdf": (
        1,
        "page.pdf: pages are .html",
    ),
    "serve net --port 70000": (
        1,
        "--port 70000: from 0 (any that is free) to 65535",
    ),
    "serve net --top 0": (
        1,
        "--top 0: at least one class is named",
    ),
    "grow net --to 1-1-1 -o x": (
        1,
        "resnet8_slim 1-1-1 adds no block",
    ),
    "grow net --to 2-2-2 -o net": (
        1,
        "net holds something already; choose a new folder by --out",
    ),
    "prune-depth net --share 2 -o x": (
        1,
        "--share 2.0: not above 0, up to 1",
    ),
    "check pytorch": (
        1,
        "no framework is called pytorch (there are torch, jax, tensorflow, mxnet)",
    ),
    "dance": (
        2,
        (
            'Unknown command "dance". Available commands: train, evaluate, predict, explain, '
            "report, serve, show, draw, ..."
        ),
    ),
}
"""From what is typed to the exit status and what is said."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with images of two classes, a network, and weights without a name."""
    place = tmp_path_factory.mktemp("messages")
    for name in ("a", "b"):
        (place / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (8, 8), number * 20).save(place / "pictures" / name / f"{number}.png")
    a = catalog.get("resnet8_slim", channels=1, classes=2)
    preprocessing = Preprocessing(size=8, mean=(0.5,), std=(0.25,))
    save(Network(a, initial_weights(a), preprocessing, ("a", "b")), place / "net")
    bare = initial_weights(catalog.get("cifar_resnet20"))
    save_weights(bare, place / "net.safetensors")
    return place


@pytest.mark.parametrize("command", MESSAGES)
def test_message(command: str, place: Path) -> None:
    done = resnets(*shlex.split(command), cwd=place, COLUMNS="80")
    assert "Traceback" not in done.stderr
    assert (done.returncode, _message(done.stderr)) == MESSAGES[command]


def _message(written: str) -> str:
    """Return an error's sentences, without the notes before it or the box around it."""
    if written.startswith("╭"):
        inside = (line.strip("│ ") for line in written.splitlines()[1:-1])
        return " ".join(" ".join(inside).split())
    return written.partition("error: ")[2].removesuffix("\n")
