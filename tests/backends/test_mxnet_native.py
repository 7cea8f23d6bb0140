"""What a user of MXNet expects of a Gluon block."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.networks import images, random_weights, relative_difference
from resnets import backends
from resnets.backends import Batch
from resnets.backends import mxnet as backend
from resnets.backends.mxnet.importing import _NAMES, mx
from resnets.backends.mxnet.parameters import parameters
from resnets.backends.mxnet.transfer import to_device
from resnets.data.augmentation import AugmentationParameters
from resnets.data.images import Images
from resnets.errors import MissingDependency, ResnetsError, WeightsError
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe

SLIM = catalog.get("resnet8_slim")


def _model_and_input(a: Architecture) -> tuple[Any, Any]:
    return backend.build(a, weights=random_weights(a)), _array(images(a, 17, 16))


def _array(values: np.ndarray) -> Any:
    return to_device(values, mx.cpu(), "float32")


def test_hybridize_compiles_the_whole_network(small: Architecture) -> None:
    model, x = _model_and_input(small)
    expected = model(x).asnumpy()
    model.hybridize(static_alloc=True, static_shape=True)
    model(x)
    calls: list[str] = []
    children: list[Any] = []
    model.apply(children.append)
    for block in children:
        object.__setattr__(block, "hybrid_forward", lambda *_: calls.append("run") or 1 / 0)
    assert relative_difference(model(x).asnumpy(), expected) < 1e-6
    assert not calls  # the graph ran, and none of the Python that it was made from


# It says so of every graph whose input's type is left open.
@pytest.mark.filterwarnings("ignore:Cannot decide type for the following arguments")
def test_an_exported_network_opens_without_ours(small: Architecture, tmp_path: Path) -> None:
    model, x = _model_and_input(small)
    model.hybridize()
    expected = model(x).asnumpy()
    model.export(str(tmp_path / "network"))
    files = [str(tmp_path / f"network-{end}") for end in ("symbol.json", "0000.params")]
    opened = mx.gluon.SymbolBlock.imports(files[0], ["data"], files[1])
    assert relative_difference(opened(x).asnumpy(), expected) < 1e-6
    other = _array(images(small, 9, 14, n=3))  # any size and any number of images
    assert relative_difference(opened(other).asnumpy(), model(other).asnumpy()) < 1e-6


def test_saved_parameters_load_into_another_network(small: Architecture, tmp_path: Path) -> None:
    model, x = _model_and_input(small)
    model.save_parameters(str(tmp_path / "network.params"))
    other = backend.build(small, seed=1)
    other.load_parameters(str(tmp_path / "network.params"))
    np.testing.assert_array_equal(other(x).asnumpy(), model(x).asnumpy())
    for name, array in backend.dump(model).items():
        np.testing.assert_array_equal(backend.dump(other)[name], array)


def _gradients(a: Architecture, dtype: str) -> dict[str, np.ndarray]:
    model = backend.build(a, weights=random_weights(a))
    model.cast(dtype)
    model.hybridize(static_alloc=True, static_shape=True)
    with mx.autograd.record():
        loss = mx.nd.sum(mx.nd.square(model(to_device(images(a, 17, 16), mx.cpu(), dtype))))
    loss.backward()
    return {n: p.grad().asnumpy() for n, p in parameters(model).items() if p.grad_req != "null"}


def test_gradients_reach_every_parameter(small: Architecture) -> None:
    """In fp32 MXNet computes with oneDNN, in fp64 without: two programs, one function."""
    expected, found = _gradients(small, "float64"), _gradients(small, "float32")
    assert list(found) == [t.name for t in tensors(small) if t.is_parameter]
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        assert np.abs(found[name] - gradient).max() < 1e-4 * largest, name


def test_gluons_trainer_trains_it(fashion: Images) -> None:
    model = backend.build(SLIM)
    model.hybridize()
    trainer = mx.gluon.Trainer(model.collect_params(), "adam", {"learning_rate": 0.003})
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    x = _array(fashion.pixels[::4].transpose(0, 3, 1, 2) / np.float32(255))
    labels = _array(fashion.labels[::4])
    losses = []
    for _ in range(8):
        with mx.autograd.record():
            loss = loss_of(model(x), labels)
        loss.backward()
        trainer.step(len(labels))
        losses.append(float(loss.mean().asscalar()))
    assert losses[-1] < 0.8 * losses[0]


def _one_norm_step(training: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the first norm's old and new running variance, and the batch's biased one."""
    a, weights = SLIM, random_weights(SLIM)
    model = backend.build(a, weights=weights)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 1), np.uint8)
    x = pixels.transpose(0, 3, 1, 2) / 255
    if training == "session":
        recipe = Recipe(batch=2, precision="fp32")
        session = backend.session(
            model, recipe, preprocessing=Preprocessing(size=3, mean=(0,), std=(1,)), device="cpu"
        )
        session.train_step(Batch(Images(pixels, np.array([1, 2])), AugmentationParameters()), 0.1)
    else:
        with mx.autograd.record():
            loss = model(_array(x)).sum()
        loss.backward()
    maps = reference.forward(a, weights, x, training=True).outputs["conv1"]
    new = backend.dump(model)["bn1.running_var"]
    return weights["bn1.running_var"], new, maps.var(axis=(0, 2, 3))


