"""Folders, files and repositories: what each is taken for, and what is said about it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from backends.networks import images, random_weights
from resnets import convert
from resnets.convert.foreign_names import find_canonical_names
from resnets.errors import InvalidDescription, MissingDependency, ResnetsError, WeightsError
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.folder import TIMM_NAMES, save, save_weights, to_config
from resnets.networks.network import Network, Preprocessing, Weights
from resnets.networks.reference import forward
from resnets.networks.spec import Block, Stage, Stem
from resnets.networks.tracing import tensors
from strategies import architectures

REPOSITORY = "timm/resnet18.a1_in1k"
COMMIT = "491b427b45c94c7fb0e78b5474cc919aff584bbf"


def network(a: Architecture) -> Network:
    preprocessing = Preprocessing(size=40, mean=(0.1,) * a.channels, std=(0.5,) * a.channels)
    names = tuple(f"class {i}" for i in range(a.classes))
    return Network(a, random_weights(a), preprocessing, names)


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
        assert other[name].dtype == np.float32


def narrow_regnet(name: str = "") -> Architecture:
    block = Block(kind="bottleneck", inner=8, groups=2, squeeze_ratio=0.25, squeeze_at="3x3")
    stages = (
        Stage(depth=2, width=8, stride=2, block=block),
        Stage(depth=1, width=16, stride=2, block=replace(block, inner=16)),
    )
    stem = Stem(width=12, kernel=3, stride=2, pool=False)
    return Architecture(name=name, classes=5, stem=stem, stages=stages, naming="regnet")


def timm_folder(
    folder: Path, config: Any, arrays: Weights, file: str = "model.safetensors"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if file.endswith(".safetensors"):
        save_weights(arrays, folder / file)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, folder / file)
    return folder


TIMM = {
    "architecture": "resnet18",
    "num_classes": 5,
    "pretrained_cfg": {
        "tag": "a1_in1k",
        "input_size": [3, 288, 288],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "label_names": ["a", "b", "c", "d", "e"],
    },
}


@pytest.fixture(scope="module")
def resnet18() -> Weights:
    return random_weights(catalog.get("resnet18", classes=5))


@settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(architectures())
def test_folders_of_ours(tmp_path: Path, a: Architecture) -> None:
    before = network(a)
    save(before, tmp_path / "net")
    received = convert.receive(tmp_path / "net")
    after = received.network
    assert (received.kind, received.notes) == ("folder of resnets", ())
    assert after.architecture == a
    assert (after.preprocessing, after.class_names) == (before.preprocessing, before.class_names)
    assert_same(before.weights, after.weights)
    assert convert.describe(tmp_path / "net") == convert.Description(a, 40, ())


@pytest.mark.parametrize("ending", ["pth", "pt", "bin", "pth.tar", "safetensors"])
def test_bare_files_are_recognised_and_what_was_assumed_is_said(
    tmp_path: Path, ending: str
) -> None:
    a = catalog.get("cifar_resnet20")
    arrays, path = random_weights(a), tmp_path / f"net.{ending}"
    if ending == "safetensors":
        save_weights(arrays, path)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    received = convert.receive(path)
    assert received.network.architecture == a
    assert_same(arrays, received.network.weights)
    assert received.network.preprocessing.size == 32
    assert received.network.class_names == tuple("0123456789")
    assert [note.split()[0] for note in received.notes] == ["taken", "preprocessing", "no"]
    assert convert.describe(path).architecture == a


def test_a_stated_network_needs_no_recognition(tmp_path: Path) -> None:
    a = catalog.get("cifar_resnet20", classes=4, channels=2)
    path = tmp_path / "net.safetensors"
    save_weights(random_weights(a), path)
    stated = replace(a, name="mine", activation="silu")
    (tmp_path / "mine.json").write_text(json.dumps(stated.to_json()))
    for given_ in (str(tmp_path / "mine.json"), replace(stated, classes=10, channels=3)):
        assert convert.read(path, network=given_).architecture == stated
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv3\.weight: missing"):
        convert.read(path, network="resnet50")
    with pytest.raises(ResnetsError, match="no network is called 'resnet5'"):
        convert.read(path, network="resnet5")


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_timms_folders(tmp_path: Path, resnet18: Weights, file: str) -> None:
    received = convert.receive(timm_folder(tmp_path / "net", TIMM, resnet18, file))
    found = received.network
    assert found.architecture == catalog.get("resnet18", classes=5)
    assert found.preprocessing == Preprocessing(size=288, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    assert found.class_names == ("a", "b", "c", "d", "e")
    (note,) = received.notes
    assert "bicubic" in note and "0.95" in note
    assert_same(resnet18, found.weights)


def test_timms_older_folders_keep_everything_at_the_top(tmp_path: Path, resnet18: Weights) -> None:
    config = {"architecture": "resnet18", **TIMM["pretrained_cfg"]}
    found = convert.read(timm_folder(tmp_path / "net", config, resnet18))
    assert (found.preprocessing.size, found.class_names[0]) == (288, "a")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"act_layer": "silu"}, {"activation": "silu"}),
        ({"output_stride": 8}, {"output_stride": 8}),
        ({"output_stride": 32, "in_chans": 3, "drop_rate": 0.2, "norm_layer": None}, {}),
        ({"global_pool": "avg", "norm_layer": "batchnorm2d"}, {}),
    ],
)
def test_timms_arguments_are_honoured(
    tmp_path: Path, resnet18: Weights, arguments: Any, expected: Any
) -> None:
    folder = timm_folder(tmp_path / "net", {**TIMM, "model_args": arguments}, resnet18)
    found = convert.read(folder).architecture
    assert found == replace(catalog.get("resnet18", classes=5), **expected)


@pytest.mark.parametrize(
    "arguments",
    [
        {"act_layer": "mish"},
        {"aa_layer": "blurpool"},
        {"global_pool": "max"},
        {"global_pool": "a"},
        {"act_layer": ["relu"]},
        {"norm_layer": "groupnorm"},
        {"output_stride": 4},
        {"block_args": {"attn_layer": "eca"}},
        {"something_new": 1},
    ],
)
def test_timms_arguments_that_cannot_be_described(
    tmp_path: Path, resnet18: Weights, arguments: Any
) -> None:
    folder = timm_folder(tmp_path / "net", {**TIMM, "model_args": arguments}, resnet18)
    with pytest.raises(WeightsError, match=f"model_args.{next(iter(arguments))}.*--network"):
        convert.read(folder)


@pytest.mark.parametrize("name", ["resnetaa50", "resnetblur18", "ecaresnet26t", "vit_base"])
def test_timms_other_networks_are_refused_whatever_their_tensors(
    tmp_path: Path, resnet18: Weights, name: str
) -> None:
    """Anti-aliasing has no tensors: only the name tells."""
    folder = timm_folder(tmp_path / "net", {**TIMM, "architecture": f"{name}.a1_in1k"}, resnet18)
    with pytest.raises(WeightsError, match=f"timm's '{name}'.*--network"):
        convert.read(folder)
    assert convert.read(folder, network="resnet18").architecture.classes == 5


def test_tensors_of_another_network_than_the_one_named(tmp_path: Path, resnet18: Weights) -> None:
    folder = timm_folder(tmp_path / "net", {**TIMM, "architecture": "resnet34"}, resnet18)
    with pytest.raises(WeightsError, match=r"'resnet34'.*layer1\.2\.conv1\.weight .* is missing"):
        convert.read(folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("std", [0.2, 0.0, 0.4], "preprocessing.std"), ("input_size", [3, 0, 0], "size")],
)
def test_preprocessing_that_cannot_be(
    tmp_path: Path, resnet18: Weights, key: str, value: Any, said: str
) -> None:
    cfg = {**TIMM["pretrained_cfg"], key: value}
    folder = timm_folder(tmp_path / "net", {**TIMM, "pretrained_cfg": cfg}, resnet18)
    with pytest.raises(InvalidDescription, match=said):
        convert.read(folder)


def test_an_excited_network_of_another_activation_keeps_timms_relu_and_is_refused(
    tmp_path: Path,
) -> None:
    a = catalog.get("seresnet18", classes=5)
    config = {**TIMM, "architecture": "seresnet18", "model_args": {"act_layer": "silu"}}
    with pytest.raises(WeightsError, match="act_layer"):
        convert.read(timm_folder(tmp_path / "net", config, random_weights(a)))


def timm_regnet_name(name: str) -> str:
    """timm's name of a RegNet's tensor, written down apart from the table under test."""
    parts = name.split(".")
    if parts[0] == "stem":
        return ".".join(["stem", {"0": "conv", "1": "bn"}[parts[1]], parts[2]])
    if parts[0] == "fc":
        return ".".join(["head", *parts])
    stage, block = parts[2].removeprefix("block").split("-")
    rest = parts[3:]
    if rest[0] == "proj":
        rest = ["downsample", {"0": "conv", "1": "bn"}[rest[1]], rest[2]]
    elif rest[1] == "se":
        rest = rest[1:]
    else:
        kind = {"0": "conv", "1": "bn"}[rest[2]]
        rest = [f"conv{'abc'.index(rest[1]) + 1}", kind, rest[3]]
    return ".".join([f"s{stage}", f"b{int(block) + 1}", *rest])


def test_timms_names_of_regnets(tmp_path: Path) -> None:
    a = narrow_regnet()
    arrays = random_weights(a)
    theirs = {timm_regnet_name(name): array for name, array in arrays.items()}
    assert find_canonical_names(theirs)[0] == {timm_regnet_name(name): name for name in arrays}
    path = tmp_path / "net.safetensors"
    save_weights(theirs, path)
    received = convert.receive(path)
    assert received.network.architecture == a
    assert_same(arrays, received.network.weights)
    assert "timm's regnet names" in received.notes[0]


def transformers_name(name: str) -> str:
    """transformers' name of a ResNet's tensor, written down apart from the table under test."""
    parts = name.split(".")
    units = {"conv": "convolution", "bn": "normalization"}
    if parts[0] in ("conv1", "bn1"):
        return f"resnet.embedder.embedder.{units[parts[0][:-1]]}.{parts[1]}"
    if parts[0] == "fc":
        return f"classifier.1.{parts[1]}"
    at = f"resnet.encoder.stages.{int(parts[0][-1]) - 1}.layers.{parts[1]}"
    if parts[2] == "downsample":
        return f"{at}.shortcut.{['convolution', 'normalization'][int(parts[3])]}.{parts[4]}"
    unit = units[parts[2][:-1]]
    return f"{at}.layer.{int(parts[2][-1]) - 1}.{unit}.{parts[3]}"


def test_transformers_folders(tmp_path: Path) -> None:
    block = Block(kind="bottleneck", stride_in="1x1")
    a = Architecture(
        classes=2,
        stem=Stem(width=8),
        stages=(
            Stage(depth=2, width=16, block=block),
            Stage(depth=1, width=32, stride=2, block=block),
        ),
    )
    arrays = random_weights(a)
    theirs = {transformers_name(name): array for name, array in arrays.items()}
    config = {
        "model_type": "resnet",
        "hidden_act": "relu",
        "downsample_in_bottleneck": True,
        "downsample_in_first_stage": False,
        "id2label": {"0": "cat", "1": "dog"},
    }
    folder = timm_folder(tmp_path / "net", config, theirs)
    found = convert.read(folder)
    assert found.class_names == ("cat", "dog")
    assert found.preprocessing.std == (0.229, 0.224, 0.225)
    images_ = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3], "size": {"shortest_edge": 96}}
    (folder / "preprocessor_config.json").write_text(json.dumps(images_))
    expected = Preprocessing(size=96, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    assert convert.read(folder).preprocessing == expected
    x = images(a, 40, 33)
    expected = forward(a, arrays, x).logits
    np.testing.assert_array_equal(forward(found.architecture, found.weights, x).logits, expected)
    timm_folder(tmp_path / "other", {**config, "hidden_act": "silu"}, theirs)
    with pytest.raises(WeightsError, match="hidden_act 'silu'"):
        convert.read(tmp_path / "other")
    timm_folder(tmp_path / "other", {"model_type": "vit"}, theirs)
    with pytest.raises(WeightsError, match="'vit' of transformers"):
        convert.read(tmp_path / "other")


def test_names_that_would_become_one() -> None:
    with pytest.raises(WeightsError, match=r"fc\.weight and head\.fc\.weight would both be"):
        find_canonical_names(["s1.b1.conv1.conv.weight", "fc.weight", "head.fc.weight"])


def test_weights_of_another_width_are_converted_and_said(tmp_path: Path) -> None:
    a = catalog.get("cifar_resnet20")
    arrays, path = random_weights(a), tmp_path / "net.safetensors"
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    save_weights(halves, path)
    received = convert.receive(path)
    assert "converted from float16 to float32" in received.notes[-1]
    widened = {name: array.astype(np.float32) for name, array in halves.items()}
    assert_same(widened, received.network.weights)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, r"config\.json: no such file.*model\.safetensors alone"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ("[" * 50_000, "not JSON"),
        ("{}", "names no architecture"),
        ('{"architecture": 3}', "names no architecture"),
    ],
)
def test_folders_that_are_none(
    tmp_path: Path, resnet18: Weights, config: str | None, said: str
) -> None:
    save_weights(resnet18, tmp_path / "model.safetensors")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(WeightsError, match=said):
        convert.read(tmp_path)


def test_folders_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TIMM))
    with pytest.raises(WeightsError, match=r"none of model\.safetensors"):
        convert.read(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(WeightsError, match="split weights"):
        convert.read(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match="no weights either"):
        convert.read(tmp_path)


def test_sources_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for source in ("resnet18", "runs/gone", "a/b/c", "gone.pth"):
        with pytest.raises(WeightsError, match=f"{source}: no such file or folder"):
            convert.read(source)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(WeightsError, match=r"files of \.safetensors"):
        convert.read("notes.txt")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet18: Weights) -> Path:
    """A cache as huggingface_hub lays it out, and nothing but the cache to be asked."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    blobs, snapshot = place / "blobs", place / "snapshots" / COMMIT
    timm_folder(tmp_path / "made", TIMM, resnet18)
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        shutil.move(tmp_path / "made" / file, blobs / f"blob-of-{file}")
        (snapshot / file).symlink_to(Path("../../blobs") / f"blob-of-{file}")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    return place


