"""Keras models, narrow, with weights on which a mistake cannot hide, and their files."""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its rewrites change results by up to 1e-4

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from backends.networks import random_weights, to_float64
from resnets import backends
from resnets.networks.architecture import Architecture
from resnets.networks.network import Network, Preprocessing
from resnets.networks.reference import forward
from resnets.networks.spec import Block, Norm, Stage

TENSORFLOW = backends.load("tensorflow")  # which imports TensorFlow without its greetings

import keras  # noqa: E402
from keras.src.applications import resnet  # noqa: E402
from keras.src.legacy.saving import legacy_h5_format  # noqa: E402

PIXELS = np.random.default_rng(3).integers(0, 256, (2, 41, 41, 3), np.uint8)
EPSILON = Norm(epsilon=1.001e-5, decay=0.99)
CAFFE = Preprocessing(
    size=41, mean=(123.68 / 255, 116.779 / 255, 103.939 / 255), std=(1 / 255,) * 3
)


def randomise(model: Any) -> Any:
    """Give a model random weights and moving statistics, all different."""
    rng = np.random.default_rng(5)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            values = rng.uniform(0.5, 1.5, variable.shape)
        elif len(variable.shape) == 1:
            values = rng.normal(0, 0.3, variable.shape)
        else:
            scale = np.float32(np.sqrt(2 / np.prod(variable.shape[:-1])))
            values = rng.standard_normal(variable.shape, np.float32) * scale
        variable.assign(values)
    return model


def build(blocks: Any, preact: bool = False, **others: Any) -> Any:
    """keras.applications' own function, with fewer and narrower blocks."""
    given = {"weights": None, "input_shape": (41, 41, 3), "classes": 5, **others}
    given.setdefault("classifier_activation", None)
    return randomise(resnet.ResNet(blocks, preact, True, **given))


def two_stages(x: Any) -> Any:
    x = resnet.stack_residual_blocks_v1(x, 4, 2, stride1=1, name="conv2")
    return resnet.stack_residual_blocks_v1(x, 8, 1, name="conv3")


def build_narrow(**others: Any) -> Any:
    return build(two_stages, **others)


def save_counted(model: Any, path: Path) -> Path:
    path = path.with_name("net.weights.h5")
    model.save_weights(path)
    return path


def save_whole_and_grouped(model: Any, path: Path) -> Path:
    path = path.with_name("whole.h5")
    model.save(path)
    return path


def save_grouped(model: Any, path: Path) -> Path:
    path = path.with_name("net.h5")
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def save_archive(model: Any, path: Path) -> Path:
    path = path.with_name("net.keras")
    model.save(path)
    return path


def save_unnamed(model: Any, path: Path) -> Path:
    """As Keras 3 wrote before it noted names."""
    path = save_counted(model, path)
    with h5py.File(path, "r+") as file:
        _forget_names(file)
    return path


def save_unnamed_archive(model: Any, path: Path) -> Path:
    old, path = save_archive(model, path), path.with_name("old.keras")
    with zipfile.ZipFile(old) as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "model.weights.h5":
                memory = io.BytesIO(content)
                with h5py.File(memory, "r+") as file:
                    _forget_names(file)
                content = memory.getvalue()
            after.writestr(name, content)
    return path


def _forget_names(file: Any) -> None:
    for group in file["layers"].values():
        del group["vars"].attrs["name"]
        if not len(group["vars"]):
            del group["vars"]


FORMS = (
    save_counted,
    save_grouped,
    save_whole_and_grouped,
    save_archive,
    save_unnamed,
    save_unnamed_archive,
)


def preprocess(p: Preprocessing, pixels: npt.NDArray[Any] = PIXELS) -> npt.NDArray[Any]:
    """What a network here gets: red, green, blue from 0 to 1, [n, channels, height, width]."""
    scaled = (pixels.astype(np.float32) / 255 - np.float32(p.mean)) / np.float32(p.std)
    return scaled.transpose(0, 3, 1, 2)


def logits(network: Any, images: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """What the definition of the function gives for images."""
    x = preprocess(network.preprocessing) if images is None else images
    return forward(network.architecture, to_float64(network.weights), x.astype(np.float64)).logits


def keras_logits(model: Any) -> npt.NDArray[Any]:
    """What a user of Keras computes for the same images."""
    return np.asarray(model(keras.applications.resnet.preprocess_input(PIXELS.astype("f4"))))


def network(a: Architecture, p: Preprocessing | None = None) -> Network:
    names = tuple(f"class {k}" for k in range(a.classes))
    p = p or Preprocessing(size=41, mean=(0.5,) * a.channels, std=(0.25,) * a.channels)
    return Network(a, random_weights(a), p, names)


V1 = Architecture(
    name="narrow",
    classes=5,
    stages=(
        Stage(depth=2, width=16, block=Block(kind="bottleneck", stride_in="1x1")),
        Stage(depth=1, width=32, stride=2, block=Block(kind="bottleneck", stride_in="1x1")),
    ),
    bias=True,
    norm=EPSILON,
)
