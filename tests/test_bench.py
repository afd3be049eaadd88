"""`scripts/bench` runs the benchmarks, and the tables in the documentation equal the results."""

import ast
import importlib
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from muslin.data.photos import PhotoImages
from muslin.data.writers.idx import write_part
from muslin.workflows.selected_part import SeenCounts

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package

import clothing_small  # noqa: E402
import expected_times  # noqa: E402
import growth  # noqa: E402
import growth_plot  # noqa: E402
import guarantee_tables  # noqa: E402
import ladder_table  # noqa: E402
import plain_bound  # noqa: E402
import recipes  # noqa: E402
import results_file  # noqa: E402
import run_all  # noqa: E402
import tables  # noqa: E402
import time_plot  # noqa: E402
import time_to_accuracy  # noqa: E402


def result(folder, name, median, note=""):
    seed = {"train_s": median, "whole_s": 2 * median, "cpu_s": 30, "test_accuracy": 0.9}
    content = {
        "command": "python benchmarks/recipes.py", "recipe": name.split("_")[1], "median": seed, "min": seed,
        "max": seed, "runs": [seed], "machine": {"processor": "a processor", "cores": 2}, "load_before": 0.5,
        "date": "2026-01-02T03:04:05", "commit": "abcdef0123", "note": note,
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(content))


PAGE = "before\n<!-- recipes -->\n<!-- /recipes -->\nafter\n"


def test_documented_numbers_equal_the_linked_results():
    pages = [file.read_text(encoding="utf-8") for file in tables.PAGES]
    for page in pages:
        assert tables.fill_tables(page, BENCHMARKS / "results", newest=False) == page
        for name, plot in tables.plots(page, BENCHMARKS / "results").items():
            assert (tables.IMAGES / name).read_text(encoding="utf-8") == plot
    for name, table in tables.TABLES.items():
        places = [sum(marker in page for page in pages) for marker in (f"<!-- {name} -->", f"<!-- /{name} -->")]
        has_result = bool(tables.matching_results(BENCHMARKS / "results", table))
        assert places == [1, 1] or (places == [0, 0] and not has_result), name


def test_a_table_has_the_newest_result_of_each_recipe(tmp_path):
    result(tmp_path, "recipes_quick_20260101T000000Z", 20.0)
    result(tmp_path, "recipes_quick_20260102T000000Z", 10.0, note="others used the machine.")
    result(tmp_path, "recipes_slow_20250102T000000Z", 99.0)
    page = tables.fill_tables(PAGE, tmp_path, newest=True)
    assert "| `quick` | 10.0 (10.0–10.0) | 20.0" in page
    assert "| `slow` | 99.0" in page
    assert "2026-01-02 at abcdef0; a processor, 2 cores, load 0.5 before it began. Others used the" in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def series(recipe, accuracy, train_s, seeds=5, articles=None):
    median = {"train_s": train_s, "test_accuracy": accuracy} | ({"articles": articles} if articles else {})
    return {"recipe": recipe, "median": median, "runs": [{}] * seeds}


def test_rung_needs_enough_seeds_or_names_the_best_miss():
    results = [
        {"article_s": 1000.0},
        series("quick", 0.91, 12.0, articles=1 / 150),
        series("brisk", 0.935, 50.0),
        series("slow", 0.942, 100.0, seeds=4),
    ]
    head, rows = ladder_table.ladder_rows(results)
    first, second, third, *others = (dict(zip(head, row, strict=True)) for row in rows)
    assert (first["recipe"], first["articles"], first["goals"]) == ("`quick`", "1/150", "1/120 reached, 1/200 missed")
    assert (second["recipe"], second["articles"], second["goals"]) == ("`brisk`", "1/20", "1/40 missed")
    for missed in (third, *others):
        assert (missed["recipe"], missed["seeds"]) == ("missed; the best is `slow`", "4")
        assert "reached" not in missed["goals"]


@pytest.mark.parametrize(
    ("articles", "shown"), [(1 / 120, "1/120"), (0.07, "1/14"), (0.28, "1/3.6"), (0.5, "1/2"), (0.6, "1/1.7"), (3, "3")]
)
def test_articles_are_not_rounded_to_a_better_rung(articles, shown):
    assert ladder_table.in_articles(articles) == shown