@pytest.mark.parametrize(
    "source", [REPOSITORY, f"hf-hub:{REPOSITORY}", f"{REPOSITORY}@main", f"{REPOSITORY}@{COMMIT}"]
)
def test_the_hubs_cache(cache: Path, resnet18: Weights, source: str) -> None:
    received = convert.receive(source)
    assert received.kind == "folder of timm from the hub"
    assert_same(resnet18, received.network.weights)
    assert convert.describe(source).size == 288


def test_the_hubs_cache_with_a_pickle_alone(cache: Path, resnet18: Weights) -> None:
    folder = cache / "snapshots" / COMMIT
    (folder / "model.safetensors").unlink()
    tensors_ = {name: torch.from_numpy(array) for name, array in resnet18.items()}
    torch.save(tensors_, folder / "pytorch_model.bin")
    assert_same(resnet18, convert.read(REPOSITORY).weights)


def test_what_the_hubs_cache_lacks_is_said(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"timm/resnet34\.a1: not had from the hub"):
        convert.read("timm/resnet34.a1")
    with pytest.raises(WeightsError, match="not had from the hub"):
        convert.read(f"{REPOSITORY}@other")
    (cache / "snapshots" / COMMIT / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"resnet18\.a1_in1k: .*(none of|not had)"):
        convert.read(REPOSITORY)
    with pytest.raises(WeightsError, match="no name on the hub"):
        convert.read("hf-hub:a/b/c")


