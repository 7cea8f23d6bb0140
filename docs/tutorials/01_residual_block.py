# %% [markdown]
# # The residual block, and why nested function classes matter
#
# *English · [Bahasa Indonesia](01_residual_block.id.md)*
#
# Why is a deeper network not always a better one, and what changes when a block adds its input to
# its output? This tutorial follows the first half of the ResNet chapter of *Dive into Deep
# Learning* (8.6.1 and 8.6.2) and measures what the chapter says: function classes that are nested
# and such that are not, the residual block, plain against residual networks of growing depth, and
# networks that contain the shallower one exactly.
#
# In full it takes some minutes on one CPU core. Open it as a notebook (jupytext, VS Code and
# PyCharm read it as it is), or run `python docs/tutorials/01_residual_block.py`;
# `RESNETS_TUTORIAL=small` before it makes a short run of few steps.

# %%
import os
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import resnets
from resnets import backends, chapter
from resnets.chapter import torch as d2l
from resnets.data import load_dataset
from resnets.training.monitor import curves

SMALL = os.environ.get("RESNETS_TUTORIAL") == "small"  # few images and steps: what the tests run
plt.rcParams.update(curves.SETTINGS)

# %% [markdown]
# ## Function classes
#
# Let $\mathcal{F}$ be all the functions that a network can become by training, and $f^*$ the one
# that we want. If $f^*$ is not in $\mathcal{F}$, training looks for the best that is,
# $f^*_\mathcal{F}$. A larger class $\mathcal{F}'$ is sure to have something at least as good
# **only if it contains the smaller one**, $\mathcal{F} \subseteq \mathcal{F}'$: the classes are
# *nested*. A class that is merely larger may lack the function that the smaller one had.
#
# That can be computed where the best function of a class is known exactly. Take step functions on
# $k$ equal pieces of $[0, 1)$: the best one has the mean of $f^*$ on each piece. The classes with
# 1, 2, 4, 8 pieces are nested, since each cuts the pieces of the last in two. Those with 1, 2, 3,
# 4 pieces are not: two pieces can jump in the middle, three cannot.

# %%
t = np.arange(27720) / 27720  # 27720 is divisible by all of 1 to 12
wanted = np.where(t < 0.5, 0.0, 1.0) + 0.3 * np.sin(2 * np.pi * t)


