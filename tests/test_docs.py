"""The documentation is true: commands exist, links work, code compiles, examples run."""

import ast
import itertools
import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import invoke
from muslin.cli import cli
from muslin.cli.options import ChoiceOption
from muslin.data.dataset import Dataset, PixelImages
from muslin.data.formats import FORMATS
from muslin.evaluation import evaluate_multiclass
from muslin.learn.recipes import RECIPES
from muslin.models.bundle import seal
from muslin.workflows.evaluate import EvaluationResult
from small_models import LABEL, small_bundle

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
MAKE = ROOT / "docs/reference/make.py"
DEPENDENCIES = ROOT / "docs/explanation/dependencies.py"
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def make_reference():
    """What the program that makes the reference defines."""
    return runpy.run_path(str(MAKE))


@pytest.fixture(scope="module")
def reference(make_reference):
    """The pages of the reference, made of the code."""
    return make_reference["pages"]()


def test_the_reference_is_up_to_date(make_reference, reference):
    assert make_reference["stale"](MAKE.parent, reference) == []


def test_a_stale_or_missing_reference_page_is_named(make_reference, reference, tmp_path):
    for name, text in reference.items():
        (tmp_path / name).write_text(text)
    assert make_reference["stale"](tmp_path, reference) == []
    (tmp_path / "cli.md").write_text((tmp_path / "cli.md").read_text().replace("--json", "--yaml", 1))
    (tmp_path / "errors.md").unlink()
    assert make_reference["stale"](tmp_path, reference) == ["cli.md", "errors.md"]