def test_a_seed_is_kept_when_its_keras_epoch_is_interrupted(monkeypatch):
    epochs = iter([1.0, 3.0])

    def keras_epoch(python):
        if (epoch_s := next(epochs, None)) is None:
            raise KeyboardInterrupt
        return {"epoch_s": epoch_s}

    monkeypatch.setattr(recipes, "keras_epoch", keras_epoch)
    monkeypatch.setattr(recipes, "train_once", lambda recipe, seed, folder: {"seed": seed, "train_s": 30.0})
    monkeypatch.setattr(recipes.signal, "signal", lambda *handler: None)
    runs, measured = recipes.run_series("quick", 5, Path("python"))
    assert [(run["seed"], run["articles"]) for run in runs] == [(0, 0.3), (1, 0.2)]
    assert len(measured) == 2


def small_clothing(date, *rows, words=""):
    """A result of clothing_small.py; a row is a method, a seed and an accuracy."""
    named = [{"method": m, "seed": s, "accuracy": a, "train_s": 10, "cpu_s": 20} for m, s, a in rows]
    command = f"python benchmarks/clothing_small.py{words}"
    return {"command": command, "date": date, "machine": {"cores": 2}, "rows": named}


def test_a_seed_on_photos_counts_once_as_newly_measured():
    old = small_clothing("2026-01-01", ("brisk", 0, 0.5), ("brisk", 1, 0.8), ("hog", 0, 0.6))
    new = small_clothing("2026-01-02", ("brisk", 0, 0.9), ("brisk", 2, 0.85))
    assert tables.clothing_small([new, old])[2:] == [
        "| `brisk` | 85.0 (80.0–90.0) % | 10 (10–10) | 20 (20–20) | 3 |",
        "| `hog` | 60.0 (60.0–60.0) % | 10 (10–10) | 20 (20–20) | 1 |",
    ]


def test_photos_measured_with_other_threads_are_another_row():
    every = small_clothing("2026-01-01", ("brisk", 0, 0.8))
    one = small_clothing("2026-01-02", ("brisk", 0, 0.9), ("hog", 0, 0.6), words=" brisk hog --threads 1")
    names = [row.split(" | ")[0] for row in tables.clothing_small([every, one])[2:]]
    assert names == ["| `brisk`, 2 threads", "| `brisk`, 1 thread", "| `hog`, 2 threads"]


def without_training(monkeypatch, seen):
    """The commands that clothing_small.py runs, none of which trains; an evaluation says what the model has seen."""
    commands = []

    def run(command, **_):
        commands.append(command)
        evaluated = {"seen_images": seen, "targets": {"label": {"accuracy": 0.5, "n": 10}}}
        trained = {"train_s": 1.0, "epochs": 2, "model": "model.muslin"}
        return SimpleNamespace(stdout=json.dumps(trained if "train" in command else evaluated))

    monkeypatch.setattr(clothing_small, "subprocess", SimpleNamespace(run=run, PIPE=None))
    return commands


def test_photo_is_not_fitted_to_the_photos_that_it_is_evaluated_on(tmp_path, monkeypatch):
    commands = without_training(monkeypatch, {"train": 0, "set_aside": False})
    row = clothing_small.run_muslin("photo", 0, tmp_path / "photo", ["clothing-small"], None)
    assert (row["validation_correct"], row["test_n"]) == (5, 10)
    training, *_ = commands
    assert training[training.index("--folds") + 1] == "0"


def test_an_accuracy_on_training_photos_is_refused(tmp_path, monkeypatch):
    without_training(monkeypatch, {"train": 341, "set_aside": False})
    with pytest.raises(SystemExit, match="photo was trained on 341 of the validation photos"):
        clothing_small.run_muslin("photo", 0, tmp_path / "photo", ["clothing-small"], None)


def test_int8_is_not_evaluated_on_training_images(monkeypatch):
    import int8

    def trained_on(n, *, set_aside=False):
        seen = SeenCounts(n=10, train=n, validation=0, set_aside=set_aside)
        selected = SimpleNamespace(seen=seen, images="images")
        monkeypatch.setattr("muslin.workflows.selected_part.select_part", lambda *arguments: selected)

    trained_on(0)
    assert int8.unseen_images(None, None, "validation") == "images"
    trained_on(2, set_aside=True)
    assert int8.unseen_images(None, None, "test") == "images"
    trained_on(10)
    with pytest.raises(SystemExit, match="trained on 10 of the 10 validation images"):
        int8.unseen_images(None, None, "validation")


def test_expected_times_of_photos_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(expected_times, "read", lambda data: SimpleNamespace(images=PhotoImages(())))
    monkeypatch.setattr(sys, "argv", ["expected_times.py", "photos", "photo"])
    with pytest.raises(SystemExit):
        expected_times.main()
    assert "give images of pixels" in capsys.readouterr().err


