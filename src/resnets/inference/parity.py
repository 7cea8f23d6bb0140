"""Which frameworks are here, and whether they compute the same: measured on the spot.

Every framework computes, for a few small networks with lively weights, logits in fp32 and one
training step in fp64. Logits are compared with the NumPy definition, steps with each other's.
Results are arrays, so that frameworks of different environments meet through files.
"""

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from resnets import backends
from resnets.backends import Batch
from resnets.data.augmentation import AugmentationParameters
from resnets.data.images import Images
from resnets.errors import ResnetsError, RunError, WeightsError, summarise_error
from resnets.networks import reference
from resnets.networks.architecture import Architecture
from resnets.networks.folder import load_weights, save_weights
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.spec import Block, Stage, Stem
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe

DISTRIBUTIONS = {
    "torch": ("torch",),
    "jax": ("jax", "flax"),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "keras"),
    "mxnet": ("mxnet",),
}
"""What is installed under which name, for the versions."""

RECIPE = Recipe(batch=4, precision="fp64", momentum=0.9, nesterov=True, weight_decay=1e-2)
RATE = 0.05
SIZE = 17

LOGITS_LIMIT = 1e-5
"""Of fp32 logits, relative to the logits' size."""
STEP_LIMIT = 1e-9
STEP_LIMITS = {"mxnet": 1e-7}
"""Of one fp64 step, relative to each array's largest value; MXNet's erf is less exact."""


def parity_networks() -> list[Architecture]:
    """Give small networks of every family that is checked."""
    small = Stem(width=8, kernel=3, stride=1, pool=False)
    large = Stem(width=8, kernel=7, stride=2, pool=True)

    def make(name: str, block: Block, *, stem: Stem = small, **others: Any) -> Architecture:
        stages = tuple(
            Stage(depth=2, width=width, stride=stride, block=block)
            for width, stride in ((16, 1), (32, 2))
        )
        return Architecture(name=name, classes=10, stem=stem, stages=stages, **others)

    excited = Block(kind="bottleneck", inner=8, groups=2, squeeze_ratio=0.25, squeeze_at="3x3")
    return [
        make("ResNet, basic blocks", Block(kind="basic"), stem=large),
        make("ResNet, bottlenecks", Block(kind="bottleneck")),
        make("ResNeXt", Block(kind="bottleneck", inner=8, groups=4)),
        make("SE-ResNet", Block(kind="basic", squeeze=4)),
        make("pre-activation ResNet", Block(kind="basic"), preactivation=True),
        make("RegNet-Y", excited, naming="regnet"),
        make("the chapter's ResNet", Block(kind="basic", shortcut="bare_projection"), bias=True),
    ]


@dataclass(frozen=True)
class Framework:
    """A framework as it is here.

    Attributes:
        name: such as ``torch``.
        versions: of what is installed, by distribution; empty where nothing is.
        devices: what it computes on, the fastest first.
        error: why it cannot be used; empty where it can.
        environment: another Python that has it, or the file its results are from; empty: here.
    """

    name: str
    versions: Mapping[str, str]
    devices: tuple[str, ...] = ()
    error: str = ""
    environment: str = ""

    @property
    def version(self) -> str:
        """Of the framework itself; empty where it is not installed."""
        return next(iter(self.versions.values()), "")


@dataclass(frozen=True)
class FrameworkResults:
    """What one framework computed: arrays by ``network/what``."""

    framework: Framework
    arrays: Weights = field(default_factory=dict[str, Any])


