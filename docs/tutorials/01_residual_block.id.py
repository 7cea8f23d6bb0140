# %% [markdown]
# # Blok residual, dan mengapa kelas fungsi bersarang itu penting
#
# *[English](01_residual_block.md) · Bahasa Indonesia*
#
# Mengapa jaringan yang lebih dalam tidak selalu lebih baik, dan apa yang berubah jika sebuah blok
# menambahkan inputnya ke outputnya? Tutorial ini mengikuti paruh pertama bab ResNet dalam buku
# *Dive into Deep Learning* (8.6.1 dan 8.6.2) dan mengukur apa yang dikatakan bab itu: kelas fungsi
# yang bersarang dan yang tidak, blok residual, perbandingan jaringan biasa dan jaringan residual
# yang makin dalam, serta jaringan yang memuat jaringan yang lebih dangkal secara persis.
#
# Seluruhnya memakan waktu beberapa menit dengan satu inti CPU. Buka sebagai notebook (jupytext, VS
# Code, dan PyCharm dapat langsung membacanya), atau jalankan `python
# docs/tutorials/01_residual_block.id.py`; dengan `RESNETS_TUTORIAL=small` di depannya, hanya
# beberapa langkah yang dijalankan. Kode, keluaran, dan gambarnya sama dengan edisi bahasa Inggris:
# *plain* berarti jaringan biasa (tanpa koneksi residual), *zero start* berarti mulai dari nol.

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
# ## Kelas fungsi
#
# Misalkan $\mathcal{F}$ adalah semua fungsi yang dapat dicapai sebuah jaringan melalui pelatihan,
# dan $f^*$ fungsi yang kita inginkan. Jika $f^*$ tidak ada di dalam $\mathcal{F}$, pelatihan
# mencari yang terbaik di dalamnya, $f^*_\mathcal{F}$. Kelas yang lebih besar $\mathcal{F}'$ pasti
# memiliki sesuatu yang setidaknya sama baiknya **hanya jika kelas itu memuat kelas yang lebih
# kecil**, $\mathcal{F} \subseteq \mathcal{F}'$: kelas-kelas itu *bersarang*. Kelas yang sekadar
# lebih besar bisa saja tidak memiliki fungsi yang ada di kelas yang lebih kecil.
#
# Hal ini dapat dihitung jika fungsi terbaik dari sebuah kelas diketahui secara persis. Ambillah
# fungsi tangga pada $k$ potongan yang sama panjang dari $[0, 1)$: yang terbaik bernilai rata-rata
# $f^*$ pada setiap potongan. Kelas dengan 1, 2, 4, 8 potongan bersarang, karena masing-masing
# membelah dua setiap potongan sebelumnya. Kelas dengan 1, 2, 3, 4 potongan tidak: dua potongan
# dapat melompat tepat di tengah, tiga potongan tidak.

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
# Pada kelas yang bersarang, error tidak mungkin naik. Pada kelas lainnya, kelas yang lebih besar
# sering kali lebih buruk: inilah sisi kiri gambar dalam bab tersebut. Di sini penyebabnya adalah
# kelas itu sendiri, karena tidak ada yang dilatih. Pada jaringan dalam, pelatihan ikut berperan,
# dan akan kita lihat bahwa perannya lebih besar.

# %% [markdown]
# ## Blok residual
#
# Blok biasa harus mempelajari sendiri pemetaan $f(\mathbf{x})$ yang diinginkan. Blok residual
# mempelajari pemetaan residual $g(\mathbf{x}) = f(\mathbf{x}) - \mathbf{x}$, lalu *koneksi
# residual* (koneksi pintas) menambahkan inputnya kembali. Agar blok itu menjadi identitas,
# cabangnya cukup bernilai nol.
#
# ![Blok biasa di samping blok residual](../images/residual-block.svg)
#
# `resnets.chapter.torch` menyediakan `Residual` dari bab itu: dua lapisan konvolusi 3×3 dengan
# batch normalization, dan input yang ditambahkan sebelum ReLU terakhir. Dengan identitas sebagai
# koneksi pintasnya, bentuknya tidak berubah.

# %%
torch.manual_seed(0)
X = torch.randn(4, 3, 6, 6)
block = d2l.Residual(3)
print("identity shortcut:  ", tuple(X.shape), "->", tuple(block(X).shape))

# %% [markdown]
# Output dengan jumlah channel atau ukuran lain tidak dapat dijumlahkan dengan input. Karena itu
# lapisan konvolusi 1×1, yaitu *proyeksi*, mengubah input ke bentuk output cabang.

# %%
halving = d2l.Residual(6, use_1x1conv=True, strides=2)
print("projection shortcut:", tuple(X.shape), "->", tuple(halving(X).shape))
try:
    d2l.Residual(6)(X)