@pytest.mark.parametrize(("training", "unbiased"), [("session", 8 / 7), ("gluon", 1.0)])
def test_whose_running_variance_it_is(training: str, unbiased: float) -> None:
    """A session's is torch's, here of 2 maps of 2 × 2 pixels; Gluon's own training has MXNet's."""
    old, new, batch = _one_norm_step(training)
    expected = SLIM.norm.decay * old + (1 - SLIM.norm.decay) * unbiased * batch
    np.testing.assert_allclose(new, expected, rtol=2e-6)


def test_evaluation_leaves_the_statistics_alone() -> None:
    model, x = _model_and_input(SLIM)
    before = backend.dump(model)
    model(x)
    with mx.autograd.train_mode():
        found = backend.features(model, x.asnumpy())["logits"]
        other = backend.features(model, x.asnumpy(), training=True)["logits"]
    mx.nd.waitall()
    np.testing.assert_array_equal(backend.features(model, x.asnumpy())["logits"], found)
    assert relative_difference(other, found) > 1e-3
    for name, array in backend.dump(model).items():
        np.testing.assert_array_equal(before[name], array)


def test_a_session_trains_the_model_it_was_given(fashion: Images) -> None:
    model = backend.build(SLIM)
    preprocessing = Preprocessing(size=28, mean=(0.3,), std=(0.3,))
    session = backend.session(
        model, Recipe(precision="fp32"), preprocessing=preprocessing, device="cpu"
    )
    session.train_step(Batch(fashion[:8], AugmentationParameters()), 0.1)
    for name, array in session.weights().items():
        np.testing.assert_array_equal(backend.dump(model)[name], array)


def test_torch_goes_on_alike_with_parameters_that_came_later(fashion: Images) -> None:
    """A state that MXNet saved, with a parameter younger than the rest, as growth makes them."""
    recipe = Recipe(batch=8, precision="fp64", optimiser="adamw", average=0.9)
    preprocessing = Preprocessing(size=28, mean=(0.3,), std=(0.3,))

    def session(name: str) -> Any:
        other = backends.load(name)
        return other.session(other.build(SLIM), recipe, preprocessing=preprocessing, device="cpu")

    first = session("mxnet")
    for step in range(3):
        first.train_step(Batch(fashion[8 * step : 8 * step + 8], AugmentationParameters()), 1e-3)
    state = first.state() | {"born/fc.weight": np.array(2, np.int64)}
    ends = []
    for name in ("mxnet", "torch"):
        other = session(name)
        other.restore(state)
        other.train_step(Batch(fashion[-8:], AugmentationParameters()), 1e-3)
        ends.append(other.state())
    assert ends[0].keys() == ends[1].keys() == state.keys()
    for key, array in ends[1].items():
        np.testing.assert_allclose(ends[0][key], array, rtol=1e-9, atol=1e-12, err_msg=key)


def test_a_misshapen_state_is_refused_and_changes_nothing() -> None:
    preprocessing = Preprocessing(size=28, mean=(0.3,), std=(0.3,))
    session = backend.session(
        backend.build(SLIM), Recipe(), preprocessing=preprocessing, device="cpu"
    )
    before = session.state()
    with pytest.raises(WeightsError, match=r"weights/fc\.bias has shape \(9,\), not \(10,\)"):
        session.restore({n: a + 1 for n, a in before.items()} | {"weights/fc.bias": np.zeros(9)})
    for name, array in session.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_hooks_slices_casts_and_children() -> None:
    model, x = _model_and_input(SLIM)
    seen: list[tuple[int, ...]] = []
    model.layer2[0].conv1.register_forward_hook(lambda _block, _x, y: seen.append(y.shape))
    logits = model(x).asnumpy()
    assert seen == [(2, 64, 5, 4)]
    np.testing.assert_array_equal(model[-1](model[:-1](x)).asnumpy(), logits)
    np.testing.assert_array_equal(model.features(x)["logits"].asnumpy(), logits)
    assert list(model[1:3]._children) == ["bn1", "relu"]
    model.cast("float64")
    found = model(x.astype("float64")).asnumpy()
    assert found.dtype == np.float64 and relative_difference(logits, found) < 1e-5
    parts = "conv1 bn1 relu maxpool layer1 layer2 layer3 avgpool flatten fc"
    assert list(model._children) == parts.split()