def test_the_reference_is_the_same_on_a_narrow_terminal(make_reference, reference, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert make_reference["pages"]() == reference


def test_the_reference_has_every_command_recipe_error_and_name(reference):
    for name, command in cli.commands.items():
        assert f"## `muslin {name}`" in reference["cli.md"]
        for option in (p for p in command.params if isinstance(p, click.Option)):
            assert f"`{option.opts[-1]}" in reference["cli.md"]
    for name in RECIPES:
        assert f"### {name}" in reference["recipes.md"]
    for name in muslin.__all__:
        assert f"## `muslin.{name}`" in reference["python.md"]
    for code in ("usage", "pixel_count", "finding_kind_unknown"):
        assert f"| `{code}` |" in reference["errors.md"]


def test_help_names_every_recipe_and_format():
    helps = {p.name: p.full_help for p in cli.commands["train"].params if isinstance(p, ChoiceOption)}
    assert [name for name in RECIPES if f" {name}" not in helps["recipe"]] == []
    assert [row.name for row in FORMATS if f" {row.name}" not in helps["format"]] == []


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command line of muslin in a block of code, without the program's name."""
    for _, language, block in FENCE.findall(page.read_text()):
        if language in ("", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.strip().removeprefix("$ ")
                if line.startswith("muslin "):
                    words = shlex.split(line, comments=True)
                    end = next((i for i, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
                    yield words[1:end]


def mentions(page: Path) -> Iterator[list[str]]:
    """The same for commands in a sentence."""
    text = FENCE.sub("", page.read_text())
    for mention in re.findall(r"`muslin ([^`]+)`", text):
        yield shlex.split(mention)


def parent_context() -> click.Context:
    """The context of a command; click passes on what a command inherits from it, such as `-h`."""
    return click.Context(cli, **cli.context_settings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_in_the_documentation_parses(page):
    for words in commands(page):
        if words[0].startswith("-"):
            continue
        command, rest = named_command(words)
        with command.make_context(words[0], rest, parent=parent_context()):  # raises for a missing or an unknown word
            pass
    for words in mentions(page):
        if words[0].startswith("-"):
            continue
        command, rest = named_command(words)
        command.make_parser(click.Context(command, parent=parent_context())).parse_args(rest)


def named_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, in a group or not, and its own words."""
    command = cli.commands[words[0]]
    if isinstance(command, click.Group) and words[1:]:
        return command.commands[words[1]], words[2:]
    return command, words[1:]


def test_a_command_line_that_does_not_parse_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```\n$ muslin train data.csv --epoch-count 3  # no such option\n```\nor `muslin tarin`\n")
    (words,) = commands(page)
    with pytest.raises(click.NoSuchOption):
        cli.commands[words[0]].make_context(words[0], words[1:], parent=parent_context())
    assert list(mentions(page)) == [["tarin"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_in_the_documentation_works(page):
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page in links."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_the_documentation_uses_names_that_exist(page):
    if page.name == "python.md":
        return  # signatures, not programs
    for _, language, block in FENCE.findall(page.read_text()):
        if language != "python":
            continue
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "muslin":
                assert node.attr in (*muslin.__all__, "data"), f"{page.name}: muslin.{node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_the_marks_of_a_merge(page):
    assert not re.search(r"^(<<<<<<<|=======|>>>>>>>)( |$)", page.read_text(), re.MULTILINE)


def test_the_design_names_every_workflow():
    page = (ROOT / "docs/explanation/design.md").read_text(encoding="utf-8")
    names = {path.stem for path in (ROOT / "src/muslin/workflows").glob("*.py")} - {"__init__"}
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", page)) == []


def test_every_page_can_be_reached_from_the_readme():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            targets = re.findall(r"\]\(([^)\s#]+\.md)", FENCE.sub("", page.read_text()))
            left += [(page.parent / t).resolve() for t in targets if not t.startswith("http")]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_the_page_of_dependencies_is_up_to_date():
    done = subprocess.run([sys.executable, DEPENDENCIES, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_megabytes_of_packages_do_not_depend_on_their_order():
    megabytes = runpy.run_path(str(DEPENDENCIES))["megabytes"]
    known = {name: {"size_mb": size} for name, size in zip("abcd", (0.8, 2.9, 2.4, 1.4), strict=True)}
    assert {megabytes(order, known) for order in itertools.permutations(known)} == {"8 MB"}


def test_each_fault_of_the_page_of_dependencies_is_named(tmp_path):
    made = runpy.run_path(str(DEPENDENCIES))
    project = tmp_path / "pyproject.toml"
    (tmp_path / "dependencies.toml").write_text('[gone]\nwhy = "once"\n\n[old]\nwhy = "used"\n')
    record = {"version": "1.0", "licence": "MIT", "size_mb": 2.0, "needs": ["brought"]}
    (tmp_path / "dependencies.json").write_text(json.dumps({"old": record, "left": record | {"needs": []}}))
    project.write_text(
        '[project]\ndependencies = ["old>=2", "new>=1"]\n[project.optional-dependencies]\nmore = ["muslin[x]"]\n'
    )
    record = "Run: python docs/explanation/dependencies.py --record"
    assert made["problems"](tmp_path, project) == [
        "dependencies.toml has no reason for new",
        "dependencies.toml has gone, which is no dependency",
        f"dependencies.json lacks brought. {record}",
        f"dependencies.json lacks new. {record}",
        "dependencies.json has left, which nothing needs",
        "old 1.0 is recorded, required is old>=2",
    ]


def test_a_package_that_is_not_installed_keeps_its_record():
    made = runpy.run_path(str(DEPENDENCIES))
    known = {"not-installed": {"version": "1.0", "licence": "MIT", "size_mb": 2.0, "needs": ["click"]}}
    wanted = {"base": [made["Requirement"]("not-installed>=1")]}
    recorded = made["record"](wanted, known)
    assert recorded["not-installed"] == known["not-installed"]
    assert recorded["click"]["version"] == version("click")


def test_limits_are_those_of_the_code():
    page = (ROOT / "docs/explanation/limits.md").read_text()
    rows = re.findall(r"^\| ([\d,]+) \|.*\| `([\w.]+)` \|$", page, re.MULTILINE)
    assert len(rows) > 30
    for value, name in rows:
        module, _, constant = name.rpartition(".")
        assert f"{getattr(import_module(f'muslin.{module}'), constant):,}" == value, name


def test_recipes_are_as_the_tutorial_describes_them():
    article, quick = RECIPES["tutorial"], RECIPES["quick"]
    assert (article.epochs, article.batch_size, article.learning_rate, article.dropout) == (50, 512, 1e-3, 0.25)
    assert (article.validation_fraction, article.split_seed, article.stratified) == (0.2, 12345, False)
    assert (article.optimizer, article.activation, article.widths) == ("adam", "sigmoid", (64, 32, 32))
    assert quick.network.startswith("whitened")
    assert (quick.optimizer, quick.schedule, quick.activation) == ("muon", "linear", "softmax")
    assert quick.flip
    assert quick.tta_flip
    assert quick.label_smoothing > 0
    assert quick.epochs < 10


@pytest.mark.slow
@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.name)
def test_each_example_runs(example, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", example], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == []  # it leaves no files


@pytest.mark.slow
def test_the_program_in_the_scikit_learn_how_to_runs():
    page = (ROOT / "docs/how-to/use-in-scikit-learn.md").read_text()
    (program,) = (block for _, language, block in FENCE.findall(page) if language == "python")
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "imageclassifier__epochs" in done.stdout


@pytest.fixture
def working_folder(tmp_path, monkeypatch):
    """A folder with the files of the how-tos: a model, two runs of it with evaluations, and two photos."""
    labels = np.array([0, 1, 2, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    for path in ("model.muslin", "runs/first/model.muslin", "runs/again/model.muslin"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        seal(small_bundle(side=28), tmp_path / path)
    evaluations = {"label": evaluate_multiclass(labels, probabilities, LABEL.classes)}
    pixels, ids = PixelImages(np.zeros((4, 28, 28, 1), np.uint8)), np.array(["a", "b", "c", "d"], dtype=object)
    dataset = Dataset("shop", "folders", pixels, (LABEL,), {"label": labels}, ids)
    EvaluationResult("test", evaluations, dataset).write(tmp_path / "runs/first/evaluation.json")
    for name in ("shirt.png", "boots.jpg"):
        Image.new("RGB", (400, 300), "white").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("page", "prints"),
    [
        ("predict-from-python.md", "boots.jpg Bag"),
        ("read-an-evaluation.md", "Shirt predicted as Trouser 1"),
        ("repeat-a-run.md", "runs/again"),
    ],
)
def test_the_programs_in_the_how_tos_run(page, prints, working_folder, capsys):
    blocks = FENCE.findall((ROOT / "docs/how-to" / page).read_text())
    exec("\n".join(block for _, language, block in blocks if language == "python"), {})
    assert prints in capsys.readouterr().out


def test_the_programs_on_plain_onnx_predict_as_muslin(working_folder, capfd):
    rng = np.random.default_rng(0)
    for name, size in (("shirt.png", (400, 300)), ("boots.jpg", (90, 260))):
        light = np.linspace(40, 250, size[0] * size[1]).reshape(size[1], size[0], 1)
        pixels = np.clip(light + rng.normal(0, 9, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(working_folder / name)
    page = ROOT / "docs/how-to/export-onnx.md"
    (words,) = commands(page)
    assert invoke(capfd, *words).code == 0
    blocks = [block for _, language, block in FENCE.findall(page.read_text()) if language == "python"]
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)
    assert capfd.readouterr().out.splitlines()[-1].startswith("boots.jpg ")
    predictor = muslin.open("model.muslin")
    pixels = rng.integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    np.testing.assert_allclose(names["predict"](pixels)["label"], predictor.predict_pixels(pixels)["label"], atol=1e-6)
    for name in ("shirt.png", "boots.jpg"):
        predicted = predictor.predict(name)[0].predictions["label"]
        (probabilities,) = names["predict"](names["to_pixels"](name))["label"]
        np.testing.assert_allclose(probabilities, list(predicted.probabilities.values()), atol=1e-5)
        assert names["labels_of"](names["targets"][0], probabilities) == [predicted.label]


def test_the_readme_shows_the_output_of_the_demo():
    make = runpy.run_path(str(ROOT / "docs/images/make.py"))
    table = "\n".join(f"class {i}   " for i in range(12))
    printed = (
        "making the virtual environment\n\n$ muslin get fashion-mnist\nfiles in /home/me/clone/data\n"
        f"\n$ muslin look fashion-mnist\n{table}\n\nDone. Open this page:\n  /home/me/clone/runs/a/report.html\n"
    )
    shown = [f"class {i}" for i in range(8)]
    assert make["shortened"](printed, Path("/home/me/clone")).splitlines() == [
        *("$ muslin get fashion-mnist", "files in …/data", ""),
        *("$ muslin look fashion-mnist", *shown, "… 4 more lines", ""),
        *("Done. Open this page:", "  …/runs/a/report.html"),
    ]
