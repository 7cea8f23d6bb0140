"""Writing a network in one of the forms that other projects read."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

from resnets.convert import safetensors_files
from resnets.convert.sources import CONFIG, OURS
from resnets.errors import WeightsError
from resnets.files import explain_os_errors
from resnets.networks.folder import save, save_weights, to_config_text
from resnets.networks.network import Network, check_weights

RUNS = ("recipe.json", "state.safetensors", "metrics.jsonl")
"""Files that tell a run folder."""

NOT_WRITTEN = {
    (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl"): (
        "pickles are not written; torch opens a .safetensors file by "
        "safetensors.torch.load_file(FILE), timm and transformers open the folder"
    ),
    (".onnx",): "not written by convert, but by resnets export SOURCE --to FILE.onnx",
    (".npz", ".json", ".pb", ".tflite"): (
        "not a form that is written; there are folders, .safetensors, .h5, .weights.h5, .keras and "
        ".params"
    ),
}


def write(network: Network, target: Path | str) -> str:
    """Write a network, whole or not at all, and say in words what was written.

    The name's ending chooses the form: ``.safetensors``; ``.h5``, ``.weights.h5`` and ``.keras``
    (Keras); ``.params`` (Gluon); any other name is a folder with model.safetensors and
    config.json, as timm, torchvision's ``load_state_dict`` and the Hugging Face hub have it. What
    stands there is replaced only if it was written here; a run folder never is.

    Raises:
        WeightsError: if the form is not written, something else stands there, or it cannot be
            written.
        MissingDependency: if the form's library is not installed.
    """
    target = Path(target)
    refuse_target(target)
    check_weights(network.architecture, network.weights)
    for endings, kind, write_file in _WRITERS:
        if target.name.lower().endswith(endings):
            with explain_os_errors(f"cannot write {target}", WeightsError):
                target.parent.mkdir(parents=True, exist_ok=True)
            write_file(network, target)
            return kind
    with (
        explain_os_errors(f"cannot write {target}", WeightsError),
        _replacing_folder(target) as folder,
    ):
        save(network, folder)
    return "folder"


def refuse_target(target: Path) -> None:
    """Reject a name that ``write`` would reject.

    Raises:
        WeightsError: if the form is not written, or what stands there is not to be replaced.
    """
    name = target.name.lower()
    for endings, reason in NOT_WRITTEN.items():
        if name.endswith(endings):
            raise WeightsError(f"{target}: {reason}")
    if any(name.endswith(endings) for endings, _, _ in _WRITERS):
        _refuse_other_files(target)
    else:
        _refuse_other_folders(target)


def _write_safetensors(network: Network, path: Path) -> None:
    """Write one file that says what it is: the description is in its metadata.

    ``format: pt`` is what transformers asks for.
    """
    save_weights(network.weights, path, metadata={"format": "pt", OURS: to_config_text(network)})


def _write_keras(network: Network, path: Path) -> None:
    from resnets.convert.keras import files

    files.write(network, path)


def _write_gluon(network: Network, path: Path) -> None:
    from resnets.convert.gluon import files

    files.write(network, path)


_WRITERS: tuple[tuple[tuple[str, ...], str, Callable[[Network, Path], None]], ...] = (
    ((".safetensors",), "safetensors file", _write_safetensors),
    ((".h5", ".hdf5", ".keras"), "Keras file", _write_keras),
    ((".params",), "Gluon file", _write_gluon),
)


def _refuse_other_files(path: Path) -> None:
    """Let a file be replaced only if it says that it was written here."""
    if not path.exists():
        return
    if path.is_file() and path.name.lower().endswith(".safetensors"):
        with contextlib.suppress(WeightsError):
            if OURS in safetensors_files.read_header(path).metadata:
                return
    raise WeightsError(f"{path}: exists and does not tell that resnets wrote it; remove it first")


def _refuse_other_folders(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise WeightsError(f"{folder}: exists and is no folder; choose another name")
    held = {path.name for path in folder.iterdir()}
    if held & set(RUNS):
        raise WeightsError(f"{folder}: a run folder, which is never overwritten; choose another")
    if not held:
        return
    strange = sorted(held - {CONFIG, "model.safetensors"})
    if strange or not _is_ours(folder / CONFIG):
        what = f"holds {strange[0]}" if strange else "was not written by resnets"
        raise WeightsError(
            f"{folder}: {what}; a folder is replaced only if it is a network of ours"
        )


def _is_ours(config: Path) -> bool:
    from resnets.convert.configs import read_config

    try:
        return "resnets" in read_config(config)
    except WeightsError:
        return False


@contextlib.contextmanager
def _replacing_folder(target: Path) -> Generator[Path]:
    """Yield a folder that takes the place of ``target`` when the block ends without error.

    A kill leaves the old folder or the new one, or, between two renames, the old one beside its
    place; never the configuration of one with the weights of the other.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f".{target.name}.", suffix=".part", ignore_cleanup_errors=True
    ) as place:
        new, old = Path(place) / "new", Path(place) / "old"
        yield new
        try:
            if target.exists():
                target.rename(old)
            new.rename(target)
        except BaseException:
            if old.exists() and not target.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
