"""Export a network, with the images that belong to it: an ONNX file, or a deployed folder."""

from collections.abc import Sequence
from pathlib import Path

from resnets.errors import RunError
from resnets.export import deployment, onnx, quantisation, selection
from resnets.inference.sources import Say, load_calibration_images
from resnets.networks.network import Network


def export_file(
    network: Network,
    path: Path,
    *,
    source: str,
    takes: onnx.Input = "pixels",
    fold: bool = True,
    any_size: bool = False,
    int8: bool = False,
    data: str | None = None,
    announce: Say,
) -> int | None:
    """Write a network as an ONNX file; return how many images int8 was calibrated on.

    Args:
        network: what is written.
        path: the file.
        source: where the network came from; a run's training images calibrate int8.
        takes: as in ``write_onnx``; int8 takes pixels.
        fold: as in ``write_onnx``; int8 is folded.
        any_size: as in ``write_onnx``; int8 takes images of the network's size.
        int8: whether convolutions are computed in int8.
        data: other images to calibrate on.
        announce: is called with messages.

    Raises:
        As ``write_onnx``; RunError if int8 has no images to calibrate on.
    """
    onnx.refuse_file(path)
    if not int8:
        onnx.write_onnx(network, path, takes=takes, fold=fold, any_size=any_size)
        return None
    found = load_calibration_images(
        source, network, data=data, announce=announce, needs_held_out=False
    )
    if found is None:
        raise RunError(f"{source} leads to no images; --data names images for int8")
    calibration = selection.pick_calibration(found.training)
    onnx.write_file(path, quantisation.build_int8_onnx(network, calibration))
    return len(calibration)


def export_folder(
    network: Network,
    folder: Path,
    *,
    source: str,
    engines: Sequence[str] = (),
    single: bool = False,
    data: str | None = None,
    images: int = selection.HELD_OUT,
    announce: Say,
) -> selection.Selection:
    """Measure engines on this machine, and write a folder with the fastest one chosen.

    Args:
        network: what is written.
        folder: where to.
        source: where the network came from; a run's images calibrate and compare engines.
        engines: as in ``select_fastest``.
        single: as in ``select_fastest``.
        data: other images to calibrate and compare on.
        images: the most images to compare on.
        announce: is called with messages.

    Raises:
        As ``select_fastest`` and ``deploy``.
    """
    found = load_calibration_images(source, network, data=data, announce=announce)
    if found is None:
        announce("note: engines are compared on noise, and there is no int8; --data names images")
    chosen = selection.select_fastest(
        network,
        training=None if found is None else found.training,
        held_out=None if found is None else found.held_out,
        engines=engines,
        images=images,
        single=single,
        labelled=found is None or found.labelled,
        announce=announce,
    )
    deployment.deploy(chosen, folder)
    return chosen
