"""``resnets serve``: a trained network behind a page and an address."""

from resnets.cli.options import Device, Flag, Framework, Mirror, Whole, refuse_both
from resnets.errors import RunError
from resnets.terminal import print_note


def serve(
    network: str,
    /,
    *,
    host: str = "127.0.0.1",
    port: Whole = 8000,
    top: Whole = 5,
    framework: Framework = None,
    engine: str | None = None,
    device: Device = "auto",
    mirror: Mirror = False,
    log: Flag = False,
) -> None:
    """Serve a trained network: a page to drop images on, and an address for programs.

    Images that come in together are computed together. POST an image to /predict, or a form of
    several, for classes and probabilities as JSON; to /explain for a picture of the evidence.
    Whoever reaches the address may ask; there are no passwords.

    Parameters
    ----------
    network
        A run folder, a folder that export wrote, or any weights that convert reads.
    host
        Where to listen: 127.0.0.1 is this machine alone, 0.0.0.0 all that reach it.
    port
        0: any that is free.
    top
        How many classes to name where a request does not say, as in /predict?top=3.
    engine
        Compute with an engine of export in place of a framework, such as openvino-bf16. Default:
        in a folder that export wrote the one chosen there.
    log
        Say each request on standard error.
    """
    from resnets.serve import running, service

    refuse_both(framework, engine)
    if top < 1:
        raise RunError(f"--top {top}: at least one class is named")
    running.require_packages()
    with (
        running.listen(host, port) as place,
        service.load_service(
            network, framework, engine=engine, device=device, mirror=mirror, announce=print_note
        ) as ready,
    ):
        ready.warm_up()

        def answers() -> None:
            print(
                f"{ready.network.architecture.name} answers at {running.page_url(place)}",
                flush=True,
            )
            print_note("Ctrl-C ends it")

        running.run_server(ready, place, top=top, ready=answers, announce=print_note, log=log)
