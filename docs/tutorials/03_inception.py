# %% [markdown]
# # Exercise 1: Inception blocks and residual blocks
#
# > What are the major differences between the Inception block and the residual block? How do they
# > compare in terms of computation, accuracy, and the classes of functions they can describe?
#
# All three are measured: what a block of each costs, how well small networks of them learn at equal
# multiply-adds, and which of them can be the identity. Exercises
# [2 and 3](04_variants.md), [4](05_preactivation.md) and [5](06_complexity.md) follow.
#
# Run in full: about 2 minutes on one core; more are not needed.

# %%
import statistics
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from small_training import COLOURS, SMALL, evaluated, report, small_data, smoothed, trained
from torch import nn
from torch.nn import functional as F

from resnets.chapter import torch as d2l
from resnets.training.monitor import curves

SEEDS = range(1 if SMALL else 5)
STEPS = 2 if SMALL else 100
data = small_data(*((200, 100) if SMALL else (2560, 2000)))

torch.set_num_threads(1)
plt.rcParams.update(curves.SETTINGS)
warnings.filterwarnings("ignore", "Lazy modules are a new feature", UserWarning)

# %% [markdown]
# ## Two blocks
#
# Both are written with a switch for the shortcut, so that two questions are kept apart: what the
# branches are, and whether the input is added. The Inception block has the proportions of
# GoogLeNet's first (Szegedy et al. 2014, Table 1, 3a): of 256 channels 64 come from a 1×1
# convolution, 128 from a 3×3 behind a 1×1 of 96, 32 from a 5×5 behind a 1×1 of 16, 32 from a 1×1
# behind a max-pool. GoogLeNet had no norms; here every convolution has one, in both blocks.


# %%
def conv(width, kernel, stride=1):
    convolution = nn.LazyConv2d(width, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.LazyBatchNorm2d())


class Basic(nn.Module):
    """3×3, 3×3: the residual block, or without its shortcut a plain one."""

    def __init__(self, width, stride=1, changes=False, shortcut=True):
        super().__init__()
        self.branch = nn.Sequential(conv(width, 3, stride), nn.ReLU(), conv(width, 3))
        self.shortcut = shortcut
        self.project = conv(width, 1, stride) if shortcut and changes else nn.Identity()

    def forward(self, x):
        y = self.branch(x)
        return F.relu(y + self.project(x) if self.shortcut else y)


class Inception(Basic):
    """Four branches beside each other, whose channels are put one after the other."""

    def __init__(self, width, stride=1, changes=False, shortcut=False):
        super().__init__(width, stride, changes, shortcut)
        six, one = round(width * 3 / 8), round(width / 16)
        eighth = width // 8
        rest = width - 2 * eighth - width // 2
        self.branch = Beside(
            conv(rest, 1, stride),
            nn.Sequential(conv(six, 1), nn.ReLU(), conv(width // 2, 3, stride)),
            nn.Sequential(conv(one, 1), nn.ReLU(), conv(eighth, 5, stride)),
            nn.Sequential(nn.MaxPool2d(3, stride, padding=1), conv(eighth, 1)),
        )


class Beside(nn.ModuleList):
    def __init__(self, *branches):
        super().__init__(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self], dim=1)


def network(block, depth, width, seed=0, **options):
    """Stem, three stages of ``depth`` blocks, mean, dense layer."""
    torch.manual_seed(seed)
    layers = [conv(width, 3), nn.ReLU()]
    for stage in range(3):
        for i in range(depth):
            changes = i == 0 and stage > 0
            layers.append(block(width * 2**stage, 1 + changes, changes, **options))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10)]
    made = nn.Sequential(*layers).eval()
    made(data.x[:2])  # the lazy layers see their shapes
    return made.apply(d2l.init_cnn)


# %% [markdown]
# ## Computation
#
# Costs are counted while the module runs: multiply-adds by the shapes of convolutions and dense
# layers, memory by the tensors that autograd keeps for the backward pass.


