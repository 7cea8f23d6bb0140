# %% [markdown]
# # Exercises 2 and 3: the networks of Table 1, and the bottleneck
#
# The five networks of He et al. 2015, Table 1: what they cost, beside the paper's figures, and
# small ones of the same depths trained. The bottleneck block: written in the chapter's style,
# compared with the catalog's, and set against the basic block at equal multiply-adds.
#
# Run in full: about 5 minutes on one core; more are not needed.

# %%
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from small_training import COLOURS, SIZE, SMALL, report, small_data, smoothed, trained
from torch import nn
from torch.nn import functional as F

import resnets
from resnets import Architecture, Block, Stage, Stem, chapter
from resnets.backends import load
from resnets.chapter import torch as d2l
from resnets.networks import catalog, families
from resnets.networks.memory import format_megabytes, training_memory
from resnets.training.monitor import curves

SEEDS, MORE_SEEDS = range(1 if SMALL else 3), range(1 if SMALL else 5)
STEPS = 2 if SMALL else 200
data = small_data(*((200, 100) if SMALL else (2560, 2000)))
torch_backend = load("torch")

torch.set_num_threads(1)
plt.rcParams.update(curves.SETTINGS)
warnings.filterwarnings("ignore", "Lazy modules are a new feature", UserWarning)

# %% [markdown]
# ## Exercise 2: the networks of Table 1
#
# > Refer to Table 1 in the ResNet paper to implement different variants of the network.
#
# With the chapter's class a variant is a tuple: blocks and channels of each stage.


# %%
class ResNet34(d2l.ResNet):
    def __init__(self, lr=0.1, num_classes=10):
        super().__init__(((3, 64), (4, 128), (6, 256), (3, 512)), lr, num_classes)


model = ResNet34()
model.apply_init([torch.zeros(1, 1, 96, 96)], d2l.init_cnn)
described = chapter.describe(model)
print([(stage.depth, stage.width) for stage in described.stages], end=" ")
print(f"{resnets.trace(described, 96).parameters:,} parameters")

# %% [markdown]
# The catalog has all five. Beside the multiply-adds that the paper prints (its section 3.3: "FLOPs"
# are multiply-adds) stand the exact ones, at 224×224 and 1000 classes, strides where the paper has
# them (`_v1`), and for 18 and 34 layers its parameter-free shortcuts (option A). Memory is that of
# a training step of 32 images in float32 with momentum SGD.

# %%
PRINTED = {"resnet18": 1.8, "resnet34": 3.6, "resnet50_v1": 3.8, "resnet101_v1": 7.6}
PRINTED["resnet152_v1"] = 11.3


def as_printed(name):
    found = catalog.get(name)
    if "_v1" in name:
        return found
    options = [replace(s, block=replace(s.block, shortcut="padding")) for s in found.stages]
    return replace(found, stages=tuple(options))


table = {}
print("layers    parameters    multiply-adds   He et al., 10⁹   memory, batch 32")
for name, printed in PRINTED.items():
    traced = resnets.trace(as_printed(name), 224)
    table[name] = [traced.parameters, traced.multiply_adds, printed]
    layers = name.removeprefix("resnet").removesuffix("_v1")
    held = format_megabytes(training_memory(traced, 32).total)
    print(f"{layers:6}{traced.parameters:14,}{traced.multiply_adds:17,}{printed:17}{held:>19}")

# %% [markdown]
# The prints are ours, rounded; that of 50 layers is cut. From 34 layers to 50 the multiply-adds
# hardly grow, and the memory more than doubles: that is the bottleneck, of which exercise 3 says
# more.
#
# Small ones of the same depths: an eighth of the widths, a 3×3 stem without a pool, 14×14 images.