def least_error(pieces):
    """Mean squared error of the best step function on so many equal pieces."""
    means = wanted.reshape(pieces, -1).mean(axis=1)
    return float(np.mean((wanted - np.repeat(means, len(t) // pieces)) ** 2))


others = {k: least_error(k) for k in range(1, 13)}
nested = {k: others[k] for k in (1, 2, 4, 8)}
print("pieces      ", *(f"{k:6d}" for k in others))
print("least error ", *(f"{error:6.3f}" for error in others.values()))
print("worse than the class before:", *(k for k in others if others[k] > others.get(k - 1, 9)))

# %%
fig, axes = plt.subplots(figsize=(6, 2.8), num="Least error of nested and other function classes")
axes.plot(others.keys(), others.values(), "o-", color=curves.VALIDATION, label="1, 2, 3 … pieces")
axes.plot(nested.keys(), nested.values(), "o-", color=curves.TRAINING, label="1, 2, 4, 8: nested")
axes.set(xlabel="pieces (size of the class)", ylabel="least error", ylim=(0, None))
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# On the nested classes the error cannot rise. On the others a larger class is often a worse one:
# that is the left side of the chapter's figure. Here the fault is the classes' own, as nothing was
# trained. With deep networks training comes in, and we shall see that it matters more.

# %% [markdown]
# ## The residual block
#
# A plain block has to learn the wanted mapping $f(\mathbf{x})$ itself. A residual block learns
# $g(\mathbf{x}) = f(\mathbf{x}) - \mathbf{x}$, and its *residual connection* (shortcut) adds the
# input again. For the block to be the identity, its branch only has to be zero.
#
# ![A plain block beside a residual one](../images/residual-block.svg)
#
# `resnets.chapter.torch` has the chapter's `Residual`: two 3×3 convolutions with norms, and the
# input added before the last ReLU. With the identity as its shortcut it keeps the shape.

# %%
torch.manual_seed(0)
X = torch.randn(4, 3, 6, 6)
block = d2l.Residual(3)
print("identity shortcut:  ", tuple(X.shape), "->", tuple(block(X).shape))

# %% [markdown]
# Other channels or another size cannot be added to the input. Then a 1×1 convolution, the
# *projection*, gives the input the shape of the branch's output.

# %%
halving = d2l.Residual(6, use_1x1conv=True, strides=2)
print("projection shortcut:", tuple(X.shape), "->", tuple(halving(X).shape))
try:
    d2l.Residual(6)(X)
except resnets.InvalidDescription as problem:
    print("without it:", problem)

# %% [markdown]
# Is a block whose branch is zero really the identity? Set the last norm's scale to 0; its shift is
# 0 from the start. A ReLU follows the sum, so the block is the identity for what a ReLU gave
# before, and that is everything that reaches a block inside such a network.

# %%
X = X.relu()
nn.init.zeros_(block.bn2.weight)
print("training:  ", torch.equal(block.train()(X), X))
print("evaluation:", torch.equal(block.eval()(X), X))

# %% [markdown]
# ## Plain against residual, deeper and deeper
#
# The plain block is the same block without the sum. It needs no projection either.


# %%
class Plain(d2l.Residual):
    """The chapter's block without its shortcut."""

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)))


# %% [markdown]
# He et al. 2015 (section 4.2) built networks of 6n + 2 layers for CIFAR-10: a convolution, three
# stages of n blocks, a dense layer. Ours have the same layers, but half the channels (8, 16, 32),
# images of 14×14 and a stride of 2 in the first convolution, so that they train in minutes on one
# core.
#
# The third kind, *zero start*, is the residual network whose branches all begin at zero. At first
# its blocks add nothing: however deep it is, it begins as a function that a far shallower network
# has.


# %%
def network(kind, layers, seed):
    """Make a network of 6n + 2 layers; images are [n, 1, 14, 14]."""
    torch.manual_seed(seed)
    parts = [nn.LazyConv2d(8, kernel_size=3, stride=2, padding=1), nn.LazyBatchNorm2d(), nn.ReLU()]
    for width in (8, 16, 32):
        for i in range((layers - 2) // 6):
            halves = i == 0 and width > 8
            strides = 2 if halves else 1
            if kind == "plain":
                parts.append(Plain(width, strides=strides))
            else:
                parts.append(d2l.Residual(width, halves, strides, norm_shortcut=True))
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10)]
    net = nn.Sequential(*parts)
    net(torch.zeros(2, 1, 14, 14))  # gives the lazy layers their shapes
    for block in blocks_of(net) if kind == "zero start" else ():
        nn.init.zeros_(block.bn2.weight)
    return net


def blocks_of(net):
    """List the blocks, first to last."""
    return [part for part in net if isinstance(part, d2l.Residual)]


KINDS = {"plain": curves.VALIDATION, "residual": curves.TRAINING, "zero start": "#009E73"}
DEPTHS = (8, 20) if SMALL else (8, 20, 32, 56)
SEEDS = (0,) if SMALL else (0, 1, 2)
STEPS, BATCH, RATE = (12 if SMALL else 240), 64, 0.1

for layers in DEPTHS:
    counts = [sum(p.numel() for p in network(kind, layers, 0).parameters()) for kind in KINDS]
    print(f"{layers:2d} layers: {counts[0]:,} parameters plain, {counts[1]:,} residual")

# %% [markdown]
# The residual networks have a little more: two projections with their norms. We keep 5,000
# training images aside for validation. The test set is not needed here.

