"""``resnets evaluate``: a trained network on the test images of a data set."""

from resnets.cli.options import Device, Engine, Flag, Framework, Mirror, Source, refuse_both
from resnets.terminal import print_json, print_note, print_rich


def evaluate(
    network: Source,
    /,
    *,
    data: str | None = None,
    framework: Framework = None,
    engine: Engine = None,
    device: Device = "auto",
    mirror: Mirror = False,
    json: Flag = False,
) -> None:
    """Evaluate a trained network on a data set's test images.

    Parameters
    ----------
    data
        fashion_mnist, or a folder of images. Default: what the run was trained on.
    json
        Print the figures as JSON.
    """
    from resnets.inference.evaluate import evaluate_folder
    from resnets.training.run_folder import framework_of

    refuse_both(framework, engine)
    framework = framework or framework_of(network)
    found = evaluate_folder(
        network,
        data,
        framework=framework,
        device=device,
        announce=print_note,
        engine=engine,
        mirror=mirror,
    )
    if json:
        print_json(found.to_json())
    else:
        from resnets.report.console import draw_evaluation

        print_rich(draw_evaluation(found))
