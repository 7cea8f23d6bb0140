"""The network's folder, and files that are not one."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resnets.errors import InvalidDescription, ResnetsError, WeightsError
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.folder import load, save, save_weights, to_config
from resnets.networks.initialization import initial_weights, last_scales
from resnets.networks.network import Network, Preprocessing, check_weights
from resnets.networks.tracing import tensors, trace
from strategies import architectures


def network(a: Architecture) -> Network:
    preprocessing = Preprocessing(size=28, mean=(0.1,) * a.channels, std=(0.5,) * a.channels)
    names = tuple(f"class {i}" for i in range(a.classes))
    return Network(a, initial_weights(a), preprocessing, names)


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(architectures())
def test_round_trip(tmp_path: Path, architecture: Architecture) -> None:
    before = network(architecture)
    save(before, tmp_path / "net")
    after = load(tmp_path / "net")
    assert after.architecture == before.architecture
    assert (after.preprocessing, after.class_names) == (before.preprocessing, before.class_names)
    for name, array in before.weights.items():
        np.testing.assert_array_equal(after.weights[name], array)


def test_timms_keys_where_timm_has_the_network() -> None:
    known = to_config(network(catalog.get("resnet18", channels=1, classes=10)))
    assert known["architecture"] == "resnet18"
    assert known["num_classes"] == 10
    assert known["model_args"] == {"in_chans": 1}
    assert known["pretrained_cfg"]["input_size"] == [1, 28, 28]
    assert "architecture" not in to_config(network(catalog.get("resnet18_small")))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "net"
    save(network(catalog.get("resnet8_slim")), folder)
    return folder


def test_any_truncation_is_refused(saved: Path) -> None:
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"model\.safetensors"):
            load(saved)


def test_hostile_files_are_refused_and_run_nothing(saved: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (ran,))

    path = saved / "model.safetensors"
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(WeightsError):
        load(saved)
    path.write_bytes((2**63 - 1).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError):
        load(saved)
    assert not ran.exists()


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", '{"resnets": 1}', '{"resnets": {"architecture": {}}}', "\xff", "null"],
)
def test_a_config_that_is_none(saved: Path, text: str) -> None:
    (saved / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises((WeightsError, InvalidDescription)):
        load(saved)


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("class_names", ["one"], "class_names"),
        ("preprocessing", {"size": 28, "mean": [0.1, 0.2], "std": [0.5]}, "preprocessing.mean"),
        ("preprocessing", {"size": 0, "mean": [0.1], "std": [0.5]}, "preprocessing.size"),
        ("preprocessing", {"size": 28, "mean": [0.1], "std": [0.0]}, "preprocessing.std"),
    ],
)
def test_a_config_that_contradicts_itself(saved: Path, key: str, value: Any, path: str) -> None:
    content = json.loads((saved / "config.json").read_text())
    content["resnets"][key] = value
    (saved / "config.json").write_text(json.dumps(content))
    with pytest.raises(InvalidDescription, match=path):
        load(saved)


def test_weights_of_another_network_list_names_and_both_shapes(saved: Path) -> None:
    other = catalog.get("resnet8_slim", classes=7)
    save_weights(initial_weights(other), saved / "model.safetensors")
    with pytest.raises(WeightsError, match=r"fc\.weight: shape \(7, 128\), .* \(10, 128\)"):
        load(saved)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ResnetsError, match=r"config\.json: no such file"):
        load(tmp_path)


@settings(max_examples=25)
@given(architectures(), st.sampled_from(["he", "xavier"]))
def test_initial_weights_fit_and_do_not_depend_on_other_layers(
    architecture: Architecture, scheme: Any
) -> None:
    drawn = initial_weights(architecture, seed=3, scheme=scheme)
    check_weights(architecture, drawn)
    assert all(array.dtype == np.float32 for array in drawn.values())
    assert all(np.isfinite(array).all() for array in drawn.values())


def test_zeroed_last_scales_end_every_block() -> None:
    for name, blocks in (("resnet18", 8), ("resnet50", 16)):
        a = catalog.get(name, classes=10)
        scales = last_scales(trace(a, 32))
        assert len(scales) == blocks
        drawn = initial_weights(a, zero_last_scale=True)
        zero = {t.name for t in tensors(a) if t.role == "scale" and not drawn[t.name].any()}
        assert zero == scales
