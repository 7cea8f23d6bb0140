"""The PyTorch tab's own: lazy layers that are really initialised, modes, sentences."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import resnets
from resnets import backends, chapter
from resnets.chapter import torch as d2l
from resnets.errors import InvalidDescription, ResnetsError, WeightsError

LAZY = "ignore:Lazy modules are a new feature:UserWarning"


class Readers(nn.Module):
    """A block as a reader writes it."""

    def __init__(self, width: int, activated: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.LazyConv2d(width, kernel_size=3, padding=1)
        self.conv2 = nn.LazyConv2d(width, kernel_size=3, padding=1)
        self.bn1, self.bn2 = nn.LazyBatchNorm2d(), nn.LazyBatchNorm2d()
        self.activated = activated

    def forward(self, X: Any) -> Any:
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        Y += X
        return Y if self.activated else F.relu(Y)


class Network8(d2l.ResNet):
    def block(self, depth: int, width: int, first_block: bool = False) -> Any:
        return nn.Sequential(*(Readers(width, activated=self.lr > 1) for _ in range(depth)))


def test_init_cnn_waits_for_the_weights_of_lazy_layers() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(d2l.Residual(8, use_1x1conv=True), nn.Flatten(), nn.Linear(288, 2))
    net.apply(d2l.init_cnn)
    net(torch.zeros(2, 3, 6, 6))
    block: Any = net[0]
    bound = (6 / (9 * 3 + 9 * 8)) ** 0.5  # Xavier's; torch's own is 1 / sqrt(27) here
    assert 0.95 * bound < block.conv1.weight.abs().max() <= bound
    assert not block.conv1._forward_pre_hooks
    before = block.conv1.weight.clone()
    net(torch.zeros(2, 3, 6, 6))
    assert torch.equal(block.conv1.weight, before)


def test_loaded_weights_stay_although_the_layers_are_lazy(tmp_path: Path) -> None:
    trained = d2l.ResNet(((1, 64), (1, 8))).eval()
    x = torch.randn(2, 1, 32, 32)
    expected = trained(x)
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    fresh = d2l.ResNet(((1, 64), (1, 8)))
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt"))
    assert torch.equal(fresh.eval()(x), expected)
    assert not any(part._forward_pre_hooks for part in fresh.modules())


@pytest.mark.filterwarnings(LAZY)
def test_fresh_layers_are_pickled_and_copied_and_drawn_then(tmp_path: Path) -> None:
    model = d2l.ResNet(((1, 64),))
    torch.save(model, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    fresh = nn.Sequential(nn.LazyConv2d(64, 7))  # torch copies no norm without shape
    for net in (loaded.net, copy.deepcopy(fresh.apply(d2l.init_cnn))):
        net(torch.zeros(2, 1, 32, 32))
        bound = (6 / (49 * 1 + 49 * 64)) ** 0.5  # Xavier's; torch's own is 1 / 7 here
        weight = next(net.parameters())
        assert 0.95 * bound < weight.abs().max() <= bound
        assert not any(part._forward_pre_hooks for part in net.modules())
    assert nn.parameter.is_lazy(fresh[0].weight)


def test_looking_at_shapes_leaves_modes_and_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    model = d2l.ResNet(((1, 64),))
    model.layer_summary((1, 1, 32, 32))  # one image: in training mode torch would refuse it
    model.apply_init([torch.randn(4, 1, 32, 32)], d2l.init_cnn)
    assert model.training
    assert all(module.training for module in model.modules())
    norm: Any = model.net[0][1]
    assert norm.running_mean.abs().max() == 0
    assert norm.num_batches_tracked == 0
    assert "torch.Size([1, 64, 8, 8])" in capsys.readouterr().out


def test_the_chapters_figures() -> None:
    block = d2l.ResNeXtBlock(32, 16, 1)
    assert block(torch.randn(4, 32, 96, 96)).shape == (4, 32, 96, 96)
    assert sum(p.numel() for p in block.parameters()) == 6944
    assert block.conv2.groups == 2
    assert d2l.ResNeXtBlock(32, cardinality=16).conv2.groups == 16


def test_blocks_refuse_what_cannot_be_added() -> None:
    with pytest.raises(InvalidDescription, match="the input has 3 channels"):
        d2l.Residual(8)(torch.zeros(1, 3, 6, 6))
    for width in (0, "a"):
        with pytest.raises(InvalidDescription, match=r"num_channels: .* is not a whole number"):
            d2l.Residual(width)  # pyright: ignore[reportArgumentType]
    for arch in ((), ((0, 64),)):
        with pytest.raises(InvalidDescription, match="ResNet is not valid:\n  arch"):
            d2l.ResNet(arch)
    with pytest.raises(InvalidDescription, match="groups: 5 does not divide the 32"):
        d2l.ResNeXtBlock(32, 5)


@pytest.mark.filterwarnings(LAZY)
def test_a_readers_block_that_cannot_be_added_is_a_sentence() -> None:
    model = Network8(((1, 8),))
    words = r"Readers is not valid:\n  use_1x1conv: the shortcut is \(1, 64, 8, 8\) and the branch "
    with pytest.raises(InvalidDescription, match=words):
        model.layer_summary((1, 1, 32, 32))


def test_a_gpu_that_is_not_here_is_a_sentence() -> None:
    absent = d2l.num_gpus() + 3
    assert d2l.try_gpu(absent) == torch.device("cpu")
    with pytest.raises(ResnetsError, match=f"GPU {absent} is not here"):
        d2l.gpu(absent)
    with pytest.raises(InvalidDescription, match="try_gpu is not valid:\n  i: 'a' is not a whole"):
        d2l.try_gpu("a")  # pyright: ignore[reportArgumentType]


def test_a_network_without_shapes_cannot_be_described() -> None:
    with pytest.raises(ResnetsError, match="has no shapes yet: call apply_init"):
        chapter.describe(d2l.ResNet18())
    with pytest.raises(ResnetsError, match="object is no model of PyTorch, Keras"):
        chapter.describe(object())


@pytest.mark.filterwarnings(LAZY)
def test_a_description_is_believed_only_if_it_computes_the_same() -> None:
    model = Network8(((2, 64),), lr=0.1)
    model.layer_summary((1, 1, 32, 32))
    assert chapter.describe(model).stages[0].depth == 2
    other = Network8(((2, 64),), lr=2.0)  # the same layers, but without the last ReLU
    other.layer_summary((1, 1, 32, 32))
    with pytest.raises(InvalidDescription, match="it computes something else"):
        chapter.describe(other)


def test_layers_without_a_place_are_named() -> None:
    model = d2l.ResNet(((1, 64),))
    model.net.add_module("more", nn.Dropout())
    model.layer_summary((1, 1, 32, 32))
    with pytest.raises(InvalidDescription, match=r"net\.more: Dropout.* is no layer of the"):
        chapter.describe(model)
    needless = nn.Sequential(d2l.ResNet(((1, 64),)).b1(), d2l.Residual(64, use_1x1conv=True))
    needless.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)))
    needless(torch.zeros(1, 1, 32, 32))
    with pytest.raises(InvalidDescription, match="1: a 1x1 convolution stands on the shortcut"):
        chapter.describe(needless)


def test_a_chapters_network_is_saved_as_any_other(tmp_path: Path) -> None:
    model = d2l.ResNet(((1, 64), (1, 8)), num_classes=10).eval()
    model.layer_summary((1, 1, 32, 32))
    resnets.save(chapter.network(model, size=32), tmp_path / "network")
    again = resnets.load(tmp_path / "network")
    assert again.class_names[0] == "t-shirt"
    backend = backends.load("torch")
    rebuilt = backend.build(again.architecture, weights=again.weights).eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(rebuilt(x), model(x), rtol=1e-5, atol=1e-6)


class Before(d2l.Residual):
    """Exercise 4: norm and ReLU before each convolution."""

    def forward(self, X: Any) -> Any:
        activated = F.relu(self.bn1(X))
        Y = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return Y + (X if self.conv3 is None else self.conv3(activated))


def small(*blocks: Any, stem: Any = (), last: Any = (), classes: int = 10) -> Any:
    """A network of 8 channels in the stem, seen by images of one channel."""
    stem = stem or (nn.LazyBatchNorm2d(), nn.ReLU())
    end = (nn.AdaptiveAvgPool2d([1, 1]), nn.Flatten(), nn.LazyLinear(classes))
    net = nn.Sequential(nn.LazyConv2d(8, 3, padding=1), *stem, *blocks, *last, *end)
    net(3 * torch.randn(4, 1, 32, 32))
    return net.eval()


@pytest.mark.filterwarnings(LAZY)
def test_a_pre_activation_network_is_described_and_moved() -> None:
    def network() -> Any:
        last = (nn.LazyBatchNorm2d(), nn.ReLU())
        return small(Before(8), Before(16, True, 2), stem=[nn.MaxPool2d(3, 2, 1)], last=last)

    model, other = network(), network()
    described = chapter.describe(model)
    assert (described.preactivation, described.stem.pool) == (True, True)
    assert [stage.stride for stage in described.stages] == [1, 2]
    weights = chapter.weights(model)
    native = backends.load("torch").build(described, weights=weights).eval()
    chapter.load(other, weights)
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(other(x), model(x))
        assert torch.allclose(native(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings(LAZY)
def test_pre_activation_in_the_chapters_stem_is_a_sentence() -> None:
    with pytest.raises(InvalidDescription, match="3: the block is pre-activation, and the network"):
        chapter.describe(small(Before(16, True, 2)))


@pytest.mark.filterwarnings(LAZY)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_described_in_float32(dtype: torch.dtype) -> None:
    model = small(d2l.Residual(8)).to(dtype)
    assert chapter.describe(model).stages[0].width == 8
    assert {array.dtype.name for array in chapter.weights(model).values()} == {"float32"}
    assert model[0].weight.dtype == dtype


class Capped(d2l.Residual):
    def forward(self, X: Any) -> Any:
        return F.relu(self.bn2(self.conv2(self.bn1(self.conv1(X)).clamp(0, 20))) + X)


@pytest.mark.filterwarnings(LAZY)
def test_what_differs_for_large_features_only_is_found() -> None:
    with pytest.raises(InvalidDescription, match="it computes something else"):
        chapter.describe(small(Capped(8)))


@pytest.mark.filterwarnings(LAZY)
def test_a_max_pool_is_one_whether_stated_by_numbers_or_pairs() -> None:
    stem = (nn.LazyBatchNorm2d(), nn.ReLU())
    pooled = small(d2l.Residual(8), stem=(*stem, nn.MaxPool2d((3, 3), (2, 2), (1, 1))))
    assert chapter.describe(pooled).stem.pool
    for pool in (nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1, ceil_mode=True)):
        with pytest.raises(InvalidDescription, match=r"3: MaxPool2d.* a max-pool of 3x3, stride 2"):
            chapter.describe(small(d2l.Residual(8), stem=(*stem, pool)))


@pytest.mark.filterwarnings(LAZY)
def test_networks_that_lack_something_are_a_sentence() -> None:
    with pytest.raises(InvalidDescription, match="the end: a convolution has to stand here"):
        chapter.describe(nn.Sequential())
    model = small(d2l.Residual(8))
    model[-1].register_parameter("bias", None)
    with pytest.raises(InvalidDescription, match="6: the dense layer has no bias"):
        chapter.describe(model)
    odd = d2l.Residual(8)
    odd.bn3 = nn.LazyBatchNorm2d()
    with pytest.raises(InvalidDescription, match="3: its bn3 has no place in the chapter's blocks"):
        chapter.describe(small(odd))
    fixed = small(d2l.Residual(8))
    fixed.forward = lambda X: X.reshape(4, 32 * 32)
    with pytest.raises(InvalidDescription, match=r"forward: it fails for images \(2, 1, 64, 64\)"):
        chapter.describe(fixed)


def test_a_loaded_network_that_has_not_run_says_so() -> None:
    model, fresh = d2l.ResNet(((1, 64),)), d2l.ResNet(((1, 64),))
    model.layer_summary((1, 1, 32, 32))
    fresh.load_state_dict(model.state_dict())
    with pytest.raises(ResnetsError, match="it needs one forward pass"):
        chapter.describe(fresh)
    fresh.layer_summary((1, 1, 32, 32))
    assert chapter.describe(fresh).channels == 1


@pytest.mark.filterwarnings(LAZY)
def test_class_names_and_size_have_to_fit() -> None:
    model = small(d2l.Residual(8), classes=4)
    assert chapter.network(model).class_names == ("0", "1", "2", "3")
    given: list[dict[str, Any]] = [{"class_names": ["a"]}, {"class_names": "abcd"}]
    given += [{"size": size} for size in (0, -1, "x", 2.5, True, 2**16)]
    for arguments in given:
        (name,) = arguments
        with pytest.raises(InvalidDescription, match=f"network is not valid:\n  {name}: "):
            chapter.network(model, **arguments)


def test_weights_of_another_network_are_refused() -> None:
    model = d2l.ResNet(((1, 64),))
    model.layer_summary((1, 1, 32, 32))
    whole = chapter.network(model, size=32)
    fresh = d2l.ResNet(((1, 64),))
    assert chapter.load(fresh, whole) is fresh
    assert torch.equal(fresh.net[0][0].weight, model.net[0][0].weight)
    for module in fresh.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    with pytest.raises(WeightsError, match=r"another network's:\n  norm: Norm.*epsilon=0\.001"):
        chapter.load(fresh, whole)
    lacking = {name: array for name, array in whole.weights.items() if name != "fc.bias"}
    with pytest.raises(WeightsError, match=r"fc\.bias: missing"):
        chapter.load(model, lacking)


class Noise(d2l.DataModule):
    def get_dataloader(self, train: bool) -> Any:
        self.batch_size = 8
        rng = np.random.default_rng(0)
        X = rng.normal(3, 2, (16, 3, 4, 4)).astype(np.float32)
        return self.get_tensorloader([X, np.arange(16) % 10], train)


class Book(d2l.Classifier):
    """Steps as the book writes them: they plot, and validation gives nothing."""

    def __init__(self) -> None:
        super().__init__(plot_train_per_epoch=1, plot_valid_per_epoch=1)
        self.save_hyperparameters()
        self.lr = 0.1
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(48, 10))

    def training_step(self, batch: Any) -> Any:
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch: Any) -> Any:
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)


class LossAlone(Book):
    def validation_step(self, batch: Any) -> Any:
        return self.loss(self(*batch[:-1]), batch[-1])


class NoMean(Book):
    def training_step(self, batch: Any) -> Any:
        return self.loss(self(*batch[:-1]), batch[-1], averaged=False)


def test_models_written_the_books_way_are_trained() -> None:
    trainer = d2l.Trainer(max_epochs=2, folder=None)
    trainer.fit(Book(), Noise())
    assert set(trainer.board.lines) == {"train_loss", "val_loss", "val_acc"}
    losses = [loss for _, loss in trainer.board.lines["train_loss"]]
    assert losses == pytest.approx([e.training_loss for e in trainer.epochs])
    found = [e.validation_accuracy for e in trainer.epochs]
    assert found == pytest.approx([y for _, y in trainer.board.lines["val_acc"]])
    assert trainer.optim is trainer.optimizer
    trainer.fit(LossAlone(), Noise())
    assert trainer.epochs[-1].validation_loss is not None
    assert trainer.epochs[-1].validation_accuracy is None
    with pytest.raises(InvalidDescription, match=r"the loss: it has the shape \[.*\], not one num"):
        trainer.fit(NoMean(), Noise())
