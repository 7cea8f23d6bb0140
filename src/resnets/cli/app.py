"""The command line: one file and one function a command; other packages do the work.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 an error of the data or the
network asked for, 2 of the command line itself, 130 interrupted. Other packages are imported
inside the commands: ``--help`` must not wait for NumPy, nor ``show`` for torch.
"""

import io
import sys

from cyclopts import App

from resnets import __version__
from resnets.cli import (
    bench,
    check,
    convert,
    data,
    draw,
    evaluate,
    explain,
    export,
    grow,
    models,
    predict,
    prune_depth,
    report,
    serve,
    show,
    train,
)
from resnets.errors import ResnetsError
from resnets.terminal import print_note, unwrap_paragraphs

app = App(
    name="resnets",
    help="Residual networks: exact tables, fast training, one weight file.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main says that it was interrupted
)

for command in (
    train.train,
    evaluate.evaluate,
    predict.predict,
    explain.explain,
    report.report,
    serve.serve,
    show.show,
    draw.draw,
    models.models,
    convert.convert,
    export.export,
    check.check,
    bench.bench,
    data.data,
    grow.grow,
    prune_depth.prune_depth,
):
    command.__doc__ = unwrap_paragraphs(command.__doc__ or "")
    app.command(command)


def main() -> None:
    """Run the command line; a user's mistake prints its message, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # × in a terminal that has none, names of files
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
        if sys.stdout is not None:
            sys.stdout.flush()
    except ResnetsError as error:
        print_note(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print_note("interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        sys.stderr.close()
        raise SystemExit(1) from None
    except MemoryError:
        print_note("error: the memory is not enough: end other programs, or choose a smaller size")
        raise SystemExit(1) from None
    except OSError as error:
        print_note(f"error: {error}")
        raise SystemExit(1) from None