# %%
def costs(module, x):
    """Give parameters, multiply-adds and kept activation bytes for one image."""
    multiply_adds, kept = [0], {}

    def count(layer, _, y):
        multiply_adds[0] += layer.weight.numel() * y[0, 0].numel() if y.dim() == 4 else 0
        multiply_adds[0] += layer.weight.numel() if y.dim() == 2 else 0

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    counted = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    handles = [m.register_forward_hook(count) for m in counted]
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    own |= {b.untyped_storage().data_ptr() for b in module.buffers()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = module.train()(x.clone())  # a storage of its own, no part of a larger one
    for handle in handles:
        handle.remove()
    activations = sum(size for place, size in kept.items() if place not in own)
    del y
    parameters = sum(p.numel() for p in module.parameters())
    return parameters, multiply_adds[0], activations // len(x)


def in_turn(modules, x, rounds):
    """Median processor milliseconds of forward and backward, the modules in turn every round."""
    times = {name: [] for name in modules}
    for _ in range(rounds + 1):
        for name, module in modules.items():
            began = time.process_time()
            module(x).sum().backward()
            times[name].append(1000 * (time.process_time() - began))
    return {name: statistics.median(own[1:]) for name, own in times.items()}


WIDTH, PIXELS = (32, 14) if SMALL else (256, 28)
x = torch.randn(2, WIDTH, PIXELS, PIXELS).relu()
pair = {"residual": Basic(WIDTH), "Inception": Inception(WIDTH)}
for block in pair.values():
    block(x)
times = in_turn(pair, x, 2 if SMALL else 7)
block_costs = {name: costs(block, x) for name, block in pair.items()}
print(f"{WIDTH} channels, {PIXELS}×{PIXELS}   residual   Inception   ratio")
labels = ("parameters", "multiply-adds", "kept bytes")
for label, a, b in zip(labels, *block_costs.values(), strict=True):
    print(f"{label:14}{a:16,}{b:12,}{a / b:8.2f}")
a, b = times.values()
print(f"{'milliseconds':14}{a:16.0f}{b:12.0f}{a / b:8.2f}")

# %% [markdown]
# For the same channels an Inception block has about a seventh of the parameters and multiply-adds,
# because its larger convolutions read and write few channels. It takes a third of the time, not a
# seventh, and keeps as much memory for the backward pass: norms and ReLUs cost by the values that
# they touch, and it touches as many. The times are medians on a busy machine: take their ratio.
#
# ## Accuracy at equal multiply-adds
#
# Two by two: basic or Inception branches, with and without the shortcut. Three blocks a stage; the
# width of the Inception networks is the one whose multiply-adds come nearest.

# %%
DEPTH = 1 if SMALL else 3
BASIC_WIDTH = 8
target = costs(network(Basic, DEPTH, BASIC_WIDTH), data.x[:2])[1]
wide = min(
    range(16, 41, 2), key=lambda w: abs(costs(network(Inception, DEPTH, w), data.x[:2])[1] - target)
)


def maker(block, width, shortcut):
    return lambda seed: network(block, DEPTH, width, seed, shortcut=shortcut)


makers = {
    "basic, plain": maker(Basic, BASIC_WIDTH, False),
    "basic + shortcut": maker(Basic, BASIC_WIDTH, True),
    "Inception": maker(Inception, wide, False),
    "Inception + shortcut": maker(Inception, wide, True),
}
network_costs = {name: costs(make(0), data.x[:2]) for name, make in makers.items()}
for name, (parameters, multiply_adds, kept) in network_costs.items():
    print(f"{name:24}{parameters:9,} parameters{multiply_adds:12,} multiply-adds{kept:10,} bytes")
runs, last = trained(makers, data, SEEDS, STEPS)
accuracies = report(runs)

# %%
fig, axes = plt.subplots(figsize=(6, 3.4), layout="tight", num="Training loss of the four networks")
for (name, own), colour in zip(runs.items(), COLOURS, strict=False):
    axes.plot(*smoothed(own), color=colour, label=name)
axes.set(xlabel="step", ylabel="training loss, mean of the seeds")
axes.legend(frameon=False)
axes.grid(color=curves.GRID)
plt.show()

# %% [markdown]
# Without a shortcut the basic blocks are last in every seed, 0.70 in the mean and far apart; the
# shortcut is worth 8 points to them (3 to 19 points from seed to seed). Inception blocks need it
# less: they reach as much without it (0.79, the seeds overlap with those of the residual network),
# and gain about a point by it, in four seeds of five. One reason may be that every Inception block
# has a path of a single 1×1 convolution; that was not tested.
#
# Equal multiply-adds are dear for the Inception networks, though: they keep 3.5 times the memory of
# the residual one and take 2.6 times its time. And 100 steps of 64 images are the beginning of a
# training: the order at its end is not measured here.
#
# ## Classes of functions
#
# The residual block is the identity when its branch is zero: put the last norm's scale to zero, and
# what is left is $\mathrm{ReLU}(\mathbf{x}) = \mathbf{x}$ for the non-negative values that a ReLU
# gave. An Inception block whose last norms are zero is the constant zero. So a zeroed residual
# block can stand behind the last block of a *trained* network and change nothing; an Inception
# block cannot.


# %%
def zeroed(block):
    ends = block.branch if isinstance(block.branch, nn.ModuleList) else [block.branch]
    for branch in ends:
        last_norm = [m for m in branch.modules() if isinstance(m, nn.BatchNorm2d)][-1]
        nn.init.zeros_(last_norm.weight)
        nn.init.zeros_(last_norm.bias)
    return block


x = torch.randn(16, 16, 14, 14).relu()
distance, inserted = {}, {}
for name, block in (("basic + shortcut", Basic), ("Inception", Inception)):
    single = block(16)
    single(x)
    with torch.no_grad():
        distance[name] = ((zeroed(single)(x) - x).norm() / x.norm()).item()
    whole = last[name]
    channels = whole[-1].in_features
    extra = block(channels)
    extra(torch.zeros(2, channels, 4, 4))
    deeper = nn.Sequential(*whole[:-3], zeroed(extra), *whole[-3:])
    inserted[name] = [evaluated(n, data.held_x, data.held_y)[1] for n in (whole, deeper)]
    print(f"{name:18} zeroed block to the identity: {distance[name]:.2f} of the input", end="; ")
    print("the network {:.3f}, with the block {:.3f}".format(*inserted[name]))

# %% [markdown]
# Zero is one choice of weights. Could other weights make an Inception block the identity? Its
# channels are put one after the other, not added, so each output channel needs its own way through.
# Of `c` channels at most `c/4 + 3c/8 + c/16` pass the narrow places of its first three branches,
# and the fourth sees maxima only. Below, single blocks of 16 channels learn the identity on random
# non-negative images (Adam, the mean squared error as a share of the input's variance).

# %%
IDENTITY_STEPS = 20 if SMALL else 500
kinds = {
    "residual": lambda: Basic(16),
    "plain": lambda: Basic(16, shortcut=False),
    "Inception": lambda: Inception(16),
}
errors = {name: [] for name in kinds}
for seed in SEEDS:
    for name, make in kinds.items():
        torch.manual_seed(seed)
        block = make()
        block(torch.rand(4, 16, 8, 8))
        block.apply(d2l.init_cnn)
        optimiser = torch.optim.Adam(block.parameters(), lr=0.01)
        curve = []
        for step in range(IDENTITY_STEPS):
            optimiser.param_groups[0]["lr"] = 0.01 * (1 - step / IDENTITY_STEPS)
            x = torch.randn(16, 16, 8, 8).relu()
            loss = F.mse_loss(block(x), x) / x.var()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            curve.append(loss.item())
        errors[name].append(curve)
identity = {name: [curve[-1] for curve in own] for name, own in errors.items()}
for name, own in identity.items():
    print(f"{name:10} left of the variance:", " ".join(f"{100 * e:.2f}%" for e in own))

# %%
fig, axes = plt.subplots(figsize=(6, 3.2), layout="tight", num="Learning the identity")
every = range(0, IDENTITY_STEPS, 5)
for (name, own), colour in zip(errors.items(), COLOURS, strict=False):
    axes.semilogy(every, np.mean(own, axis=0)[every], color=colour, label=name)
axes.set(xlabel="step", ylabel="error, share of the variance")
axes.legend(frameon=False)
axes.grid(color=curves.GRID)
plt.show()

# %% [markdown]
# The residual block finds the identity. The plain block could be it as well (two kernels with a one
# in the middle), but 500 steps leave 1 to 2% of the variance. The Inception block stays at 24 to
# 32%. Of 16 channels 5 have no way through but the max-pool: 31% of the variance, of which the
# maxima tell some.
#
# So the classes differ in this: stacks of residual blocks are nested, and the smaller network is
# found inside the larger one at zero weights; stacks of Inception blocks of these proportions are
# not, which does not keep them from learning as well. What makes the difference is the sum, not the
# branches. As the chapter says, a residual block is a block of two branches of which one is the
# identity; but it adds them, where Inception sets them beside each other. With a shortcut around
# it, an Inception block is a residual block with another branch (Szegedy et al. 2016,
# arXiv:1602.07261), and can be zeroed like any other.

# %%
# What the tests look at.
measured = {
    "block_costs": block_costs,
    "network_costs": network_costs,
    "accuracy": accuracies,
    "zeroed_to_identity": distance,
    "inserted": inserted,
    "identity": identity,
}