@pytest.mark.parametrize("package", sorted(set(time_to_accuracy.PEERS.values())))
def test_a_peer_package_is_in_the_header_of_its_script(package):
    header = (BENCHMARKS / "time_to_accuracy_peers.py").read_text().split("# ///")[1]
    assert re.search(rf'"{package}[=>"]', header)


def way(method, *rows, seed=0):
    named = [{"seed": seed, "epoch": e, "train_cpu_s": s, "test_accuracy": a, "train_s": s} for e, s, a in rows]
    machine = {"processor": "a processor", "cores": 2}
    return {"method": method, "date": "2026-01-01", "rows": named, "machine": machine}


def test_accuracy_against_time_has_the_newest_of_each_way():
    results = [
        # a kept run of Keras, 50 epochs
        {"epochs": [{"test_accuracy": 0.8 + n / 500} for n in range(1, 51)], "machine": {"cpu": "old", "cores": 2}},
        way("quick", (2, 99.0, 0.5)),
        way("quick", (2, 25.0, 0.91)),
        way("keras", (1, 60.0, 0.75), (2, 110.0, 0.8)),
        way("forest", (1, 80.0, 0.87)),
    ]
    head, rows = time_plot.time_to_accuracy(results)
    assert [row[0] for row in rows] == ["`quick`", "scikit-learn: forest on pixels", "Keras on TensorFlow, 50 epochs"]
    cells = dict(zip(head, rows[-1], strict=True))
    assert cells["processor s"] == "2,510"  # 110 s and 48 epochs of 50 s
    assert cells["test accuracy"] == "90.0 %"
    assert dict(zip(head, rows[0], strict=True))["times as fast as the article"] == "100"
    root = ElementTree.fromstring(time_plot.image(results))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Keras on TensorFlow", "90.0 %, 50 epochs", "quick 91.0 %", "10 min"} <= set(texts)
    assert "100 times the processor time" in texts
    assert any(text.startswith("a processor, 2 cores; old, 2 cores. ") for text in texts)


def test_article_is_timed_by_the_newest_result_that_has_it():
    kept = {"epochs": [{"test_accuracy": 0.9}] * 50, "machine": {"cpu": "old", "cores": 2}}
    old = {"article_s": 1.0, "epoch_cpu_s": [99.0, 60.0], "date": "2026-01-01"}
    beside = {"article": {"epochs": [{"epoch_cpu_s": 50.0}] * 2}, "date": "2026-01-02"}
    (keras,) = time_plot.ways([kept, beside, old])
    assert keras.end == (2500.0, 0.9)


def test_recipe_is_compared_with_the_article_nearest_in_time():
    kept = {"epochs": [{"test_accuracy": 0.9}] * 50, "machine": {"cpu": "old", "cores": 2}}
    old = {"article_s": 1.0, "epoch_cpu_s": [99.0, 60.0], "date": "2026-01-01"}
    runs = {"runs": [{}] * 5, "median": {"cpu_s": 30.0, "test_accuracy": 0.92}}
    first = {"recipe": "quick", "date": "2026-01-02"} | runs
    second = {"recipe": "brisk", "date": "2026-01-09", "article": {"epochs": [{"epoch_cpu_s": 50.0}] * 2}} | runs
    found = {way.method: way.article_s for way in time_plot.ways([kept, old, first, second])}
    assert found == {"quick": 3000.0, "brisk": 2500.0, "keras": 2500.0}


def test_a_number_changed_by_hand_is_noticed(tmp_path):
    result(tmp_path, "recipes_quick_20260101T000000Z", 20.0)
    page = tables.fill_tables(PAGE, tmp_path, newest=True)
    result(tmp_path, "recipes_quick_20260102T000000Z", 10.0)
    assert tables.fill_tables(page, tmp_path, newest=False) == page
    assert tables.fill_tables(page.replace("20.0 (20.0", "19.0 (19.0"), tmp_path, newest=False) == page


def test_int8_speedup_is_the_ratio_within_each_round():
    def run(way, number, images_per_s):
        each = {"images_per_s": images_per_s, "processor_us": 1e6 / images_per_s}
        return {"way": way, "round": number, "threads": 1, "batch": 64} | each

    evaluated = {"accuracy": 0.9, "difference": -0.002, "interval": (-0.005, 0.001), "same_prediction": 0.99}
    measured = {
        "network": "net",
        "accuracy": {"float32": evaluated, "u8u8": evaluated},
        # other load slowed the second round
        "runs": [run("float32", 1, 100.0), run("u8u8", 1, 200.0), run("float32", 2, 10.0), run("u8u8", 2, 15.0)],
    }
    *_, as_is, made = tables.int8([measured])
    assert as_is == "| net, float32 | 55 |  | 90.00 % |  |  |"
    assert made == "| net, u8u8 | 108 | 1.75 (1.50–2.00); 1.75 | 90.00 % | -0.20 (-0.50 to +0.10) | 99.0 % |"


