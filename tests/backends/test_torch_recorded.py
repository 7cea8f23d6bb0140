"""Steps that the device takes by itself: the same code on the CPU, against ordinary steps."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from backends.networks import random_weights
from resnets.backends import Batch
from resnets.backends import torch as backend
from resnets.backends.torch import eager
from resnets.backends.torch.augmentation import Preparation
from resnets.backends.torch.recorded import Speed, numbers, steps
from resnets.backends.torch.recorded.augmentation import batch_of
from resnets.backends.torch.recorded.losses import MOST, Losses
from resnets.backends.torch.recorded.thin import ThinConvolution, use_thin_convolution
from resnets.backends.torch.session import TorchSession
from resnets.data.augmentation import AugmentationParameters, draw_parameters, step_indices
from resnets.data.images import Images
from resnets.networks import catalog
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes import presets
from resnets.recipes.recipe import Recipe
from resnets.training.loop import TrainingData, train

NETWORK = catalog.get("resnet8_slim")
PREPROCESSING = Preprocessing(size=28, mean=(0.3,), std=(0.35,))
PLAIN = Recipe(batch=8, precision="fp32", rate=0.05)
ALL = {"flip": True, "crop": 3, "erase": 0.5, "mixup": 0.4, "cutmix": 1.0}
RECIPES = {
    "nesterov": PLAIN.replace(momentum=0.9, nesterov=True, weight_decay=1e-3, flip=True),
    "adamw": PLAIN.replace(optimiser="adamw", rate=1e-3, weight_decay=0.1, crop=2),
    "averaged": PLAIN.replace(momentum=0.9, average=0.99, erase=0.6),
    "bf16": PLAIN.replace(momentum=0.9, precision="bf16", **ALL),
    "everything": PLAIN.replace(
        **ALL, average=0.9, label_smoothing=0.1, clip=0.5, stochastic_depth=0.3
    ),
}
RECORDED = Speed(compile=None)


def start(recipe: Recipe, speed: Speed | None, network: Any = NETWORK) -> TorchSession:
    model = backend.build(network, weights=random_weights(network))
    return TorchSession(model, recipe, preprocessing=PREPROCESSING, device="cpu", speed=speed)


def batch_at(recipe: Recipe, images: Images, step: int, n: int | None = None) -> Batch:
    index = step_indices(recipe, len(images), step=step)[:n]
    return Batch(
        images,
        draw_parameters(recipe, step, count=len(index), size=images.pixels.shape[1:3], blocks=3),
        index,
    )


def run(session: TorchSession, images: Images, count: range, small: int = 3) -> list[float]:
    """Take steps; the one numbered ``small`` has fewer images. Losses are read at the end."""
    recipe, taken = session.train_state.recipe, []
    for step in count:
        batch = batch_at(recipe, images, step, 5 if step == small else None)
        taken.append(session.train_step(batch, recipe.rate / (1 + step)))
    return [measured.loss for measured in taken]


def assert_close(found: Weights, expected: Weights, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        size = max(float(np.abs(array).max()), 1e-3)
        apart = float(np.abs(found[name].astype(np.float64) - array).max())
        assert apart <= tolerance * size, (name, apart, size)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_the_same_as_ordinary_steps(
    recipe: Recipe, fashion: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The CPU's own way to take gradients in bf16 rounds differently, and no GPU has it.
    monkeypatch.setattr(eager, "use_fast_convolutions", lambda *_, **__: nullcontext())
    ordinary, recorded = start(recipe, None), start(recipe, RECORDED)
    expected = run(ordinary, fashion, range(6))
    assert run(recorded, fashion, range(6)) == pytest.approx(expected, rel=1e-5)
    assert_close(recorded.state(), ordinary.state(), 1e-4 if recipe.precision == "fp32" else 1e-2)
    assert_close(recorded.weights(), ordinary.weights(), 1e-4)
    assert recorded.preparing > 0
    assert ordinary.preparing == 0


def test_one_step_of_sgd_is_bit_for_bit_the_ordinary_one(fashion: Images) -> None:
    recipe = RECIPES["nesterov"]
    ordinary, recorded = start(recipe, None), start(recipe, RECORDED)
    batch = batch_at(recipe, fashion, 0)
    rate = 0.0625  # the same number in fp32 and fp64
    assert ordinary.train_step(batch, rate).loss == recorded.train_step(batch, rate).loss
    assert_close(recorded.state(), ordinary.state(), 0.0)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_resuming_and_recording_change_no_bit(recipe: Recipe, fashion: Images) -> None:
    whole = start(recipe, RECORDED)
    losses = run(whole, fashion, range(6))
    never = start(recipe, Speed(compile=None, record=False))
    run(never, fashion, range(3))
    resumed = start(recipe, RECORDED)
    run(resumed, fashion, range(4, 8))  # what was recorded before is forgotten
    resumed.restore(never.state())
    assert run(resumed, fashion, range(3, 6)) == losses[3:]
    assert_close(resumed.state(), whole.state(), 0.0)


def test_the_groups_have_their_own_rates_again_where_a_step_fails(
    fashion: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start(RECIPES["nesterov"], RECORDED)
    seen: list[object] = []

    def broken() -> None:
        seen.extend(group["lr"] for group in session.train_state.optimiser.param_groups)
        raise RuntimeError("not while a stream is capturing")

    monkeypatch.setattr(session.train_state.optimiser, "step", broken)
    with pytest.raises(RuntimeError, match="capturing"):
        run(session, fashion, range(1))
    assert seen and all(isinstance(rate, torch.Tensor) for rate in seen)
    assert {type(group["lr"]) for group in session.train_state.optimiser.param_groups} == {float}


def test_images_that_do_not_fit_are_brought_batch_by_batch(
    fashion: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES["everything"]
    held = start(recipe, RECORDED)
    losses = run(held, fashion, range(5))
    monkeypatch.setattr(steps, "fits", lambda *_, **__: False)
    brought = start(recipe, RECORDED)
    assert run(brought, fashion, range(5)) == losses
    assert_close(brought.state(), held.state(), 0.0)
    gathered = start(recipe, RECORDED)
    batch = batch_at(recipe, fashion, 0)
    assert (
        gathered.train_step(Batch(batch.images, batch.augmentation), recipe.rate).loss == losses[0]
    )


@pytest.mark.parametrize("settings", [{"flip": True}, {"crop": 3}, ALL], ids=str)
def test_pixels_are_those_of_the_ordinary_augmentation(settings: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 9, 7, 3), dtype=np.uint8)
    images = Images(pixels, rng.integers(0, 5, 20))
    recipe = PLAIN.replace(**settings)
    prepare = Preparation.of((0.2, 0.4, 0.6), (0.3, 0.2, 0.1), device=torch.device("cpu"))
    for step in range(4):
        batch = batch_at(recipe, images, step)
        layout = numbers.numbers_of(recipe, batch.augmentation, n=8, groups=1, held=True)
        words = np.zeros(layout.words, np.int64)
        layout.write(words, numbers.values_of(batch, nearer=None, rates=[0.1], slot=0))
        views = layout.views(torch.from_numpy(words))
        found = batch_of(torch.from_numpy(pixels), views, border=recipe.crop, prepare=prepare)
        expected = prepare(batch.images.pixels, batch.augmentation)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_compiled_steps_are_the_same_to_rounding(fashion: Images) -> None:
    recipe = RECIPES["everything"].replace(average=None, clip=None)
    plain = start(recipe, RECORDED)
    compiled = start(recipe, Speed(compile="default", compiler="aot_eager"))
    expected = run(plain, fashion, range(4), small=1)
    assert run(compiled, fashion, range(4), small=1) == pytest.approx(expected, rel=1e-4)
    assert compiled.recorded is not None
    assert compiled.recorded.forward.compiled is not None


def test_a_step_that_cannot_be_compiled_is_taken_anyhow(fashion: Images) -> None:
    def broken(graph: Any, inputs: Any) -> Callable[..., Any]:
        raise ValueError("no compiler here")

    session = start(PLAIN, Speed(compile="default", compiler=broken))
    with pytest.warns(UserWarning, match="cannot be compiled"):
        losses = run(session, fashion, range(1))
    assert losses == run(start(PLAIN, RECORDED), fashion, range(1))
    torch._dynamo.reset()


def test_the_loop_gives_the_same_events(fashion: Images) -> None:
    recipe = PLAIN.replace(epochs=2, batch=32, partial_batch=True, rate=0.0625, flip=True)
    data = TrainingData(fashion[:90], fashion[90:110])
    ordinary, recorded = (
        list(train(start(recipe, speed), data, recipe=recipe)) for speed in (None, RECORDED)
    )
    assert [type(event) for event in recorded] == [type(event) for event in ordinary]
    for found, expected in zip(recorded, ordinary, strict=True):
        assert (found.step, found.epoch) == (expected.step, expected.epoch)
        for name in ("loss", "training_loss", "validation_loss"):
            if hasattr(expected, name):
                assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-3)


def test_what_has_grown_is_slowed_and_raised(fashion: Images) -> None:
    recipe = RECIPES["nesterov"]
    ordinary, recorded = start(recipe, None), start(recipe, RECORDED)
    width = len(ordinary.weights()["layer2.0.bn1.weight"])
    for step, share in enumerate((None, 0.25, 0.5, 0.75, 0.9, None, None)):
        slowed = {} if share is None else {"fc.weight": share, "layer2.0.bn1.weight": share}
        batch = batch_at(recipe, fashion, step)
        if share:
            for session in (ordinary, recorded):
                session.add_to_parameters({"layer2.0.bn1.weight": np.full(width, share / 10)})
        losses = [s.train_step(batch, 0.01, lr_scales=slowed).loss for s in (ordinary, recorded)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert_close(recorded.weights(), ordinary.weights(), 1e-4)


def test_every_draw_is_among_a_steps_numbers(fashion: Images) -> None:
    """Whoever adds a kind of draw adds it to ``numbers_of`` and to what reads it there."""
    assert {f.name for f in fields(AugmentationParameters)} == {
        *("flipped", "offsets", "padding", "erased_boxes", "mix", "drop_path_scales")
    }
    recipe = RECIPES["everything"]
    draws = batch_at(recipe, fashion, 0).augmentation
    found = numbers.numbers_of(recipe, draws, n=8, groups=2, held=False).shapes
    assert {"flipped", "offsets", "erased", "partner", "branches", "labels"} <= found.keys()


def test_losses_are_kept_until_they_are_read() -> None:
    losses = Losses(torch.device("cpu"))
    taken = []
    for step in range(2 * MOST + 10):
        measured = losses.next(4)
        losses.write(
            torch.tensor([measured.slot]), losses=torch.zeros(4), mean=torch.tensor(float(step))
        )
        taken.append(measured)
        if step == 5:
            assert taken[3].loss == 3
    assert [measured.loss for measured in taken] == list(range(2 * MOST + 10))
    assert losses.max_in_flight == MOST  # a fast device is asked seldom


def test_losses_of_images_are_those_of_ordinary_steps(fashion: Images) -> None:
    recipe = PLAIN.replace(skip=0.4, mixup=0.4, label_smoothing=0.1)
    ordinary, recorded = start(recipe, None), start(recipe, RECORDED)
    taken = []
    for step in range(6):
        batch = batch_at(recipe, fashion, step, 5 if step == 3 else None)
        taken.append([s.train_step(batch, 0.01) for s in (ordinary, recorded)])
    for one, other in taken:
        assert one.losses.shape == other.losses.shape
        np.testing.assert_allclose(other.losses, one.losses, rtol=2e-4)
        assert other.loss == pytest.approx(float(other.losses.mean()), rel=1e-5)


def test_compiling_is_for_long_trainings() -> None:
    chapter = presets.get_preset("chapter")
    network = catalog.get("chapter_resnet18")
    assert Speed().mode(network, chapter, images=60_000, size=(96, 96)) is None
    imagenet = chapter.replace(size=224, epochs=90)
    assert (
        Speed().mode(catalog.get("resnet50"), imagenet, images=1_281_167, size=(224, 224))
        == "default"
    )
    assert Speed(compile=None).mode(network, imagenet, images=1_281_167, size=(224, 224)) is None


def test_fp64_and_the_cpu_take_ordinary_steps() -> None:
    assert start(PLAIN.replace(precision="fp64"), RECORDED).recorded is None
    assert start(PLAIN, None).recorded is None


def test_images_on_a_disk_are_read_ahead_only_where_batches_are_gathered(fashion: Images) -> None:
    expected: list[list[int]] = []

    class Watched(Images):
        def prefetch(self, index: Any) -> None:
            expected.append(index.tolist())

    source = Watched(fashion.pixels[:64], fashion.labels[:64])
    recipe = PLAIN.replace(epochs=1)
    data = TrainingData(source, None)
    list(train(start(recipe, RECORDED), data, recipe=recipe))
    assert expected == []
    list(train(start(recipe, None), data, recipe=recipe))
    assert expected == [step_indices(recipe, 64, step=step).tolist() for step in range(1, 9)]


@pytest.mark.parametrize("decay_all", [False, True])
def test_biases_before_norms_stay_out_of_steps_and_in_the_statistics(
    decay_all: bool, fashion: Images
) -> None:
    network = replace(NETWORK, bias=True)
    recipe = RECIPES["nesterov"].replace(decay_all=decay_all)
    ordinary, recorded = start(recipe, None, network), start(recipe, RECORDED, network)
    # A step by hand, which computes redundant biases like any other.
    model = backend.build(network, weights=random_weights(network))
    batch = batch_at(recipe, fashion, 0)
    prepare = Preparation.of(PREPROCESSING.mean, PREPROCESSING.std, device=torch.device("cpu"))
    logits = model.train()(prepare(batch.images.pixels, batch.augmentation))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.images.labels)).backward()
    expected = model.state_dict()
    for session in (ordinary, recorded):
        session.train_step(batch, 0.0)  # the statistics are all that moves
        found = session.train_state.model.state_dict()
        for name, value in expected.items():
            if name.endswith(("running_mean", "running_var")):
                torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
    assert_close(recorded.state(), ordinary.state(), 1e-5)
    for name, parameter in session.train_state.model.named_parameters():
        if name in ("conv1.bias", "layer1.0.conv1.bias", "layer2.0.downsample.0.bias"):
            assert parameter.grad is not None and not parameter.grad.any()
    for name in ("conv1.bias", "layer1.0.conv2.bias"):
        noise = model.get_parameter(name).grad
        assert noise is not None and noise.abs().max() < 1e-4
    expected_losses = run(ordinary, fashion, range(1, 4))
    assert run(recorded, fashion, range(1, 4)) == pytest.approx(expected_losses, rel=1e-5)


@pytest.mark.parametrize("name", ["everything", "nesterov"])
def test_steps_with_what_a_gpu_alone_has(
    name: str, fashion: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grey images' product and no redundant biases, against steps that have neither."""
    monkeypatch.setattr(eager, "use_fast_convolutions", lambda *_, **__: nullcontext())
    network = replace(NETWORK, bias=True)
    ordinary, recorded = (start(RECIPES[name], speed, network) for speed in (None, RECORDED))
    redundant = ordinary.train_state.redundant_biases
    redundant.biases.clear()
    monkeypatch.setattr(redundant, "leave_out", nullcontext)
    assert recorded.recorded is not None
    use_thin_convolution(recorded.recorded.narrow.network)
    expected = run(ordinary, fashion, range(6))
    assert run(recorded, fashion, range(6)) == pytest.approx(expected, rel=1e-4)
    assert_close(recorded.weights(), ordinary.weights(), 2e-3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(7, 2, 3), (3, 1, 1), (3, 2, 1)])
def test_a_convolution_of_grey_images_as_a_product(
    kernel: int, stride: int, padding: int, bias: bool
) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(1, 12, kernel, stride, padding, bias=bias).double()
    x = torch.randn(3, 1, 13, 18, dtype=torch.float64)
    network = torch.nn.Sequential(conv)
    expected = conv(x)
    expected.square().sum().backward()
    gradients = [p.grad for p in conv.parameters()]
    for parameter in conv.parameters():
        parameter.grad = None
    use_thin_convolution(network)
    assert isinstance(network[0], ThinConvolution)
    found = network(x)
    found.square().sum().backward()
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for parameter, gradient in zip(conv.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_other_convolutions_stay() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(1, 4, 3))
    use_thin_convolution(network)
    assert type(network[0]) is type(network[1]) is torch.nn.Conv2d