def test_what_mxnet_does_not_compute_in_is_said() -> None:
    with pytest.raises(ResnetsError, match="precision bf16: mxnet trains in fp32 or fp64"):
        backend.precision(Recipe(precision="bf16"))
    assert backend.precision(Recipe()) == "fp32"
    with pytest.raises(ResnetsError, match=r"mxnet finds .*cpu"):
        backend.precision(Recipe(), "gpu:77")


IMPORTS = {
    "after an attempt that failed": (
        "try:\n    import mxnet\nexcept AttributeError:\n    pass\n"
        "import resnets.backends.mxnet, mxnet"
    ),
    "after the user's own": (
        "from resnets.backends.mxnet import importing\n"
        "import sys, mxnet\n"
        "for name in [n for n in sys.modules if n.startswith('resnets.backends')]:\n"
        "    del sys.modules[name]\n"
        "import resnets.backends.mxnet\n"
        "assert resnets.backends.mxnet.importing.mx is mxnet"
    ),
    "with names that NumPy has": (
        "np.alltrue, before = len, before | {'alltrue'}\nimport resnets.backends.mxnet, mxnet\n"
        "assert np.alltrue is len"
    ),
}


@pytest.mark.parametrize("statements", IMPORTS.values(), ids=IMPORTS.keys())
def test_numpy_is_left_as_it_was(statements: str) -> None:
    """In a process of its own: MXNet is imported once."""
    program = (
        "import warnings, numpy as np\n"
        f"names = set({list(_NAMES)})\n"
        "before = names & set(vars(np))\n"
        "warnings.filterwarnings('ignore', category=DeprecationWarning, module='mxnet')\n"
        f"{statements}\n"
        "assert names & set(vars(np)) == before\n"
        "assert mxnet.nd.ones((2,)).sum().asscalar() == 2\n"
        "assert mxnet.context.num_gpus() >= 0 and mxnet.gluon.nn.Dense\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_numpys_arrays_are_refused_in_a_sentence() -> None:
    """In a process of its own: ``set_np`` changes MXNet for all of it."""
    program = (
        "from resnets import backends, errors\nfrom resnets.networks import catalog\n"
        "mxnet, a = backends.load('mxnet'), catalog.get('resnet8_slim')\n"
        "import mxnet as mx, numpy as np\n"
        "before, x = mxnet.build(a), np.zeros((1, 1, 16, 16), np.float32)\n"
        "mx.npx.set_np()\n"
        "for use in (lambda: mxnet.build(a), lambda: mxnet.features(before, x)):\n"
        "    try:\n"
        "        use()\n"
        "    except errors.ResnetsError as error:\n"
        "        print(error)\n"
        "mx.npx.reset_np()\n"
        "print(mxnet.features(mxnet.build(a), x)['logits'].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.count("call mxnet.npx.reset_np() first") == 2, done.stderr
    assert done.stdout.endswith("(1, 10)\n")


def test_without_mxnet_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("resnets.backends.mxnet")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mxnet", None)
    monkeypatch.setattr(backends, "mxnet", backends.mxnet)  # put back what a new import sets
    with pytest.raises(MissingDependency) as caught:
        backends.load("mxnet")
    assert str(caught.value) == (
        'mxnet is not installed: pip install "resnets[mxnet]" '
        "and pip install --no-deps mxnet==1.9.1"
    )


def test_an_import_that_fails_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from resnets.backends.mxnet import importing

    def fail(_: str) -> None:
        raise AttributeError("module 'numpy' has no attribute 'novelty'")

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.delitem(sys.modules, "mxnet")
    kept = {name: module for name, module in sys.modules.items() if name.startswith("mxnet.")}
    try:
        with pytest.raises(ImportError, match="novelty"):
            importing._import_mxnet()
    finally:
        sys.modules.update(kept)
    assert not hasattr(np, "PZERO")
