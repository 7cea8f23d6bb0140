"""Why a network names what it names: the evidence for each class, place by place.

The logits are a dense layer on means over the last maps. So each logit is itself the mean of a
map, of the same weights at every place, plus a bias: a class activation map (Zhou et al. 2016,
"Learning Deep Features for Discriminative Localization", arXiv:1512.04150, section 2). Nothing is
approximated, and it is the same in every framework. Maps are given against the mean of all
classes': probabilities do not change with what is added to all logits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets import backends
from resnets.backends import Evaluator
from resnets.data.decoding import silence_decoders
from resnets.data.images import Dataset, Images, Index, Pixels
from resnets.errors import WeightsError
from resnets.inference.evaluate import load_split, make_framework_evaluator, require_held_out
from resnets.inference.predict import Prediction, read_image
from resnets.networks import reference
from resnets.networks.architecture import Architecture
from resnets.networks.network import Network, Preprocessing, Weights
from resnets.networks.tracing import trace
from resnets.progress_bar import count_bar
from resnets.training.metrics import Evaluation, evaluate_logits, iter_logits, log_softmax

Array = npt.NDArray[np.floating]

BATCH_SIZE = 16
"""Images whose maps are computed together."""


@dataclass(frozen=True)
class Explanation:
    """What a network sees in an image, and where.

    Attributes:
        image: the file's path, or ``-`` for standard input, or what the data set calls it.
        pixels: what the network was given, [height, width, channels].
        classes: names and probabilities.
        class_activation_map: a map for each of them, [classes, height, width] of the last maps:
            what a place adds to the class's logit, or takes from it, against the mean of all
            classes.
        label: what the image is said to show; None where nothing says so.
    """

    image: str
    pixels: Pixels
    classes: tuple[tuple[str, float], ...]
    class_activation_map: Array
    label: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give all but the pixels as JSON values."""
        classes = [
            {"class": name, "probability": share, "evidence": place.astype(float).tolist()}
            for (name, share), place in zip(self.classes, self.class_activation_map, strict=True)
        ]
        label = {} if self.label is None else {"label": self.label}
        return {"image": self.image, **label, "classes": classes}


def class_activation_maps(architecture: Architecture, weights: Weights, *, last: Array) -> Array:
    """Give the evidence for each class at each place, [n, classes, height, width].

    ``last`` is the output of the last stage, [n, channels, height, width]. The mean over the
    places, plus the class's bias less the mean of all biases, is the logit less the mean of all.
    """
    steps = trace(architecture, 32)
    names = [layer.name for layer in steps.layers]
    ends = (f"stage{len(architecture.stages)}", "pooled")
    stage, pool = (names.index(steps.features[end]) for end in ends)
    for layer in steps.layers[stage + 1 : pool]:  # a pre-activation network's last norm and ReLU
        own = [weights[tensor.name] for tensor in layer.tensors]
        last = reference.compute_layer(architecture, layer, [last], own)
    kernel = weights[steps.layers[-1].tensors[0].name].reshape(architecture.classes, -1)
    return np.einsum("nchw,kc->nkhw", last, kernel - kernel.mean(axis=0), optimize=True)


class Explainer:
    """A network, ready to explain images, on the CPU."""

    def __init__(self, network: Network, framework: str) -> None:
        self.network = network
        self._backend = backends.load(framework)
        self._model = self._backend.build(network.architecture, weights=network.weights)

    def __call__(self, pixels: Pixels) -> tuple[Array, Array]:
        """Give probabilities [n, classes], and maps as ``class_activation_maps``.

        Raises:
            WeightsError: where the logits are not finite.
        """
        a = self.network.architecture
        last = f"stage{len(a.stages)}"
        images = preprocess(pixels, self.network.preprocessing)
        found = self._backend.features(self._model, images, wanted=(last, "logits"))
        if not np.isfinite(found["logits"]).all():
            raise WeightsError(f"the network {a.name} gives logits that are not finite")
        maps = class_activation_maps(a, self.network.weights, last=found[last])
        return np.exp(log_softmax(found["logits"])), maps

    def explain(
        self,
        image: str,
        pixels: Pixels,
        *,
        found: tuple[Array, Array],
        shown: Sequence[int],
        label: str | None = None,
    ) -> Explanation:
        """Say of one image what was found, shares and maps, of the classes ``shown``."""
        names, (shares, maps) = self.network.class_names, found
        classes = tuple((names[i], float(shares[i])) for i in shown)
        return Explanation(image, pixels, classes, maps[list(shown)], label)


