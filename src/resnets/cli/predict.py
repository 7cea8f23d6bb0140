"""``resnets predict``: what images show."""

from typing import Annotated

from resnets.cli.options import (
    IMAGES,
    Device,
    Engine,
    Flag,
    Framework,
    Mirror,
    Source,
    Whole,
    refuse_both,
)
from resnets.terminal import format_json, print_note


def predict(
    network: Source,
    images: Annotated[list[str], IMAGES],
    /,
    *,
    top: Whole = 3,
    framework: Framework = None,
    engine: Engine = None,
    device: Device = "auto",
    mirror: Mirror = False,
    json: Flag = False,
) -> None:
    """Name what images show, with probabilities.

    Parameters
    ----------
    top
        How many classes to name for each image.
    json
        Print one JSON object a line for each image.
    """
    from resnets.inference.predict import predict_images
    from resnets.report.console import format_prediction
    from resnets.training.run_folder import framework_of

    refuse_both(framework, engine)
    framework = framework or framework_of(network)
    failed = 0
    for prediction in predict_images(
        network,
        images,
        top=top,
        framework=framework,
        device=device,
        announce=print_note,
        engine=engine,
        mirror=mirror,
    ):
        if prediction.error is not None:
            failed += 1
            print_note(f"error: {prediction.error}")
        if json:
            print(format_json(prediction.to_json()), flush=True)
        elif prediction.error is None:
            print(format_prediction(prediction), flush=True)
    if failed:
        raise SystemExit(1)