except resnets.InvalidDescription as problem:
    print("without it:", problem)

# %% [markdown]
# Apakah blok yang cabangnya nol benar-benar identitas? Kita atur skala norm terakhir menjadi 0;
# pergeserannya memang 0 sejak awal. Setelah penjumlahan masih ada ReLU, sehingga blok itu menjadi
# identitas untuk apa pun yang keluar dari ReLU sebelumnya, yaitu semua yang masuk ke sebuah blok
# di dalam jaringan seperti ini.

# %%
X = X.relu()
nn.init.zeros_(block.bn2.weight)
print("training:  ", torch.equal(block.train()(X), X))
print("evaluation:", torch.equal(block.eval()(X), X))

# %% [markdown]
# ## Biasa lawan residual, makin lama makin dalam
#
# Blok biasa adalah blok yang sama tanpa penjumlahan. Proyeksi pun tidak diperlukan.


# %%
class Plain(d2l.Residual):
    """The chapter's block without its shortcut."""

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)))


# %% [markdown]
# He dkk. 2015 (bagian 4.2) membangun jaringan dengan 6n + 2 lapisan untuk CIFAR-10: satu lapisan
# konvolusi, tiga tahap yang masing-masing berisi n blok, dan satu lapisan dense. Jaringan kita
# memiliki lapisan yang sama, tetapi dengan setengah jumlah channel (8, 16, 32), gambar 14×14, dan
# stride 2 pada konvolusi pertama, agar dapat dilatih dalam hitungan menit dengan satu inti.
#
# Jenis ketiga, *zero start*, adalah jaringan residual yang semua cabangnya mulai dari nol. Pada
# awalnya blok-bloknya tidak menambahkan apa pun: sedalam apa pun, jaringan itu mulai sebagai
# fungsi yang dimiliki jaringan yang jauh lebih dangkal.


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
# Parameter jaringan residual sedikit lebih banyak: dua proyeksi beserta norm-nya. Sebanyak 5.000
# gambar pelatihan kita sisihkan untuk validasi. Data uji tidak diperlukan di sini.

