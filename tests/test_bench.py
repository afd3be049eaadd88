"""`scripts/bench` answers what it can, and the documentation's tables are what the results say."""

import json
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package

import everything  # noqa: E402
import tables  # noqa: E402


def result(folder, name, median, note=""):
    seed = {"train_s": median, "whole_s": 2 * median, "cpu_s": 30, "test_accuracy": 0.9}
    content = {
        "command": "python benchmarks/recipes.py", "recipe": name.split("_")[1], "median": seed, "least": seed,
        "most": seed, "runs": [seed], "machine": {"processor": "a processor", "cores": 2}, "load_before": 0.5,
        "date": "2026-01-02T03:04:05", "commit": "abcdef0123", "note": note,
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(content))


PAGE = "before\n<!-- recipes -->\n<!-- /recipes -->\nafter\n"


def test_the_documented_figures_are_those_of_the_results_they_link():
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.filled(page, BENCHMARKS / "results", newest=False) == page
    for name in tables.TABLES:
        assert f"<!-- {name} -->" in page
        assert f"<!-- /{name} -->" in page


def test_a_table_has_the_newest_result_of_each_recipe_and_says_where_it_comes_from(tmp_path):
    result(tmp_path, "recipes_quick_20260101T000000Z", 20.0)
    result(tmp_path, "recipes_quick_20260102T000000Z", 10.0, note="others used the machine.")
    result(tmp_path, "recipes_slow_20250102T000000Z", 99.0)
    page = tables.filled(PAGE, tmp_path, newest=True)
    assert "| `quick` | 10.0 (10.0–10.0) | 20.0" in page
    assert "| `slow` | 99.0" in page
    assert "2026-01-02 at abcdef0; a processor, 2 cores, load 0.5 before it began. Others used the" in page
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_a_figure_changed_by_hand_is_noticed_and_a_newer_result_alone_is_no_fault(tmp_path):
    result(tmp_path, "recipes_quick_20260101T000000Z", 20.0)
    page = tables.filled(PAGE, tmp_path, newest=True)
    result(tmp_path, "recipes_quick_20260102T000000Z", 10.0)
    assert tables.filled(page, tmp_path, newest=False) == page
    assert tables.filled(page.replace("20.0 (20.0", "19.0 (19.0"), tmp_path, newest=False) == page


def test_a_benchmark_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch, capfd):
    (tmp_path / "broken.py").write_text('"""Does it break?"""\nraise SystemExit("it broke")\n')
    (tmp_path / "sound.py").write_text('"""Does it go on?"""\nimport sys\nprint("went on", sys.argv[1:])\n')
    (tmp_path / "tables.py").write_text("print('tables made')\n")
    rows = (
        everything.Benchmark("broken", "", "--few 1"),
        everything.Benchmark("sound", "--many 9", "--few 1"),
        everything.Benchmark("sound", "--long", None),
    )
    monkeypatch.setattr(everything, "HERE", tmp_path)
    monkeypatch.setattr(everything, "BENCHMARKS", rows)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--note", "alone"])
    monkeypatch.setenv("MUSLIN_DATA", os.environ.get("MUSLIN_DATA", ""))  # put back what is set
    assert everything.main() == 1
    said = capfd.readouterr()
    assert "Does it break?" in said.out
    assert "went on ['--few', '1', '--note', 'alone']" in said.out
    assert "--long" not in said.out
    assert "tables made" in said.out
    assert "no answer from: broken" in said.err


def test_an_unknown_benchmark_is_refused_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "nonsense"])
    with pytest.raises(SystemExit):
        everything.main()
    assert "no benchmark nonsense. There are: engine_keras, engine" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", everything.BENCHMARKS, ids=lambda row: row.script)
def test_every_benchmark_is_there_and_says_what_it_asks(benchmark):
    assert len(benchmark.question) > 20
    assert benchmark.peer is None or benchmark.peer in everything.PEERS
