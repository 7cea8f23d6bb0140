"""The command line as a user meets it: real images, real processes, real kills."""

import json
import random
import signal
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import Done, resnets, resnets_process, started, wait_until
from resnets.cli import app
from resnets.networks.folder import load, load_weights
from resnets.recipes import presets

SMALL = ["--network", "resnet8_slim", "--size", "14", "--batch", "16", "--validation", "0.2"]


def train(data: Path, cwd: Path, *more: Any) -> Done:
    return resnets("train", "--data", data, *SMALL, *more, cwd=cwd)


@pytest.fixture(scope="module")
def finished(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of ten epochs on three classes of real images."""
    cwd = tmp_path_factory.mktemp("finished")
    done = train(picture_folder, cwd, "--epochs", 10, "--run", "run")
    assert done.returncode == 0, done.stderr
    return cwd / "run"


def test_a_run_leaves_what_it_should_and_learns(finished: Path) -> None:
    names = {p.name for p in finished.iterdir()}
    assert names >= {
        *("config.json", "recipe.json", "model.safetensors", "state.safetensors"),
        *("metrics.jsonl", "timings.jsonl", "result.json", "curves.svg", "curves.png"),
        "tensorboard",
    }
    result = json.loads((finished / "result.json").read_text())
    assert result["test_accuracy"] > 0.8
    assert result["test_images"] == 22
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["event"] == "epoch"]
    assert len(epochs) == 10
    best = max(epochs, key=lambda e: (e["validation_accuracy"], -e["validation_loss"]))
    assert result["best_epoch"] == best["epoch"]


def test_mirrored_images_are_what_the_run_said_of_them(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    figures = [
        json.loads(resnets("evaluate", finished, *more, "--json", cwd=finished.parent).stdout)
        for more in ((), ("--mirror",))
    ]
    assert figures[0]["accuracy"] == result["test_accuracy"]
    assert figures[1]["accuracy"] == result["test_accuracy_mirrored"]
    assert figures[0]["loss"] != figures[1]["loss"]


def test_the_saved_recipe_runs_again_to_the_same_bits(finished: Path, tmp_path: Path) -> None:
    done = resnets(
        "train", "--recipe", finished / "recipe.json", "--run", "again", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for name in ("metrics.jsonl", "model.safetensors", "state.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes(), name
    assert json.loads(done.stdout) == json.loads((finished / "result.json").read_text())


GROWING = (
    *("--grow", "3:resnet14_slim", "6:2-3-2", "--optimiser", "adamw", "--rate", "1e-3"),
    *("--average", "0.9", "--stochastic-depth", "0.2"),
)
"""The best epoch's network changes, and AdamW counts the steps of new tensors apart."""

SKIPPING = ("--skip", "0.4", "--flip", "--partial-batch")
"""Which images an epoch takes follows from the losses of the epochs before it."""

KILLS = 10
"""How often a run is killed, at most; it may be over sooner."""


@pytest.fixture(scope="module")
def grown(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that grew twice."""
    cwd = tmp_path_factory.mktemp("grown")
    done = train(picture_folder, cwd, "--epochs", 10, "--run", "run", *GROWING)
    assert done.returncode == 0, done.stderr
    assert "grown to resnet14_slim: 2-2-2 blocks" in done.stderr
    return cwd / "run"


@pytest.fixture(scope="module")
def skipped(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose epochs left images out."""
    cwd = tmp_path_factory.mktemp("skipped")
    done = train(picture_folder, cwd, "--epochs", 10, "--run", "run", *SKIPPING)
    assert done.returncode == 0, done.stderr
    assert "78 training images, 47 of them an epoch" in done.stderr
    return cwd / "run"


def test_a_run_that_grew_is_the_last_network(grown: Path) -> None:
    network = load(grown)
    assert [stage.depth for stage in network.architecture.stages] == [2, 3, 2]
    growths = json.loads((grown / "result.json").read_text())["growth"]
    assert [g["depths"] for g in growths] == [[2, 2, 2], [2, 3, 2]]
    state, _ = load_weights(grown / "state.safetensors")
    assert state["born/layer1.1.conv1.weight"] < state["born/layer2.2.conv1.weight"]
    assert resnets("show", grown, cwd=grown.parent).returncode == 0
    done = resnets("evaluate", grown, "--json", cwd=grown.parent)
    result = json.loads((grown / "result.json").read_text())
    assert json.loads(done.stdout)["accuracy"] == result["test_accuracy"]


def test_a_growth_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    for target, culprit in (
        ("2:resnet18", "stem.width"),
        ("2:2-2", "'2-2'"),
        ("2:0-2-2", "'0-2-2'"),
        ("2:9999-2-2", "'9999-2-2': stages"),
        ("2:1-1-1", "1-1-1"),
        ("2:2--2", "'2--2'"),
        (f"2:{'9' * 5000}-2-2", "9999"),
        (f"{'9' * 5000}:2-2-2", "EPOCH:NETWORK"),
        ("3:2-2-2", "grow[0].epoch"),
        ("x:2-2-2", "'x:2-2-2'"),
        ("2:2-2-2:rnd", "'rnd'"),
    ):
        # Said before the data are looked for: there are none.
        done = train(tmp_path / "gone", tmp_path, "--epochs", 3, "--run", "no", "--grow", target)
        assert done.returncode == 1
        assert culprit in done.stderr and "Traceback" not in done.stderr
        assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("name", "more"), [("finished", ()), ("grown", GROWING), ("skipped", SKIPPING)]
)
def test_killed_at_random_instants_and_resumed_it_is_bitwise_the_run_never_killed(
    name: str,
    more: tuple[str, ...],
    request: pytest.FixtureRequest,
    picture_folder: Path,
    tmp_path: Path,
) -> None:
    finished: Path = request.getfixturevalue(name)
    arguments = [
        *("train", "--data", picture_folder, *SMALL),
        *("--epochs", "10", "--run", "run", "--resume", "--save-every", "0", *more),
    ]
    run, log, chance, kills = tmp_path / "run", tmp_path / "log", random.Random(1), 0
    for attempt in range(KILLS + 1):
        process = started(*arguments, cwd=tmp_path, log=log)
        # Now and then a kill comes before the first save; else a new save proves progress.
        early = attempt % 5 == 1
        if not early:
            _wait_for_a_save(process, run)
        # With a save after every step, most of these instants lie inside some write.
        process.join(chance.uniform(0, 1.0 if early else 0.4) if attempt < KILLS else None)
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
        else:
            assert process.exitcode == 0, log.read_text()
            break
    assert kills >= 3, "the run was over too soon for this test to mean anything"
    assert (run / "result.json").is_file()
    for name in ("metrics.jsonl", "model.safetensors", "result.json", "recipe.json", "config.json"):
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name
    one, other = (load_weights(folder / "state.safetensors")[0] for folder in (run, finished))
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert not list(run.glob("*.part"))


def _wait_for_a_save(process: BaseProcess, run: Path) -> None:
    before = _saved(run)
    wait_until(lambda: _saved(run) != before or not process.is_alive())


def _saved(run: Path) -> int:
    """When the run's state was last replaced; 0 if it has none yet."""
    try:
        return (run / "state.safetensors").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def test_ctrl_c_saves_and_says_how_to_go_on(
    finished: Path, picture_folder: Path, tmp_path: Path
) -> None:
    arguments = ["train", "--data", str(picture_folder), *SMALL, "--epochs", "10", "--run", "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "resnets", *arguments, "--resume"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    state = tmp_path / "run" / "state.safetensors"
    wait_until(lambda: state.is_file() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the state is saved" in said and "--resume" in said and "Traceback" not in said
    done = resnets(*arguments, "--resume", cwd=tmp_path)
    assert done.returncode == 0
    for name in ("metrics.jsonl", "model.safetensors", "result.json"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes(), name


def test_a_finished_run_prints_its_figures_again(finished: Path, picture_folder: Path) -> None:
    before = (finished / "result.json").stat().st_mtime_ns
    done = train(picture_folder, finished.parent, "--epochs", 10, "--run", "run", "--resume")
    assert done.returncode == 0 and "test accuracy" in done.stdout
    assert (finished / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["--momentum", 0.99], "the loss became"),
        # Saved after each step: the one whose loss was finite and whose gradient was not.
        (["--save-every", 0], "is no longer finite after step"),
    ],
)
def test_a_run_that_diverges_says_where_and_keeps_what_was_good(
    settings: list[Any], words: str, picture_folder: Path, tmp_path: Path
) -> None:
    run = ["--run", "run", "--precision", "fp32", "--rate", 1e6, "--epochs", 4, "--seed", 1]
    done = train(picture_folder, tmp_path, *run, *settings)
    assert done.returncode == 1
    assert words in done.stderr
    assert "a lower rate" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    for path in (tmp_path / "run").glob("*.safetensors"):
        assert all(np.isfinite(array).all() for array in load_weights(path)[0].values())


def test_evaluate_agrees_with_the_run(finished: Path) -> None:
    done = resnets("evaluate", finished, "--json", cwd=finished.parent)
    assert done.returncode == 0, done.stderr
    found, result = json.loads(done.stdout), json.loads((finished / "result.json").read_text())
    assert found["accuracy"] == result["test_accuracy"]
    assert found["loss"] == pytest.approx(result["test_loss"], rel=1e-6)
    assert np.sum(found["confusion"]) == 22
    assert "most often taken for" in resnets("evaluate", finished, cwd=finished.parent).stdout


def test_predict_files_folders_and_stdin(
    finished: Path, picture_folder: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.webp"
    Image.open(picture_folder / "bag" / "05.png").convert("RGBA").resize((90, 50)).save(odd)
    done = resnets(
        "predict", finished, picture_folder / "sneaker", odd, "--json", "--top", 2, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 41
    assert lines[-1]["image"] == str(odd)
    right = sum(line["classes"][0]["class"] == "sneaker" for line in lines[:40])
    assert right >= 30
    for line in lines:
        shares = [c["probability"] for c in line["classes"]]
        assert len(shares) == 2 and 1 >= shares[0] >= shares[1] >= 0
    image = (picture_folder / "dress" / "03.png").read_bytes()
    assert "dress" in resnets_process("predict", finished, "-", stdin=image).stdout


def test_predict_goes_on_after_a_file_that_is_no_image(
    finished: Path, picture_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_text("no image")
    good = picture_folder / "bag" / "01.png"
    done = resnets("predict", finished, tmp_path / "notes.png", good, "gone.png", cwd=tmp_path)
    assert done.returncode == 1
    assert "notes.png" in done.stderr and "gone.png" in done.stderr
    assert str(good) in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "culprit"),
    [
        (["train", "--recipe", "quik"], 1, "quik"),
        (["train", "--recipe", "gone.json"], 1, "gone.json"),
        (["train", "--epochs", "0"], 1, "epochs"),
        (["train", "--momentum", "0.9", "--optimiser", "adamw"], 1, "momentum"),
        (["train", "--epoch", "3"], 2, "--epochs"),
        (["train", "--batch", "many"], 2, "many"),
        (["train", "--epochs", "1.6"], 2, "1.6"),
        (["bench", "--rounds", "3.5"], 2, "3.5"),
        (["train", "--recipe", "mine.yaml"], 1, "mine.yaml"),
        (["train", "--save-every", "nan"], 1, "--save-every"),
        (["train", "--data", ""], 1, "''"),
        (["train", "--network", "resnet19", "--data", "."], 1, "resnet19"),
        (["train", "--data", "nowhere"], 1, "nowhere"),
        (["train", "--device", "abacus"], 1, "abacus"),
        (["train", "--framework", "caffe"], 1, "caffe"),
        (["show", "resnet5O"], 1, "resnet5O"),
        (["show", "resnet50", "--size", "0"], 1, "size"),
        (["show", "resnet50", "--classes", "-3"], 1, "classes"),
        (["models", "vgg*"], 1, "vgg*"),
        (["evaluate", "nowhere"], 1, "nowhere"),
        (["predict", "nowhere", "x.png"], 1, "nowhere"),
        (["predict", "nowhere", "x.png", "--tpo", "3"], 2, "--tpo"),
        (["dance"], 2, "dance"),
    ],
)
def test_mistakes_get_a_sentence_not_a_traceback(
    arguments: list[str], code: int, culprit: str, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text("epochs = 2")
    done = resnets(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert culprit in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_too_little_memory_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise MemoryError

    monkeypatch.setattr(app, "app", full)
    with pytest.raises(SystemExit) as stop:
        app.main()
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith("error: the memory is not enough: ")


def test_a_recipe_in_toml_below_the_flags(picture_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        f'recipe = "quick"\nnetwork = "mine.json"\ndata = "{picture_folder}"\n'
        "epochs = 1\nsize = 10\nbatch = 8\nflip = false\nvalidation = 0.0\n"
    )
    (tmp_path / "mine.json").write_text(
        '{"stem": {"width": 4, "kernel": 3, "stride": 1, "pool": false},'
        ' "stages": [{"depth": 1, "width": 4}]}'
    )
    done = resnets("train", "--recipe", "mine.toml", "--batch", 16, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    recipe = json.loads((run / "recipe.json").read_text())
    assert (recipe["batch"], recipe["size"], recipe["flip"]) == (16, 10, False)
    assert json.loads(done.stdout)["validation_accuracy"] is None


def test_names_that_look_like_markup_and_paths_with_spaces(
    picture_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "my data [b]"
    for old, new in (("bag", "[bold]x"), ("dress", "[|q]")):
        (data / new).mkdir(parents=True)
        for picture in sorted((picture_folder / old).iterdir())[:8]:
            (data / new / picture.name).write_bytes(picture.read_bytes())
    done = train(data, tmp_path, "--epochs", 1, "--run", "my run[/q]")
    assert done.returncode == 0, done.stderr
    assert "[bold]x" in done.stdout and "predict 'my run[/q]' IMAGE" in done.stdout
    shown = resnets("evaluate", "my run[/q]", cwd=tmp_path)
    assert "[bold]x" in shown.stdout and "data [b] (" in shown.stdout


def test_terminals_without_unicode_get_escapes(tmp_path: Path) -> None:
    done = resnets_process("show", "resnet8_slim", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "resnet8_slim" in done.stdout


def test_a_class_of_one_image_each_cannot_be_tested(picture_folder: Path, tmp_path: Path) -> None:
    for name in ("bag", "dress"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "1.png").write_bytes(
            (picture_folder / name / "01.png").read_bytes()
        )
    done = train(tmp_path / "d", tmp_path, "--epochs", 1)
    assert done.returncode == 1 and "no class has two images" in done.stderr


def test_show_and_models_import_no_framework(tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['resnets', *{arguments}]\n"
        "from resnets.cli.app import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {{'torch', 'jax', 'tensorflow', 'mxnet', 'matplotlib'}} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for arguments in (["show", "resnet50", "--json"], ["models"], ["--help"], ["train", "--help"]):
        code = program.format(arguments=arguments)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        if arguments[0] == "show":
            assert json.loads(done.stdout)["parameters"] == 25_557_032


def test_every_setting_of_a_recipe_is_a_documented_flag(tmp_path: Path) -> None:
    import dataclasses

    from resnets.recipes.recipe import Recipe

    shown = resnets("train", "--help", cwd=tmp_path, COLUMNS="200").stdout
    for field in dataclasses.fields(Recipe):
        if field.name != "name":
            assert f"--{field.name.replace('_', '-')}" in shown
    assert f"{', '.join(presets.PRESETS)}, or a recipe's JSON or TOML file" in " ".join(
        shown.replace("│", " ").split()
    )