# %%
data = load_dataset("fashion_mnist", size=14).training
pixels = torch.from_numpy(data.pixels).permute(0, 3, 1, 2).float() / 255
pixels = (pixels - pixels.mean()) / pixels.std()
labels = torch.from_numpy(data.labels)
HELD_OUT = min(5000, len(labels) // 5)
print(tuple(pixels.shape), "images, of which", HELD_OUT, "for validation")

# %% [markdown]
# ### Gradients before the first step
#
# First a look at the untrained networks. For one batch, how long is the gradient of each block's
# first convolution, from the first block to the last?


# %%
def gradient_norms(net):
    """Give the length of the gradient of each block's first convolution, for 256 images."""
    F.cross_entropy(net(pixels[:256]), labels[:256]).backward()
    return [block.conv1.weight.grad.norm().item() for block in blocks_of(net)]


deepest = DEPTHS[-1]
norms = {
    kind: np.mean([gradient_norms(network(kind, deepest, seed)) for seed in range(3)], axis=0)
    for kind in ("plain", "residual")
}
for kind, values in norms.items():
    first, last = values[0], values[-1]
    print(f"{kind:9s} {deepest} layers: first block {first:8.3f}, last {last:.3f}", end="")
    print(f", ratio {first / last:.1f}")

# %%
fig, axes = plt.subplots(figsize=(6, 2.8), num="Gradient norms by block, before training")
for kind, values in norms.items():
    axes.semilogy(range(1, len(values) + 1), values, "o-", color=KINDS[kind], label=kind)
axes.set(xlabel=f"block of the {deepest}-layer network", ylabel="gradient norm")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# In the plain network the gradient is not lost on its way to the input, it swells: it is 760 times
# as long in the first block as in the last, against 9 times in the residual one (means of 3 seeds,
# one batch of 256 images). Batch norm keeps what flows forward at its size, and what flows back
# grows with every layer (Yang et al. 2019, arXiv:1902.08129). A shortcut hands the gradient on as
# it is, since the derivative of $g(\mathbf{x}) + \mathbf{x}$ is $g'(\mathbf{x}) + 1$.
#
# This is the state before the first step. It makes trouble likely, but does not show by itself
# that it causes what follows.

# %% [markdown]
# ### Training
#
# The same loop, batches and learning rates for all: Nesterov SGD, the rate falling to 0 on a line.
# Of each network we note the loss of every step, and at the end the accuracy on the validation
# images.


# %%
def train(net, seed, rate=RATE):
    """Train; give the losses of the steps and the validation accuracy."""
    draw = np.random.default_rng(seed)
    optimiser = torch.optim.SGD(net.parameters(), rate, momentum=0.9, nesterov=True)
    losses = []
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / STEPS)
        batch = draw.integers(0, len(labels) - HELD_OUT, BATCH)
        loss = F.cross_entropy(net(pixels[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, accuracy(net)


@torch.no_grad()
def accuracy(net):
    """Share of the validation images that are classified rightly."""
    found = torch.cat([net.eval()(part).argmax(1) for part in pixels[-HELD_OUT:].split(500)])
    return (found == labels[-HELD_OUT:]).float().mean().item()


LAST = max(STEPS // 8, 1)  # the final training loss: the mean of so many last steps
losses, right, trained = {}, {}, {}
print(f"mean of {len(SEEDS)} seeds (lowest to highest): training loss, validation accuracy")
for kind in KINDS:
    for layers in DEPTHS:
        runs = []
        for seed in SEEDS:
            trained[kind, layers] = network(kind, layers, seed)
            runs.append(train(trained[kind, layers], seed))
        losses[kind, layers] = np.array([run[0] for run in runs])
        right[kind, layers] = np.array([run[1] for run in runs])
        last, share = losses[kind, layers][:, -LAST:].mean(axis=1), right[kind, layers]
        print(f"{kind:10s} {layers:2d} layers", end="   ")
        print(f"{last.mean():.3f} ({last.min():.3f} to {last.max():.3f})", end="   ")
        print(f"{share.mean():.1%} ({share.min():.1%} to {share.max():.1%})")

# %%
fig, panels = plt.subplots(1, 3, figsize=(9, 3), sharey=True, num="Training curves by depth")
for axes, kind in zip(panels, KINDS, strict=True):
    for shade, layers in zip(np.linspace(0.3, 1, len(DEPTHS)), DEPTHS, strict=True):
        groups = np.array_split(losses[kind, layers].mean(axis=0), min(STEPS, 40))
        at = np.cumsum([len(group) for group in groups])
        means = [group.mean() for group in groups]
        axes.plot(at, means, color=KINDS[kind], alpha=shade, label=f"{layers} layers")
    axes.set(title=kind, xlabel="step", ylim=(0, 3.3))
    axes.legend(frameon=False, ncols=2, loc="upper center", columnspacing=1)
panels[0].set_ylabel("training loss")
fig.tight_layout()
plt.show()

# %%
fig, panels = plt.subplots(1, 2, figsize=(9, 3), num="Final training loss and accuracy by depth")
for kind, colour in KINDS.items():
    last = {layers: losses[kind, layers][:, -LAST:].mean(axis=1) for layers in DEPTHS}
    accuracies = {layers: right[kind, layers] for layers in DEPTHS}
    for axes, values in zip(panels, (last, accuracies), strict=True):
        axes.plot(DEPTHS, [v.mean() for v in values.values()], color=colour, label=kind)
        for layers, seeds in values.items():
            axes.plot([layers] * len(seeds), seeds, "o", color=colour, markersize=3)
panels[0].set(xlabel="layers", ylabel=f"training loss, last {LAST} steps", ylim=(0, None))
panels[1].set(xlabel="layers", ylabel="validation accuracy", ylim=(0, 1))
panels[0].legend(frameon=False)
fig.tight_layout()
plt.show()

# %% [markdown]
# What this shows (means of 3 seeds, 240 steps of 64 images; the training loss is that of the last
# 30 steps):
#
# - **Plain networks get worse with depth on the very images that they are trained on**: 0.47,
#   0.70, 1.03 and 1.93. Since the training loss itself is worse, this is no overfitting. It is the
#   *degradation* that He et al. saw when they went from 20 to 56 layers (their Figure 1).
# - **Residual networks get worse far more slowly**: 0.43, 0.49 and 0.55 up to 32 layers. At 56
#   layers, with branches drawn at random, so few steps at so high a rate do not suffice either:
#   1.42, and very different from seed to seed. He et al. had to warm their 110 layers up with a
#   smaller rate (section 4.2).
# - **With the zero start, depth does no harm**: 0.43 to 0.45 and about 84% at every depth. All
#   begin as nearly the same shallow function, and training takes them on from there.
#
# What it does not show is that deeper is better. The 56 layers that start at zero end no better
# than 8; with images so small and steps so few that is no surprise, and no verdict either. Nor was
# the rate tuned for each depth, or the training long. That the harm is gone is all that nesting
# promises.

# %%
slower, share = train(network("plain", deepest, 0), 0, rate=RATE / 5)
print(f"plain, {deepest} layers, rate {RATE / 5}, seed 0:", end=" ")
print(f"training loss {np.mean(slower[-LAST:]):.3f}, validation accuracy {share:.1%}")

# %% [markdown]
# At a fifth of the rate the deepest plain network ends within the range of the three seeds at the
# full rate (this is one seed), so the rate alone does not explain its trouble. Two rates are no
# search, however: a better setting may exist.

# %% [markdown]
# ## A deeper network that contains the shallower one
#
# Nested also means that a trained network can be *made* deeper without losing anything.
# `resnets.chapter.describe` reads the trained 8-layer network as a description, and
# `resnets.deepen` adds blocks whose branch ends in zero, up to the deepest of our depths.

# %%
shallow = trained["residual", 8].eval()
description, weights = chapter.describe(shallow), chapter.weights(shallow)
depth = (deepest - 2) // 6
stages = tuple(replace(stage, depth=depth) for stage in description.stages)
target = replace(description, stages=stages, name=f"{deepest} layers")
target, deeper = resnets.deepen(description, weights, to=target)

backend = backends.load("torch")
images = pixels[-HELD_OUT:][:500]
with torch.no_grad():
    before = backend.build(description, weights=weights).eval()(images)
    after = backend.build(target, weights=deeper).eval()(images)
residual_same = torch.equal(before, after)
print(f"residual: 8 -> {deepest} layers, logits bitwise the same: {residual_same}")

# %% [markdown]
# Now the plain network. Its new blocks can begin at random, as layers usually do, or at zero, or
# as an identity built by hand: convolutions that copy their input (`dirac`) and norms that let it
# pass.


# %%
def deepened(net, start):
    """Copy a plain network, with new blocks after each stage's last one."""
    parts = []
    for part in net:
        parts.append(part)
        if isinstance(part, Plain):
            parts += [new_block(part.conv1.out_channels, start) for _ in range(depth - 1)]
    return nn.Sequential(*parts)


def new_block(width, start):
    """Make a plain block that keeps the shape, and begins as ``start`` says."""
    block = Plain(width)
    block(torch.zeros(2, width, 4, 4))
    for convolution in (block.conv1, block.conv2):
        if start == "by hand":
            nn.init.dirac_(convolution.weight)
        if start != "random":
            nn.init.zeros_(convolution.bias)
    for norm in (block.bn1, block.bn2):
        norm.reset_running_stats()
        norm.running_var -= norm.eps  # it divides by sqrt(variance + eps): by exactly 1
    if start == "zero":
        nn.init.zeros_(block.bn2.weight)
    return block


plain = trained["plain", 8]
torch.manual_seed(0)
deep = {start: deepened(plain, start) for start in ("random", "zero", "by hand")}
with torch.no_grad():
    logits = {start: net.eval()(images) for start, net in {"": plain, **deep}.items()}
kept = {start: accuracy(net) for start, net in {"shallow": plain, **deep}.items()}
for start in deep:
    change = ((logits[start] - logits[""]).norm() / logits[""].norm()).item()
    print(f"plain, new blocks {start:8s}: logits change by {change:.1e} of their size", end="")
    print(f", accuracy {kept['shallow']:.1%} -> {kept[start]:.1%}")

# %% [markdown]
# So much for evaluation, where norms use their running statistics. And in training, where they use
# those of the batch?

# %%
pairs = {
    "plain, by hand": (plain, deep["by hand"]),
    "residual, zero": (
        backend.build(description, weights=weights),
        backend.build(target, weights=deeper),
    ),
}
changes = {}
with torch.no_grad():
    for name, (small, large) in pairs.items():
        one, other = (net.train()(pixels[:BATCH]) for net in (small, large))
        changes[name] = ((other - one).norm() / one.norm()).item()
        print(f"in training mode, {name}: logits change by {changes[name]:.1e} of their size")

# %% [markdown]
# The residual network has become deeper and is the same function, bit for bit, in evaluation and
# in training. Of the plain network with new blocks that are random or zero nothing is left: one
# class of ten is right by chance.
#
# And yet **the plain network does contain the shallower one**. Built by hand, its new blocks pass
# everything on, and in evaluation not one logit moves. He et al. say so themselves (section 1): a
# deeper plain network has a solution by construction that is no worse, but training does not find
# it. In a plain network the identity is one exact arrangement of many weights, far from where
# training starts; and it does not survive training itself, where norms rescale by each batch what
# passes through them. In a residual network it is simply zero: where the weights can begin, and
# where weight decay pulls them.
#
# So this is what the shortcut changes. Less what a network *can* compute than what it computes to
# begin with, and what is near. Nested classes are the promise; that the shallower function lies at
# the start is what lets training keep it.
#
# Networks can also grow like this in the middle of training (`resnets train --grow`, in the
# [guide](../guide.md)). Next: [ResNet and ResNeXt, built up and trained](02_resnet.md).

# %%
measured = {
    "least_error": {"nested": list(nested.values()), "others": list(others.values())},
    "gradient_ratio": {kind: float(values[0] / values[-1]) for kind, values in norms.items()},
    "loss": {f"{k} {n}": v[:, -LAST:].mean(axis=1).tolist() for (k, n), v in losses.items()},
    "accuracy": {f"{k} {n}": v.tolist() for (k, n), v in right.items()},
    "slower_rate": {"loss": float(np.mean(slower[-LAST:])), "accuracy": share},
    "residual_same": residual_same,
    "plain_kept": kept,
    "training_mode_change": changes,
}