def test_a_missing_hub_library_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependency, match=r"resnets\[hub\]"):
        convert.read(REPOSITORY)


def test_every_readable_name_of_ours_is_timms() -> None:
    from resnets.convert.timm_names import READABLE

    assert set(TIMM_NAMES.values()) <= READABLE
    assert set(TIMM_NAMES) <= set(catalog.names())


def config_of(a: Architecture) -> dict[str, Any]:
    zero, one, names = (0.0,) * a.channels, (1.0,) * a.channels, ("a",) * a.classes
    return to_config(Network(a, {}, Preprocessing(size=32, mean=zero, std=one), names))


def test_timms_keys_are_written_for_what_timm_builds_alone() -> None:
    a = catalog.get("resnet50", classes=3)
    assert config_of(a)["architecture"] == "resnet50"
    for other in (
        replace(a, activation="silu"),
        replace(a, output_stride=8),
        replace(catalog.get("resnet50_v1", classes=3), name="resnet50"),
        replace(a, stem=replace(a.stem, pool=False)),
    ):
        assert "architecture" not in config_of(other)
    regnet = config_of(catalog.get("regnet_y_800mf", classes=3))
    assert regnet["architecture"] == "regnety_008_tv"
    assert regnet["pretrained_cfg"]["first_conv"] == "stem.conv"
    assert tensors(a)[0].name == "conv1.weight"