def test_few_photos_are_counted_by_what_an_oracle_accepts():
    def row(oracle, nothing, broken, replaced=0.0):
        method = {"nothing": nothing, "broken": broken, "share": 0.5}
        names = ("muslin", "strict", "betting", "any rank")
        return {"images": 400, "oracle": oracle, "replaced": replaced} | dict.fromkeys(names, method)

    _, rows = guarantee_tables.few_photos(
        [{"rows": [row(0.31, 0.2, 0.02), row(0.39, 0.4, 0.05), row(0.42, 0.0, 0.0), row(0.35, 0.9, 0.01, 0.02)]}]
    )
    assert [row[:5] for row in rows] == [
        ("400", "true", "30 to 40 %", "2", "70 % (5.0 %)"),
        ("400", "true", "40 to 50 %", "1", "100 % (0.0 %)"),
        ("400", "2 or 4 % replaced", "30 to 40 %", "1", "10 % (1.0 %)"),
    ]


def test_a_plain_bound_accepts_59_without_an_error():
    confidence, correct = np.linspace(1, 0.5, 100), np.arange(100) != 59
    threshold = plain_bound.plain_threshold(confidence, correct, 0.95, None, lenient=False)
    assert threshold == confidence[58]
    assert plain_bound.plain_threshold(confidence, correct, 0.95, None, lenient=True) == confidence[99]
    assert plain_bound.plain_threshold(confidence[:58], correct[:58], 0.95, None, lenient=True) == np.inf


def test_a_result_names_no_folder_of_the_machine(tmp_path):
    command = results_file.start_result("", "", [str(tmp_path / "quick"), "--note", "a/b"])["command"]
    assert command.endswith(" quick --note a/b")


def test_a_failed_benchmark_is_named_and_the_others_run(tmp_path, monkeypatch, capfd):
    (tmp_path / "broken.py").write_text('"""Does it break?"""\nraise SystemExit("it broke")\n')
    (tmp_path / "sound.py").write_text('"""Does it go on?"""\nimport sys\nprint("went on", sys.argv[1:])\n')
    (tmp_path / "tables.py").write_text("print('tables made')\n")
    rows = (
        run_all.Benchmark("broken", "", "--few 1"),
        run_all.Benchmark("sound", "--many 9", "--few 1"),
        run_all.Benchmark("sound", "--long", None),
    )
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "BENCHMARKS", rows)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--note", "alone"])
    monkeypatch.setenv("MUSLIN_DATA", os.environ.get("MUSLIN_DATA", ""))  # put back what is set
    assert run_all.main() == 1
    output = capfd.readouterr()
    assert "Does it break?" in output.out
    assert "went on ['--few', '1', '--note', 'alone']" in output.out
    assert "--long" not in output.out
    assert "tables made" in output.out
    assert "failed: broken" in output.err


def test_an_unknown_benchmark_is_refused_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "nonsense"])
    with pytest.raises(SystemExit):
        run_all.main()
    assert "no benchmark nonsense. There are: training_step_keras, training_step" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", run_all.BENCHMARKS, ids=lambda row: row.script)
def test_every_benchmark_has_a_question(benchmark):
    assert len(benchmark.question) > 20
    assert benchmark.peer is None or benchmark.peer in run_all.PEERS


def names_of(script):
    """The names that a script defines or imports at its top."""
    names = set()
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {name.asname or name.name for name in node.names}
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {
            each.id for target in targets for each in ast.walk(target or ast.Pass()) if isinstance(each, ast.Name)
        }
    return names


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("*.py")), ids=lambda script: script.stem)
def test_names_that_a_benchmark_imports_exist(script):
    """Also those within functions, which only a run of the whole benchmark would miss."""
    nodes = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in nodes:
        if (other := BENCHMARKS / f"{node.module}.py").exists():  # read only: it can need packages that are not here
            assert {name.name for name in node.names} <= names_of(other)
        elif node.module.partition(".")[0] == "muslin":
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name) or importlib.import_module(f"{node.module}.{name.name}")


def grown(threads=2):
    """A result of growth.py: an epoch takes a hundredth of a second for each image, in the second round twice that."""
    base = growth.BASE | {"threads": threads}
    axes = growth.AXES | {"threads": growth.thread_counts(threads)}
    runs = [
        {
            **point, "read_s": 0.5, "epoch_s": factor * point["images"] / 100, "prediction_s": 2.0, "import_mb": 200,
            "read_mb": 250, "peak_mb": 300 + point["side_px"] ** 2,
        }
        for factor in (1, 2)
        for point in growth.points(base, axes)
    ]  # fmt: skip
    return {
        "command": "python benchmarks/growth.py", "base": base, "axes": axes, "runs": runs, "note": "",
        "machine": {"processor": "a processor", "cores": threads}, "load_before": 0.5,
        "date": "2026-01-02T03:04:05", "commit": "abcdef0123",
    }  # fmt: skip


