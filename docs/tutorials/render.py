"""Run the tutorials in full and write each as a page with its outputs: NAME.md and images/.

python docs/tutorials/render.py [NAME ...] [--into FOLDER] [--prose]

Every tutorial runs in a process of its own; its other editions (NAME.id.py) have the same code and
get the same outputs. ``--prose`` runs nothing: it renews the words around the outputs that are
there. RESNETS_TUTORIAL=small is a quick look, which needs ``--into``.
"""

import argparse
import contextlib
import datetime
import io
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from cells import LANGUAGES, Cell, Output, code, read_rendering, read_script, scripts

from resnets.files import replace_file, write_text

HERE = Path(__file__).parent
FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow", "mxnet": "MXNet"}
LARGE = 150_000
"""Bytes of an SVG above which the figure is kept as a PNG."""

RUN = {
    "en": "> Run in full on {date}, {threads} ({processor}), {minutes} minutes of processor "
    "time; {software}. Another machine gives somewhat other numbers.",
    "id": "> Dijalankan penuh pada {date}, {threads} ({processor}), {minutes} menit waktu "
    "prosesor; {software}. Mesin lain memberi angka yang sedikit berbeda.",
}


def main() -> None:
    """Render the named tutorials, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--into", type=Path, default=HERE, metavar="FOLDER")
    parser.add_argument("--prose", action="store_true", help="keep the outputs that are there")
    given = parser.parse_args()
    known = [path.stem for path in scripts(HERE) if "." not in path.stem]
    names: list[str] = given.names or known
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no tutorial is called {', '.join(unknown)} (there are {', '.join(known)})")
    if os.environ.get("RESNETS_TUTORIAL") and given.into.resolve() == HERE.resolve():
        parser.error("RESNETS_TUTORIAL is set: a small run is no rendering; give --into FOLDER")
    (given.into / "images").mkdir(parents=True, exist_ok=True)
    if len(names) == 1 or given.prose:
        for name in names:
            render(name, given.into, run=not given.prose)
        return
    for name in names:
        own = [sys.executable, __file__, name, "--into", str(given.into.resolve())]
        subprocess.run(own, check=True)


def render(name: str, into: Path, *, run: bool) -> None:
    """Write all editions of one tutorial into a folder."""
    cells = read_script(HERE / f"{name}.py")
    page = into / f"{name}.md"
    if run:
        outputs, facts = execute(name, cells, into)
    else:
        old, outputs, facts = read_rendering(page.read_text(encoding="utf-8"))
        if code(old) != code(cells):
            raise SystemExit(f"{name}: the code is not what {page.name} shows: render it in full")
    for ending in LANGUAGES.values():
        script = HERE / f"{name}{ending}.py"
        if not script.exists():
            continue
        edition = read_script(script)
        if code(edition) != code(cells):
            raise SystemExit(f"{script.name}: its code differs from that of {name}.py")
        write_text(into / f"{name}{ending}.md", page_of(script.name, edition, outputs, facts))


def execute(name: str, cells: list[Cell], into: Path) -> tuple[list[Output], dict[str, Any]]:
    """Run the code cells one after another, as a notebook does; keep what they print and draw."""
    import matplotlib

    matplotlib.use("svg")
    warnings.filterwarnings("ignore", message="FigureCanvas.* is non-interactive")
    script = HERE / f"{name}.py"
    for old in (into / "images").glob(f"{name}-*"):
        old.unlink()
    space: dict[str, Any] = {"__name__": "__main__", "__file__": str(script)}
    outputs: list[Output] = []
    begin, spent, drawn = time.perf_counter(), time.process_time(), 0
    for cell in (cell for cell in cells if cell.kind == "code"):
        # Empty lines before it, so that an error names the script's own line.
        compiled = compile("\n" * (cell.line - 1) + cell.source, script, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compiled, space)
        figures = save_figures(name, into, drawn)
        drawn += len(figures)
        outputs.append(Output(printed.getvalue(), figures))
        seconds = time.perf_counter() - begin
        print(f"{name}: line {cell.line}, {seconds:.0f} s\n{printed.getvalue()}", file=sys.stderr)
    return outputs, facts_of((time.process_time() - spent) / 60)


def save_figures(name: str, into: Path, before: int) -> tuple[tuple[str, str], ...]:
    """Save and close pyplot's open figures, numbered on from ``before``."""
    from matplotlib import pyplot

    found: list[tuple[str, str]] = []
    for number, key in enumerate(pyplot.get_fignums(), before + 1):
        figure = pyplot.figure(key)
        words = figure.get_label() or f"Figure {number} of {name}"
        path = f"images/{name}-{number}"
        content, kind = io.BytesIO(), "svg"
        no_date = {"Date": None, "Creator": None}
        figure.savefig(content, format="svg", metadata=no_date, bbox_inches="tight")
        if content.tell() > LARGE:
            content, kind = io.BytesIO(), "png"
            figure.savefig(content, format="png", dpi=110, bbox_inches="tight")
        with replace_file(into / f"{path}.{kind}") as file:
            file.write(content.getvalue())
        found.append((str(words), f"{path}.{kind}"))
        pyplot.close(figure)
    return tuple(found)


def facts_of(minutes: float) -> dict[str, Any]:
    """When, on what, with which versions; minutes of the processor, which a busy machine keeps."""
    loaded = [package for package in FRAMEWORKS if package in sys.modules]
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS", "0"))
    software = [f"{FRAMEWORKS[p]} {sys.modules[p].__version__.split('+')[0]}" for p in loaded]
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "threads": threads or os.cpu_count(),
        "software": ", ".join([f"Python {platform.python_version()}", *software]),
        "minutes": round(minutes, 1),
    }


def processor() -> str:
    """The processor's name where the system tells it, else its kind."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def page_of(script: str, cells: list[Cell], outputs: list[Output], facts: dict[str, Any]) -> str:
    """The page: prose, code and outputs in order, and after the first prose what ran it."""
    parts = [f"<!-- render.py made this from {script}; change that. {json.dumps(facts)} -->"]
    left = iter(outputs)
    for number, cell in enumerate(cells):
        parts.append(cell.source if cell.kind == "prose" else f"```python\n{cell.source}\n```")
        if number == 0:
            parts.append(run_line(script, facts))
        if cell.kind == "code":
            output = next(left)
            text = "".join(f"{line.rstrip()}\n" for line in output.text.splitlines())
            parts += [f"```text\n{text}```"] if text else []
            parts += [f"![{words}]({path})" for words, path in output.figures]
    return "\n\n".join(parts) + "\n"


def run_line(script: str, facts: dict[str, Any]) -> str:
    """The line that says when and on what the page was made, in the script's language."""
    words = {key: str(value) for key, value in facts.items()}
    if script.endswith(".id.py"):
        words["threads"] = f"{facts['threads']} thread CPU"
        words["minutes"] = words["minutes"].replace(".", ",")
        words["date"] = "-".join(reversed(facts["date"].split("-")))
        return RUN["id"].format(**words)
    words["threads"] = f"{facts['threads']} CPU thread{'s' if facts['threads'] != 1 else ''}"
    return RUN["en"].format(**words)


if __name__ == "__main__":
    main()