def preprocess(pixels: Pixels, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """Make of stored images what a network is given, [n, channels, height, width]."""
    mean, std = (np.array(v, np.float32) for v in (preprocessing.mean, preprocessing.std))
    scaled = (pixels.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def explain_files(
    network: Network,
    files: Iterable[str],
    *,
    top: int,
    framework: str,
) -> Iterator[Explanation | Prediction]:
    """Explain the likeliest classes of image files, in order; of one unreadable give the error."""
    explainer = Explainer(network, framework)
    for source in files:
        with silence_decoders():
            pixels = read_image(source, network)
        if isinstance(pixels, str):
            yield Prediction(source, error=pixels)
            continue
        shares, maps = explainer(pixels[None])
        best: list[int] = np.argsort(-shares[0], kind="stable")[:top].tolist()
        yield explainer.explain(source, pixels, found=(shares[0], maps[0]), shown=best)


@dataclass(frozen=True)
class Mistakes:
    """Where a network and the labels differ most.

    Attributes:
        evaluation: of all images that were looked at.
        worst: of those that the network takes for another class the ones with the largest loss,
            each with what it was taken for and with its own class.
    """

    evaluation: Evaluation
    worst: list[Explanation]

    @property
    def images(self) -> int:
        """How many were looked at."""
        return self.evaluation.images

    @property
    def wrong(self) -> int:
        """How many of them the network takes for another class."""
        confusion = self.evaluation.confusion
        return int(confusion.sum() - confusion.trace())

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        worst = [one.to_json() for one in self.worst]
        return {"images": self.images, "wrong": self.wrong, "worst": worst}


def find_mistakes(
    network: Network,
    folder: Path,
    data: str | None,
    count: int,
    framework: str,
    device: str,
    announce: Callable[[str], None],
    *,
    trained: bool = False,
) -> Mistakes:
    """Explain the training set's images that a network is most wrong about, or their label.

    They are those that the run in ``folder`` held out, or with ``trained`` all others of the
    training set; of other data than the run's, as ``inference.parted`` divides it. The test set is
    not looked at.

    Raises:
        As ``inference.held_out``.
    """
    dataset, learned, held = load_split(folder, network, name=data, announce=announce)
    if not trained:
        require_held_out(held, folder, name=data)
    numbers = learned if trained else held
    images = dataset.training.subset(numbers)
    logits = _compute_logits(
        make_framework_evaluator(network, folder, framework=framework, device=device), images
    )
    losses = -log_softmax(logits)[np.arange(len(images)), images.labels]
    taken = logits.argmax(axis=1)
    wrong = np.flatnonzero(taken != images.labels)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:count]
    explainer = Explainer(network, framework)
    found: list[Explanation] = []
    for start in range(0, len(worst), BATCH_SIZE):
        rows = worst[start : start + BATCH_SIZE]
        found += _explain_worst(
            explainer, dataset, numbers=numbers[rows], images=images[rows], taken=taken[rows]
        )
    return Mistakes(evaluate_logits(logits, images.labels), found)


def _explain_worst(
    explainer: Explainer, dataset: Dataset, *, numbers: Index, images: Images, taken: Index
) -> Iterator[Explanation]:
    shares, maps = explainer(images.pixels)
    for i, number in enumerate(numbers.tolist()):
        shown = (int(taken[i]), int(images.labels[i]))
        found, label = (shares[i], maps[i]), dataset.class_names[shown[1]]
        name = dataset.image_name(number)
        yield explainer.explain(name, images.pixels[i], found=found, shown=shown, label=label)


def _compute_logits(evaluator: Evaluator, images: Images) -> npt.NDArray[np.float32]:
    found: list[npt.NDArray[np.float32]] = []
    with count_bar("looking at images", len(images)) as advance:
        for logits in iter_logits(evaluator, images):
            found.append(logits)
            advance(len(logits))
    return np.concatenate(found)