# %%
def slim(name):
    found = catalog.get(name, channels=1, classes=10)
    stages = tuple(replace(stage, width=stage.width // 8) for stage in found.stages)
    return replace(found, stem=Stem(width=8, kernel=3, stride=1, pool=False), stages=stages)


def makers_of(architectures):
    """Native modules of PyTorch; the seed draws their weights."""
    return {n: lambda s, a=a: torch_backend.build(a, seed=s) for n, a in architectures.items()}


variants = ("resnet18", "resnet50") if SMALL else [name.removesuffix("_v1") for name in PRINTED]
slims = {f"{name} / 8": slim(name) for name in variants}
for name, a in slims.items():
    traced = resnets.trace(a, SIZE)
    print(f"{name:24}{traced.parameters:11,} parameters{traced.multiply_adds:13,} multiply-adds")
runs, _ = trained(makers_of(slims), data, SEEDS, STEPS)
accuracies = report(runs)

# %% [markdown]
# Deeper is not better here; with every step of the depth it is worse, from 0.83 to 0.76 for seven
# times the multiply-adds (101 and 152 layers overlap). That does not contradict the paper, whose
# deeper networks are better after 600,000 steps on 1.28 million images: it says that in 200 steps
# of 64 images depth has no time to pay. All have the same recipe, tuned for none of them.
#
# ## Exercise 3: the bottleneck
#
# > For deeper networks, ResNet introduces the "bottleneck" architecture to reduce model
# > complexity. Try to implement it.
#
# In the chapter's style, with the norms and without the biases of the paper, and the stride in the
# 3×3 as torchvision and the catalog have it:


# %%
class Bottleneck(nn.Module):
    """1×1 that narrows to a quarter, 3×3, 1×1 that widens again, and the input added."""

    def __init__(self, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        inner = num_channels // 4
        self.conv1 = nn.LazyConv2d(inner, 1, bias=False)
        self.conv2 = nn.LazyConv2d(inner, 3, stride=strides, padding=1, bias=False)
        self.conv3 = nn.LazyConv2d(num_channels, 1, bias=False)
        self.bn1, self.bn2, self.bn3 = (nn.LazyBatchNorm2d() for _ in range(3))
        self.conv4 = self.bn4 = None
        if use_1x1conv:
            self.conv4 = nn.LazyConv2d(num_channels, 1, stride=strides, bias=False)
            self.bn4 = nn.LazyBatchNorm2d()

    def forward(self, X):  # noqa: N803
        Y = F.relu(self.bn1(self.conv1(X)))  # noqa: N806
        Y = F.relu(self.bn2(self.conv2(Y)))  # noqa: N806
        Y = self.bn3(self.conv3(Y))  # noqa: N806
        if self.conv4 is not None:
            X = self.bn4(self.conv4(X))  # noqa: N806
        return F.relu(Y + X)


class BottleneckNet(d2l.Classifier):
    """The chapter's ``ResNet``, of bottlenecks; the first block of every stage projects."""

    def __init__(self, arch, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        stem = nn.LazyConv2d(64, 7, stride=2, padding=3, bias=False)
        pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.net = nn.Sequential(nn.Sequential(stem, nn.LazyBatchNorm2d(), nn.ReLU(), pool))
        for i, (depth, width) in enumerate(arch):
            blocks = [Bottleneck(width, True, strides=1 if i == 0 else 2)]
            blocks += [Bottleneck(width) for _ in range(depth - 1)]
            self.net.add_module(f"b{i + 2}", nn.Sequential(*blocks))
        last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(num_classes))
        self.net.add_module("last", last)


ours = BottleneckNet(((3, 256), (4, 512), (6, 1024), (3, 2048)), num_classes=1000)
catalogs = catalog.get("resnet50")
weights = resnets.initial_weights(catalogs, seed=0)
chapter.load(ours, weights)  # also gives the lazy layers their shapes
native = torch_backend.build(catalogs, weights=weights).eval()
images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    logits, expected = ours.eval()(images), native(images)
difference = ((logits - expected).abs().max() / expected.abs().max()).item()
same_network = replace(chapter.describe(ours), name="") == replace(catalogs, name="")
print(f"{sum(p.numel() for p in ours.parameters()):,} parameters")
print(f"described, it is the catalog's resnet50: {same_network}")
print(f"same weights, same images: the logits differ by {difference:.1e} of their size")

# %% [markdown]
# ### Against the basic block at equal multiply-adds
#
# Two blocks a stage. A bottleneck puts out four times the channels that its 3×3 has; how many these
# are is chosen so that the multiply-adds are nearest to those of the basic network.


# %%
def network(kind, width):
    """Three stages of two blocks; ``width`` is that of the first stage's 3×3 convolutions."""
    expansion = 4 if kind == "bottleneck" else 1
    stages = tuple(
        Stage(depth=2, width=expansion * width * 2**i, stride=min(i, 1) + 1, block=Block(kind=kind))
        for i in range(3)
    )
    stem = replace(families.SMALL_STEM, width=16)
    return Architecture(channels=1, classes=10, stem=stem, stages=stages)


basic = network("basic", 16)
target = resnets.trace(basic, SIZE).multiply_adds
narrow = min(
    (network("bottleneck", width) for width in range(8, 25)),
    key=lambda a: abs(resnets.trace(a, SIZE).multiply_adds - target),
)
contenders = {"basic": basic, "bottleneck": narrow}
costs = {}
print(f"{'':12}{'channels':16}{'parameters':>11}{'multiply-adds':>15}{'kept values':>13}")
for name, a in contenders.items():
    traced = resnets.trace(a, SIZE)
    costs[name] = [traced.parameters, traced.multiply_adds, traced.activations]
    widths = ", ".join(str(stage.width) for stage in a.stages)
    print(f"{name:12}{widths:16}{costs[name][0]:11,}{costs[name][1]:15,}{costs[name][2]:13,}")
runs, _ = trained(makers_of(contenders), data, MORE_SEEDS, STEPS)
compared = report(runs)

# %%
fig, axes = plt.subplots(
    figsize=(6, 3.2), layout="tight", num="Training loss of basic blocks and bottlenecks"
)
for (name, own), colour in zip(runs.items(), COLOURS, strict=False):
    axes.plot(*smoothed(own), color=colour, label=name)
axes.set(xlabel="step", ylabel="training loss, mean of the seeds")
axes.legend(frameon=False)
axes.grid(color=curves.GRID)
plt.show()

# %% [markdown]
# What the bottleneck is for can be computed: among 256 channels a basic block has 1,179,648
# weights, a bottleneck 69,632. It makes many channels and great depth affordable. It is not the
# better block at equal multiply-adds in small networks: here it is 1.5 points behind in the mean
# and behind in all five seeds, keeps 2.9 times the values for the backward pass and takes 1.7 times
# the processor's time of a step. The losses meet at the end of the 200 steps; what longer training
# brings was not measured, nor was anything at the depths for which the paper introduced it.

# %%
# What the tests look at.
measured = {
    "table": table,
    "variants": accuracies,
    "same_network": same_network,
    "difference": difference,
    "costs": costs,
    "bottleneck": compared,
}
