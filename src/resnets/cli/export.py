"""``resnets export``: a network as an ONNX file, or as a folder to deploy."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from resnets.cli.options import Count, Flag, Json, OtherNetwork
from resnets.errors import RunError
from resnets.terminal import print_json, print_note, print_rich


def export(
    source: str,
    /,
    *,
    to: Annotated[Path, Parameter(name=("--to", "-o"))],
    network: OtherNetwork = None,
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
    json: Json = False,
) -> None:
    """Write a trained network as an ONNX file, or as a folder with the fastest engine chosen.

    Parameters
    ----------
    source
        A run folder, or any weights that convert reads. A catalog's name has random weights.
    to
        A file that ends in .onnx; any other name is a folder: engines are measured on this
        machine, and evaluate and predict use the chosen one by --engine auto.
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
    """
    from resnets.inference.sources import resolve_network

    if to.suffix.lower() == ".onnx":
        if engine != ("auto",) or single or images is not None:
            raise RunError("--engine, --single and --images are for a folder: --to FOLDER")
        if data is not None and not int8:
            raise RunError("--data is for --int8, or for a folder: --to FOLDER")
        if int8 and (takes != "pixels" or no_fold or any_size):
            raise RunError("--int8 goes without --input, --no-fold and --any-size")
        from resnets.export import onnx
        from resnets.inference.export import export_file
        from resnets.report import export as report

        found = resolve_network(source, size, announce=print_note, network=network)
        calibrated = export_file(
            found,
            to,
            source=source,
            takes=takes,
            fold=not no_fold,
            any_size=any_size,
            int8=int8,
            data=data,
            announce=print_note,
        )
        if json:
            size_of_file = to.stat().st_size
            written = {"network": found.architecture.name, "target": str(to), "bytes": size_of_file}
            print_json(written | {"opset": onnx.OPSET, "input": takes, "int8": int8})
        else:
            print(
                report.format_file(found, to, takes=takes, any_size=any_size, calibrated=calibrated)
            )
        return
    if takes != "pixels" or no_fold or any_size or int8:
        raise RunError(
            "--input, --no-fold, --any-size and --int8 are for a file: --to model.onnx; "
            "of a folder's engines, --engine openvino-int8 computes in int8"
        )
    from resnets.export import deployment, selection
    from resnets.inference.export import export_folder
    from resnets.report import export as report

    engines = () if engine == ("auto",) else engine
    most = selection.HELD_OUT if images is None else images
    selection.require_engines(engines, images=most)  # before anything is read
    deployment.refuse_folder(to)
    found = resolve_network(source, size, announce=print_note, network=network)
    chosen = export_folder(
        found,
        to,
        source=source,
        engines=engines,
        single=single,
        data=data,
        images=most,
        announce=print_note,
    )
    if json:
        print_json({"target": str(to), "engine": chosen.chosen.engine, **chosen.table.to_json()})
    else:
        print_rich(report.draw_engines(chosen.table, chosen.chosen))
        print(f"written  {to} (engine {chosen.chosen.engine}; predict and evaluate: --engine auto)")