def probe_framework(name: str) -> Framework:
    """Say what there is of a framework, and import it."""
    versions: dict[str, str] = {}
    for distribution in DISTRIBUTIONS[name]:
        try:
            versions[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        devices = backends.load(name).available_devices()
    except ResnetsError as error:
        return Framework(name, versions, error=str(error))
    except Exception as error:  # of a driver, perhaps
        return Framework(name, versions, error=f"{name} finds no devices: {summarise_error(error)}")
    return Framework(name, versions, tuple(devices))


def measure_installed(
    names: Sequence[str], announce: Callable[[str], None]
) -> tuple[list[Framework], list[FrameworkResults]]:
    """Find frameworks and measure those that can be used; one that fails does not stop others."""
    here, results = [probe_framework(name) for name in names], list[FrameworkResults]()
    for i, framework in enumerate(here):
        if framework.error:
            continue
        try:
            results.append(measure_framework(framework, announce))
        except Exception as error:
            said = str(error) if isinstance(error, ResnetsError) else summarise_error(error)
            here[i] = replace(framework, error=f"{framework.name} cannot compute: {said}")
    return here, results


def measure_framework(framework: Framework, announce: Callable[[str], None]) -> FrameworkResults:
    """Compute every network's logits and step in a framework."""
    backend = backends.load(framework.name)
    arrays: Weights = {}
    for a in parity_networks():
        announce(f"{framework.name}: {a.name}")
        weights, batch = random_weights(a), _make_batch(a)
        model = backend.build(a, weights=weights)
        logits = backend.features(model, _preprocess(batch).astype(np.float32))["logits"]
        arrays[f"{a.name}/logits"] = logits
        model = backend.build(a, weights=weights)
        session = backend.session(model, RECIPE, preprocessing=_PREPROCESSING, device="cpu")
        arrays[f"{a.name}/loss"] = np.array(
            session.train_step(Batch(batch, AugmentationParameters()), RATE).loss
        )
        for name, array in session.state().items():
            if name.startswith("weights/"):
                arrays[f"{a.name}/{name}"] = array
    return FrameworkResults(framework, arrays)


@dataclass(frozen=True)
class Deviation:
    """How far a framework is from the definition, or from another framework.

    Attributes:
        network: that was compared.
        framework: that was measured.
        against: ``NumPy`` or another framework.
        what: ``logits, fp32`` or ``one step, fp64``.
        difference: the largest, relative.
        limit: up to which it counts as equal.
        version, environment: of the framework, as there may be others of its name.
    """

    network: str
    framework: str
    against: str
    what: str
    difference: float
    limit: float
    version: str = ""
    environment: str = ""

    @property
    def equal(self) -> bool:
        """Whether the difference is within the limit; one that is no number is not."""
        return self.difference <= self.limit


def compare_results(results: Sequence[FrameworkResults]) -> list[Deviation]:
    """Compare all logits with the definition's, and all steps with the first framework's."""
    lines: list[Deviation] = []
    for a in parity_networks():
        x = _preprocess(_make_batch(a))
        double = {name: array.astype(np.float64) for name, array in random_weights(a).items()}
        expected = reference.forward(a, double, x).logits
        for result in results:
            difference = _relative_difference(result.arrays[f"{a.name}/logits"], expected)
            deviation = _make_deviation(
                a,
                result.framework,
                against="NumPy",
                what="logits, fp32",
                difference=difference,
                limit=LOGITS_LIMIT,
            )
            lines.append(deviation)
        lines += [_compare_steps(a, result, first=results[0]) for result in results[1:]]
    return lines


def save_results(results: Sequence[FrameworkResults], path: Path) -> None:
    """Write results for another environment to read."""
    arrays = {f"{r.framework.name}/{n}": v for r in results for n, v in r.arrays.items()}
    described = {r.framework.name: dict(r.framework.versions) for r in results}
    save_weights(arrays, path, metadata={"frameworks": json.dumps(described)})


def load_results(path: Path, environment: str | None = None) -> list[FrameworkResults]:
    """Read what ``save_results`` wrote, perhaps elsewhere: in ``environment``, by default the
    file's name.

    Raises:
        WeightsError: if it is no such file, or of other networks.
    """
    arrays, metadata = load_weights(path)
    try:
        described: dict[str, dict[str, str]] = json.loads(metadata["frameworks"])
        results = [
            FrameworkResults(
                Framework(name, versions, environment=environment or str(path)),
                {n.partition("/")[2]: v for n, v in arrays.items() if n.startswith(f"{name}/")},
            )
            for name, versions in described.items()
        ]
    except (KeyError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path}: not results of resnets check ({error!r})") from error
    for a in parity_networks():
        for result in results:
            needed = [f"{a.name}/logits", *(f"{a.name}/weights/{t.name}" for t in tensors(a))]
            if any(name not in result.arrays for name in needed):
                raise WeightsError(f"{path}: results of another version of resnets")
    return results


def measure_elsewhere(python: Path) -> list[FrameworkResults]:
    """Return what ``resnets check`` measures with the Python of another environment.

    Raises:
        RunError: if it cannot be run, or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.safetensors"
        command = [str(python), "-m", "resnets", "check", "--save", str(path), "--json"]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, check=False)
        except OSError as error:
            raise RunError(f"cannot run {python}: {error.strerror}") from error
        if not path.is_file():
            raise RunError(f"{python} -m resnets check failed with status {done.returncode}")
        return load_results(path, str(python))


def random_weights(a: Architecture, seed: int = 0) -> Weights:
    """Give weights whose norms all have scales, shifts and statistics of their own."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(a, seed=seed)
    for tensor in tensors(a):
        if tensor.role in ("scale", "variance"):
            weights[tensor.name] = rng.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
        elif tensor.role in ("shift", "mean", "bias"):
            weights[tensor.name] = rng.normal(0, 0.3, tensor.shape).astype(np.float32)
    return weights


_PREPROCESSING = Preprocessing(size=SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


def _make_batch(a: Architecture) -> Images:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (4, SIZE, SIZE, a.channels), np.uint8)
    return Images(pixels, rng.integers(0, a.classes, 4))


def _preprocess(batch: Images) -> Any:
    mean, std = (np.array(v)[:, None, None] for v in (_PREPROCESSING.mean, _PREPROCESSING.std))
    return (batch.pixels.transpose(0, 3, 1, 2) / 255 - mean) / std


def _compare_steps(
    a: Architecture, result: FrameworkResults, *, first: FrameworkResults
) -> Deviation:
    keys = [f"{a.name}/loss", *(f"{a.name}/weights/{t.name}" for t in tensors(a))]
    differences = [_relative_difference(result.arrays[key], first.arrays[key]) for key in keys]
    difference = float(np.max(differences))  # Python's max may pass over what is no number
    names = (result.framework.name, first.framework.name)
    limit = max(STEP_LIMITS.get(name, STEP_LIMIT) for name in names)
    return _make_deviation(
        a,
        result.framework,
        against=first.framework.name,
        what="one step, fp64",
        difference=difference,
        limit=limit,
    )


def _make_deviation(
    a: Architecture,
    framework: Framework,
    *,
    against: str,
    what: str,
    difference: float,
    limit: float,
) -> Deviation:
    return Deviation(
        network=a.name,
        framework=framework.name,
        against=against,
        what=what,
        difference=difference,
        limit=limit,
        version=framework.version,
        environment=framework.environment,
    )


def _relative_difference(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1))