# %%
data = load_dataset("fashion_mnist", size=14).training
pixels = torch.from_numpy(data.pixels).permute(0, 3, 1, 2).float() / 255
pixels = (pixels - pixels.mean()) / pixels.std()
labels = torch.from_numpy(data.labels)
HELD_OUT = min(5000, len(labels) // 5)
print(tuple(pixels.shape), "images, of which", HELD_OUT, "for validation")

# %% [markdown]
# ### Gradien sebelum langkah pertama
#
# Pertama, mari kita lihat jaringan yang belum dilatih. Untuk satu batch, seberapa panjang gradien
# konvolusi pertama di setiap blok, dari blok pertama sampai terakhir?


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
# Pada jaringan biasa, gradien tidak hilang dalam perjalanannya ke input, melainkan membengkak: di
# blok pertama panjangnya 760 kali lipat blok terakhir, sedangkan pada jaringan residual hanya 9
# kali (rata-rata 3 seed, satu batch berisi 256 gambar). Batch normalization menjaga ukuran apa
# yang mengalir ke depan, sementara yang mengalir ke belakang membesar di setiap lapisan (Yang dkk.
# 2019, arXiv:1902.08129). Koneksi residual meneruskan gradien apa adanya, karena turunan dari
# $g(\mathbf{x}) + \mathbf{x}$ adalah $g'(\mathbf{x}) + 1$.
#
# Ini keadaan sebelum langkah pertama. Masalah menjadi mungkin terjadi karenanya, tetapi ini
# sendiri belum membuktikan bahwa inilah penyebab hasil berikut.

# %% [markdown]
# ### Pelatihan
#
# Loop, batch, dan learning rate-nya sama untuk semua: SGD Nesterov, dengan learning rate yang
# turun secara linear sampai 0. Untuk setiap jaringan kita catat loss di setiap langkah, dan di
# akhir akurasi pada gambar validasi.


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
# Yang terlihat di sini (rata-rata 3 seed, 240 langkah dengan 64 gambar; loss pelatihan diambil
# dari 30 langkah terakhir):
#
# - **Jaringan biasa makin buruk jika makin dalam, bahkan pada gambar yang dipakai untuk
#   melatihnya**: 0,47, 0,70, 1,03, dan 1,93. Karena loss pelatihannya sendiri yang memburuk, ini
#   bukan overfitting. Inilah *degradasi* yang dilihat He dkk. ketika beralih dari 20 ke 56 lapisan
#   (Gambar 1 mereka).
# - **Jaringan residual memburuk jauh lebih lambat**: 0,43, 0,49, dan 0,55 sampai 32 lapisan. Pada
#   56 lapisan, dengan cabang yang dimulai secara acak, langkah yang begitu sedikit dengan learning
#   rate setinggi itu juga tidak cukup: 1,42, dan sangat berbeda dari satu seed ke seed lain. He
#   dkk. harus memanaskan jaringan 110 lapisan mereka dengan learning rate yang lebih kecil (bagian
#   4.2).
# - **Jika mulai dari nol (*zero start*), kedalaman tidak merugikan**: 0,43 sampai 0,45 dan sekitar
#   84% pada setiap kedalaman. Semuanya mulai sebagai fungsi dangkal yang hampir sama, lalu
#   pelatihan melanjutkannya dari sana.
#
# Yang tidak terlihat di sini: bahwa lebih dalam berarti lebih baik. Jaringan 56 lapisan yang mulai
# dari nol tidak berakhir lebih baik daripada 8 lapisan; dengan gambar sekecil dan langkah
# sesedikit ini, itu tidak mengherankan, dan juga bukan putusan akhir. Learning rate juga tidak
# disesuaikan untuk setiap kedalaman, dan pelatihannya singkat. Kerugiannya hilang, dan memang
# hanya itu yang dijanjikan kelas fungsi bersarang.

# %%
slower, share = train(network("plain", deepest, 0), 0, rate=RATE / 5)
print(f"plain, {deepest} layers, rate {RATE / 5}, seed 0:", end=" ")
print(f"training loss {np.mean(slower[-LAST:]):.3f}, validation accuracy {share:.1%}")

# %% [markdown]
# Dengan seperlima learning rate, hasil jaringan biasa yang terdalam masih berada dalam rentang
# ketiga seed dengan learning rate penuh (ini hanya satu seed), jadi learning rate saja tidak
# menjelaskan masalahnya. Namun, dua nilai belum bisa disebut pencarian: mungkin saja ada
# pengaturan yang lebih baik.

# %% [markdown]
# ## Jaringan lebih dalam yang memuat jaringan lebih dangkal
#
# Bersarang juga berarti bahwa jaringan yang sudah dilatih dapat *dibuat* lebih dalam tanpa
# kehilangan apa pun. `resnets.chapter.describe` membaca jaringan 8 lapisan yang sudah dilatih
# sebagai sebuah deskripsi, dan `resnets.deepen` menambahkan blok-blok yang cabangnya berakhir
# dengan nol, sampai kedalaman terbesar kita.

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
# Sekarang jaringan biasa. Blok barunya dapat dimulai secara acak, seperti lapisan pada umumnya,
# atau dari nol, atau sebagai identitas yang dibuat dengan tangan: konvolusi yang menyalin inputnya
# (`dirac`) dan norm yang meneruskannya.


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
# Itu tadi dalam mode evaluasi, ketika norm memakai statistik berjalannya. Bagaimana dalam
# pelatihan, ketika norm memakai statistik dari batch?

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
# Jaringan residual menjadi lebih dalam dan tetap merupakan fungsi yang sama, bit demi bit, baik
# dalam evaluasi maupun dalam pelatihan. Dari jaringan biasa yang blok barunya acak atau nol, tidak
# ada yang tersisa: satu dari sepuluh kelas benar secara kebetulan.
#
# Meskipun begitu, **jaringan biasa sebenarnya memuat jaringan yang lebih dangkal**. Jika dibuat
# dengan tangan, blok-blok barunya meneruskan semuanya, dan dalam evaluasi tidak satu logit pun
# bergeser. He dkk. sendiri mengatakannya (bagian 1): untuk jaringan biasa yang lebih dalam ada
# solusi yang dapat disusun dan tidak lebih buruk, tetapi pelatihan tidak menemukannya. Pada
# jaringan biasa, identitas adalah satu susunan persis dari banyak bobot, jauh dari titik awal
# pelatihan; dan susunan itu tidak bertahan dalam pelatihan, karena norm menskalakan ulang apa yang
# melewatinya menurut setiap batch. Pada jaringan residual, identitas hanyalah nol: di situlah
# bobot dapat dimulai, dan ke situlah weight decay menariknya.
#
# Jadi inilah yang diubah oleh koneksi residual: bukan terutama apa yang *dapat* dihitung sebuah
# jaringan, melainkan apa yang dihitungnya pada awalnya, dan apa yang ada di dekatnya. Kelas fungsi
# bersarang adalah janjinya; karena fungsi yang lebih dangkal berada di titik awal, pelatihan dapat
# mempertahankannya.
#
# Jaringan juga dapat tumbuh seperti ini di tengah pelatihan (`resnets train --grow`, lihat
# [panduan](../guide.md), dalam bahasa Inggris). Selanjutnya: [ResNet dan ResNeXt, disusun lalu
# dilatih](02_resnet.md) (dalam bahasa Inggris).

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
