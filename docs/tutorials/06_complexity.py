# %% [markdown]
# # Exercise 5: why complexity cannot grow without bound
#
# > Why can't we just increase the complexity of functions without bound, even if the function
# > classes are nested?
#
# Nested classes promise that the *best* function of the larger class is no worse *on the training
# images*. Four things stand between that promise and a better network, and each is measured here on
# residual networks of growing depth and width: what is learned from few images and does not hold
# for others, a class that can learn anything, an optimiser that does not find what is there, and
# the bill for computation and memory.
#
# Run in full: about 6 minutes on one core; more are not needed.

# %%
import statistics
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from small_training import COLOURS, SIZE, SMALL, evaluated, fit, small_data

import resnets
from resnets import Architecture, Stage, Stem
from resnets.backends import load
from resnets.networks.memory import training_memory
from resnets.training.monitor import curves

SEEDS = range(1 if SMALL else 3)
STEPS, BATCH = (3, 50) if SMALL else (240, 62)
DEPTHS, WIDTHS = ((1, 2), (2, 4)) if SMALL else ((1, 4, 12), (2, 8, 32))
COUNTS = (100, 200) if SMALL else (500, 5000)
data = small_data(COUNTS[-1], 100 if SMALL else 2000)
torch_backend = load("torch")

torch.set_num_threads(1)
plt.rcParams.update(curves.SETTINGS)

# %% [markdown]
# ## Nested networks
#
# Three stages of `depth` basic blocks, with `width`, twice and four times as many channels. Deeper
# ones contain shallower ones exactly: with `resnets.deepen` a trained network becomes a deeper one,
# and gives the same logits. Wider ones contain narrower ones as well (with the weights of the
# added channels zero).


# %%
def network(depth, width):
    stages = tuple(Stage(depth=depth, width=width * 2**i, stride=min(i, 1) + 1) for i in range(3))
    stem = Stem(width=width, kernel=3, stride=1, pool=False)
    return Architecture(channels=1, classes=10, stem=stem, stages=stages)


SIZES = {f"depth {d}, width 8": network(d, 8) for d in DEPTHS}
SIZES |= {f"depth 1, width {w}": network(1, w) for w in WIDTHS}

# %% [markdown]
# Every size is trained with 500 and with 5000 images, for the same number of steps of the same
# recipe. Loss and accuracy are then measured on those training images and on 2000 others, both by
# the norms' running statistics.


# %%
def outcome(architecture, count, seed, labels=None):
    """Train on ``count`` images; give loss and accuracy on them and on others, and ms a step."""
    own = data.first(count)
    own = own if labels is None else replace(own, y=labels)
    model = torch_backend.build(architecture, seed=seed)
    run = fit(model, own, seed, STEPS, BATCH)
    loss, accuracy = evaluated(model, own.x, own.y)
    held_loss, held_accuracy = evaluated(model, own.held_x, own.held_y)
    found = {"loss": loss, "accuracy": accuracy, "held_loss": held_loss}
    return found | {"held_accuracy": held_accuracy, "ms": run.milliseconds}, model


runs = {(name, count): [] for name in SIZES for count in COUNTS}
models = {}
for seed in SEEDS:
    for name, count in runs:
        found, models[name, count] = outcome(SIZES[name], count, seed)
        runs[name, count].append(found)


def mean(name, count, key):
    return statistics.mean(run[key] for run in runs[name, count])


def spread(name, count, key):
    values = [run[key] for run in runs[name, count]]
    return max(values) - min(values)


for count in COUNTS:
    print(f"{count} images:{'them':>24}{f'{len(data.held_y)} others':>20}")
    print(f"{'':22}{'loss':>8}{'accuracy':>10}{'loss':>10}{'accuracy':>10}{'range':>8}{'gap':>8}")
    for name in SIZES:
        keys = ("loss", "accuracy", "held_loss", "held_accuracy")
        loss, accuracy, held_loss, held = (mean(name, count, key) for key in keys)
        print(f"{name:22}{loss:8.3f}{accuracy:10.3f}{held_loss:10.3f}{held:10.3f}", end="")
        print(f"{spread(name, count, 'held_accuracy'):8.3f}{accuracy - held:8.3f}")

# %%
fig, grid = plt.subplots(
    1, 2, figsize=(9, 3.4), layout="tight", sharey=True, num="Accuracy against depth and width"
)
series = (
    ("blocks a stage (width 8)", DEPTHS, [f"depth {d}, width 8" for d in DEPTHS]),
    (
        "channels of the first stage (1 block a stage)",
        WIDTHS,
        [f"depth 1, width {w}" for w in WIDTHS],
    ),
)
for axes, (label, sizes, names) in zip(grid, series, strict=True):
    for count, colour in zip(COUNTS, COLOURS, strict=False):
        for key, style, where in (("accuracy", "o--", "them"), ("held_accuracy", "o-", "others")):
            values = [mean(name, count, key) for name in names]
            axes.plot(sizes, values, style, color=colour, label=f"{count} images: on {where}")
    axes.set_xscale("log", base=2)
    axes.set(xlabel=label, xticks=sizes, xticklabels=sizes)
    axes.grid(color=curves.GRID)
grid[0].set_ylabel("accuracy, mean of the seeds")
grid[0].legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.93))
plt.show()

