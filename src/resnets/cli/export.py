"""``export``: a network as others take it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from resnets.cli.flags import Count, Flag
from resnets.errors import RunError
from resnets.terminal import note, print_drawn, print_json

if TYPE_CHECKING:
    from resnets.networks.network import Network


def export(
    source: str,
    /,
    *,
    to: Annotated[Path, Parameter(name=("--to", "-o"))],
    network: str | None = None,
    takes: Annotated[Literal["pixels", "normalised"], Parameter(name="--input")] = "pixels",
    no_fold: Flag = False,
    any_size: Flag = False,
    int8: Flag = False,
    engine: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = ("auto",),
    single: Flag = False,
    data: str | None = None,
    images: Annotated[Count, Parameter(show_default=False)] = None,
    size: Count = None,
    json: Flag = False,
) -> None:
    """Write a trained network as an ONNX file, or as a folder with the fastest engine chosen.

    Parameters
    ----------
    source
        A run folder, or any weights that convert reads. A catalog's name has random weights.
    to
        A file that ends in .onnx; any other name is a folder: engines are measured on this
        machine, and evaluate and predict use the chosen one by --engine auto.
    network
        A name or an architecture's JSON file, in place of what the source tells.
    takes
        Of a .onnx file: pixels, uint8 [n, height, width, channels] as images are stored; or
        normalised, float32 [n, channels, height, width].
    no_fold
        Of a .onnx file: leave batch norms as layers of their own.
    any_size
        Of a .onnx file: take images of any height and width.
    int8
        Of a .onnx file: eight bits, calibrated on training images.
    engine
        Of a folder: the engines to choose from: torch-plain, torch, torch-bf16, torch-compiled,
        onnxruntime, onnxruntime-int8, openvino, openvino-bf16, openvino-int8. auto: all that are
        installed but torch-compiled, which takes a minute; int8 is then shown, not chosen.
    single
        Of a folder: choose by the latency of one image, not by images a second at batch 128.
    data
        Images to calibrate and to judge on; if their classes are not the network's, without
        accuracies. Default: what the run trained on and held out.
    images
        The most held-out images to judge on. Default: 1000.
    size
        Another height and width in pixels than the network's.
    json
        Print everything as JSON.
    """
    from resnets.inference.sources import exported

    if to.suffix.lower() == ".onnx":
        if engine != ("auto",) or single or images is not None:
            raise RunError("--engine, --single and --images are for a folder: --to FOLDER")
        if data is not None and not int8:
            raise RunError("--data is for --int8, or for a folder: --to FOLDER")
        found = exported(source, size, note, network=network)
        _write_file(found, source, to, takes, not no_fold, any_size, int8, data, json)
        return
    if takes != "pixels" or no_fold or any_size or int8:
        raise RunError(
            "--input, --no-fold, --any-size and --int8 are for a file: --to model.onnx; "
            "of a folder's engines, --engine openvino-int8 computes in int8"
        )
    from resnets.export import choice, deployment

    engines = () if engine == ("auto",) else engine
    most = choice.HELD_OUT if images is None else images
    choice.require(engines, images=most)  # what cannot be is said before anything is read
    deployment.refuse_folder(to)
    found = exported(source, size, note, network=network)
    _write_folder(found, source, to, engines, single, data, most, json)


def _write_file(
    found: "Network",
    source: str,
    to: Path,
    takes: Literal["pixels", "normalised"],
    fold: bool,
    any_size: bool,
    int8: bool,
    data: str | None,
    json: bool,
) -> None:
    from resnets.export import model, quantisation, view
    from resnets.export.choice import calibration_of
    from resnets.inference.sources import pictures

    model.refuse_file(to)
    notes: tuple[str, ...] = ()
    if int8:
        if takes != "pixels" or not fold or any_size:
            raise RunError("--int8 goes without --input, --no-fold and --any-size")
        parts = pictures(source, found, data, note, judged=False)
        if parts is None:
            raise RunError(f"{source} leads to no images; --data names images for int8")
        calibration = calibration_of(parts.training)
        model.write_file(to, quantisation.int8_bytes(found, calibration))
        notes = (f"convolutions in int8, calibrated on {len(calibration)} training images",)
    else:
        model.write_onnx(found, to, takes=takes, fold=fold, any_size=any_size)
    if json:
        print_json(
            {"network": found.architecture.name, "target": str(to), "bytes": to.stat().st_size}
            | {"opset": model.OPSET, "input": takes, "int8": int8}
        )
    else:
        print(view.file_lines(found, to, takes, any_size, notes))


def _write_folder(
    found: "Network",
    source: str,
    to: Path,
    engines: tuple[str, ...],
    single: bool,
    data: str | None,
    images: int,
    json: bool,
) -> None:
    from resnets.export import choice, deployment, view
    from resnets.inference.sources import pictures

    parts = pictures(source, found, data, note)
    if parts is None:
        note("note: engines are compared on noise, and there is no int8; --data names images")
    chosen = choice.fastest(
        found,
        training=None if parts is None else parts.training,
        held_out=None if parts is None else parts.held_out,
        engines=engines,
        images=images,
        single=single,
        labelled=parts is None or parts.labelled,
        announce=note,
    )
    deployment.deploy(chosen, to)
    if json:
        print_json({"target": str(to), "engine": chosen.chosen.engine, **chosen.table.to_json()})
    else:
        print_drawn(view.engines_table(chosen.table, chosen.chosen))
        print(f"written  {to} (engine {chosen.chosen.engine}; predict and evaluate: --engine auto)")
