"""``evaluate`` and ``predict``: a trained network at work."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from resnets.cli.flags import Flag, Whole
from resnets.errors import RunError
from resnets.terminal import json_line, note, print_drawn, print_json


def no_options(_type: object, images: Sequence[str]) -> None:
    """Let ``-`` through, but not a misspelt option that would pass for an image."""
    for image in images:
        if image.startswith("-") and image != "-":
            raise ValueError(f"unknown option {image}; a file of that name is ./{image}")


def refuse_both(framework: str | None, engine: str | None) -> None:
    if framework is not None and engine is not None:
        raise RunError("--engine computes in place of a framework: leave --framework out")


def evaluate(
    network: str,
    /,
    *,
    data: str | None = None,
    framework: str | None = None,
    engine: str | None = None,
    device: str = "auto",
    mirror: Flag = False,
    json: Flag = False,
) -> None:
    """Evaluate a trained network on a data set's test images.

    Parameters
    ----------
    network
        A run folder, or any weights that convert reads.
    data
        fashion_mnist, or a folder of images. Default: what the run was trained on.
    framework
        torch, jax, tensorflow or mxnet. Default: the run's own, or the first that is installed.
    engine
        Compute with an engine of export in place of a framework, such as openvino-bf16; auto is
        the one that export chose for this folder.
    device
        auto, cpu, or as the framework calls its others: cuda, cuda:1, mps (resnets check).
    mirror
        Average the logits of each image and of its mirror image: twice the work, and often a
        little better where training mirrored images, too.
    json
        Print the figures as JSON.
    """
    from resnets.inference.evaluate import evaluate_folder
    from resnets.training.run_folder import framework_of

    refuse_both(framework, engine)
    framework = framework or framework_of(network)
    found = evaluate_folder(network, data, framework, device, note, engine, mirror)
    if json:
        print_json(found.to_json())
    else:
        from resnets.report.console import evaluation_report

        print_drawn(evaluation_report(found))


def predict(
    network: str,
    images: Annotated[list[str], Parameter(allow_leading_hyphen=True, validator=no_options)],
    /,
    *,
    top: Whole = 3,
    framework: str | None = None,
    engine: str | None = None,
    device: str = "auto",
    mirror: Flag = False,
    json: Flag = False,
) -> None:
    """Name what images show, with probabilities.

    Parameters
    ----------
    network
        A run folder, or any weights that convert reads.
    images
        Image files, folders of them, or - for one image from standard input.
    top
        How many classes to name for each image.
    framework
        torch, jax, tensorflow or mxnet. Default: the run's own, or the first that is installed.
    engine
        Compute with an engine of export in place of a framework, such as openvino-bf16; auto is
        the one that export chose for this folder.
    device
        auto, cpu, or as the framework calls its others: cuda, cuda:1, mps (resnets check).
    mirror
        Average the logits of each image and of its mirror image: twice the work, and often a
        little better where training mirrored images, too.
    json
        Print one JSON object a line for each image.
    """
    from resnets.inference.predict import predict_images
    from resnets.report.console import prediction_lines
    from resnets.training.run_folder import framework_of

    refuse_both(framework, engine)
    framework = framework or framework_of(network)
    failed = 0
    for prediction in predict_images(network, images, top, framework, device, note, engine, mirror):
        if prediction.error is not None:
            failed += 1
            note(f"error: {prediction.error}")
        if json:
            print(json_line(prediction.to_json()), flush=True)
        elif prediction.error is None:
            print(prediction_lines(prediction), flush=True)
    if failed:
        raise SystemExit(1)