# %% [markdown]
# With 500 images all but the narrowest network learn every one of them by heart, and are right on
# 74 to 80% of the others: a gap of 20 to 26 points. Ten times the images, in as many steps, bring
# it down to 2 to 5. A training accuracy of 1.000 cannot tell these networks apart any more. From
# there on more complexity is only good for others if it happens to be of a good kind: more width is
# (0.775 to 0.802), more depth is not (0.775, 0.775, 0.741), while the loss on others grows with the
# depth from 0.80 to 1.25: deeper networks are more sure of what they get wrong.
#
# It is not true here that a larger class must be worse on other images: the widest, with 16 times
# the parameters of width 8, is the best of all. But 5000 images in place of 500 are worth 4 to 6
# points to every network from width 8 on, more than any of them gains by its size.
#
# ## A class that can learn anything says nothing
#
# The same 500 images with labels drawn at random (as in Zhang et al. 2017, arXiv:1611.03530): there
# is nothing to learn that would hold for other images. The widest network.

# %%
widest, few = list(SIZES)[-1], COUNTS[0]
guesses = {"the same images": [], "others": []}
for seed in SEEDS:
    labels = torch.randint(10, (few,), generator=torch.Generator().manual_seed(seed))
    found, _ = outcome(SIZES[widest], few, seed, labels)
    guesses["the same images"].append(found["accuracy"])
    guesses["others"].append(found["held_accuracy"])
for where, values in guesses.items():
    each = " ".join(f"{value:.3f}" for value in values)
    print(f"{widest}, random labels, accuracy on {where}: {each}")

# %% [markdown]
# The network learns by heart what has no rule at all, and guesses on the rest, as it must. So its
# class is large enough for *any* labels of these images. That it also reached 1.000 with the true
# labels proves nothing about what it had understood; only other images can tell.
#
# ## There is not found
#
# The class of the deepest network contains every trained shallow one. So its best training loss is
# at most theirs, and that can be shown: the shallow network of the last seed is made as deep by
# `deepen`, and has the training loss that it had. Beside it stands what training the deep network
# itself found in as many steps, which cost it many times the computation.

# %%
shallow, deepest = (f"depth {d}, width 8" for d in (DEPTHS[0], DEPTHS[-1]))
count = COUNTS[-1]
own = data.first(count)
small = models[shallow, count]
_, deep_weights = resnets.deepen(SIZES[shallow], torch_backend.dump(small), to=SIZES[deepest])
grown = torch_backend.build(SIZES[deepest], weights=deep_weights)
there = {
    "the shallow network": evaluated(small, own.x, own.y)[0],
    "the same, deepened": evaluated(grown, own.x, own.y)[0],
    "the deep one, trained": evaluated(models[deepest, count], own.x, own.y)[0],
}
with torch.no_grad():
    apart = (small.eval()(own.x[:100]) - grown.eval()(own.x[:100])).abs().max().item()
for what, loss in there.items():
    print(f"{what:24}training loss {loss:.4f}")
print(f"largest difference of logits between the first two: {apart:g}")
for name in (shallow, deepest):
    each = " ".join(f"{run['loss']:.3f}" for run in runs[name, count])
    print(f"every seed, {name}: {each}")

# %% [markdown]
# In the class of the deep network there is a function with the shallow one's loss: there it is. In
# as many steps, each of nine times the processor's time, training the deep network from its own
# start did not reach it, in none of the three seeds. Its function class is no worse; what was found
# in it is. More steps or a better tuned rate may find more (with 4 blocks they did in these steps);
# the promise of nested classes does not include the search. Growing a network, as here, is one way
# to have the promise kept from the start.
#
# ## The bill
#
# Multiply-adds grow with the depth and with the square of the width, memory in training with the
# depth and with the width. The processor's time is measured in the runs above.

# %%
bill = {}
print(f"{'':20}{'parameters':>12}{'multiply-adds':>15}{'memory, MB':>12}{'ms a step':>11}", end="")
print("   accuracy on others")
for name, a in SIZES.items():
    traced = resnets.trace(a, SIZE)
    held = training_memory(traced, BATCH).total / 1e6
    spent = statistics.median(run["ms"] for run in runs[name, count])
    bill[name] = [traced.parameters, traced.multiply_adds, held, spent]
    print(
        f"{name:20}{traced.parameters:12,}{traced.multiply_adds:15,}{held:12.1f}{spent:11.0f}",
        end="",
    )
    print(f"{mean(name, count, 'held_accuracy'):15.3f}")

# %% [markdown]
# From one block a stage to four, computation grows 4.5 times and memory 3.2 times, for one point
# with 5000 images; on to twelve, another three times for a loss. From width 8 to 32 the
# multiply-adds grow 16 times for two points.
#
# So the answer: a larger class promises only that there is a function that fits the training images
# at least as well. Once they are fitted, other images decide, of which the class promises nothing;
# what is in the class has to be found; and every step towards it is paid for in full. The sizes
# here are small, the trainings short (240 steps), and one recipe served all. Where returns end
# depends on all of that: for depth they ended here, for width they only became small and dear.

# %%
# What the tests look at.
measured = {
    "runs": {f"{name}, {count} images": own for (name, count), own in runs.items()},
    "guesses": guesses,
    "there": there,
    "apart": apart,
    "bill": bill,
}