def test_growth_varies_one_axis_at_a_time():
    base = {"images": 4, "width": 1.0}
    assert growth.points(base, {"images": (2, 4, 8), "width": (1.0, 2.0)}) == [
        base, {"images": 2, "width": 1.0}, {"images": 8, "width": 1.0}, {"images": 4, "width": 2.0},
    ]  # fmt: skip
    assert [growth.thread_counts(cores) for cores in (1, 2, 6)] == [(1,), (1, 2), (1, 2, 4, 6)]


def test_growth_table_has_medians_and_the_last_slope():
    table = "\n".join(tables.growth([grown()]))
    assert "| 1,000,000 | 0.5 | 15,000 |  | 250 | 1,080 |" in table  # predictions use no training images
    assert "| slope at the end | 0.00 | 1.00 |  | 0.00 | 0.00 |" in table
    assert "| 112 | 0.5 | 61.4 | 2 | 250 | 12,800 |" in table
    assert growth_plot.slope([(1, 9), (2, 8), (4, 2)]) == pytest.approx(-2)
    assert growth_plot.signed(-1e-9) == "0.00"
    assert growth_plot.signed(-0.874) == "−0.87"


@pytest.mark.parametrize("threads", [1, 2])
def test_growth_plot_has_every_axis_and_slope(threads):
    words = [element.text for element in ElementTree.fromstring(growth_plot.image(grown(threads))).iter()]
    for name in growth_plot.AXES.values():
        assert words.count(name) == 2  # of time and of memory
    assert "slope 1.00" in words
    assert words.count("slope –") == (3 if threads == 1 else 0)  # one point has no slope
    assert "1 M" in words


def test_ticks_enclose_the_data_and_are_few():
    assert growth_plot.log_ticks([230.0, 730.0]) == [200, 500, 1000]
    assert growth_plot.log_ticks([0.01, 61.0]) == pytest.approx([0.01, 0.1, 1, 10, 100])
    assert growth_plot.log_ticks([2.0, 2.0]) == [2, 5]


def test_a_missing_or_stale_plot_is_noticed(tmp_path, monkeypatch, capsys):
    for name in ("benchmarks/results", "docs/images"):
        (tmp_path / name).mkdir(parents=True)
    page, plot = tmp_path / "docs/speed.md", tmp_path / "docs/images/growth.svg"
    page.write_text("<!-- growth -->\nNone yet.\n\n<!-- /growth -->\n")
    monkeypatch.setattr(tables, "HERE", tmp_path / "benchmarks")
    monkeypatch.setattr(tables, "PAGES", (page,))
    monkeypatch.setattr(tables, "IMAGES", plot.parent)
    assert tables.main(["--check"]) == 0  # nothing was measured
    (tmp_path / "benchmarks/results/growth_20260102T030405Z.json").write_text(json.dumps(grown()))
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert "images/growth.svg" in page.read_text()
    plot.write_text(plot.read_text().replace("slope 1.00", "slope 0.50", 1))
    assert tables.main(["--check"]) == 1
    assert "docs/images/growth.svg: differs from its results." in capsys.readouterr().err
    plot.unlink()
    assert tables.main(["--check"]) == 1
    page.write_text(page.read_text().replace("15,000", "14,000"))
    assert tables.main(["--check"]) == 1
    assert "docs/speed.md: differs" in capsys.readouterr().err


def test_a_growth_point_is_read_trained_and_predicted(tmp_path):
    point = growth.BASE | {"images": 300, "side_px": 20, "width": 0.5, "classes": 100, "threads": 1}
    random = np.random.default_rng(0)
    folder = growth.folder_of(point, tmp_path)
    folder.mkdir()
    write_part(random.integers(0, 256, (300, 20, 20, 1), dtype=np.uint8), np.arange(300) % 10, folder, None)
    measured = growth.measure(point, tmp_path, seconds=0.01)
    assert measured["steps"] >= growth.MIN_STEPS
    assert {name for measures in growth_plot.TOLD.values() for name in measures} <= measured.keys()
    assert 0 < measured["import_mb"] <= measured["read_mb"] <= measured["peak_mb"]
    assert min(measured[name] for name in ("read_s", "epoch_s", "prediction_s")) > 0
