"""Commands on models: evaluate, predict, tag, compare, inspect, export, explain, studio."""

import sys
from pathlib import Path
from typing import Any

import click

from muslin.cli import options as shared
from muslin.cli.options import Group, command, option
from muslin.cli.output import print_error, print_json, stop_on_signals
from muslin.errors import DataError
from muslin.printing import echo, log


@command(
    "evaluate model data",
    shared.output_options("Also write the metrics to this new JSON file."),
    Group(
        "options",
        shared.split_option,
        option("--slice-by COLUMN", "Also evaluate each value of this column, such as season."),
        shared.threshold_option,
        shared.graph_option,
    ),
    shared.guarantee_options,
    shared.read_options,
    shared.json_option,
)
def evaluate_command(
    model: str, data: str, output: Any, options: dict[str, Any], guarantee: dict[str, Any],
    read_options: dict[str, Any], as_json: bool,
) -> None:  # fmt: skip
    """Evaluate a model on DATA.

    Metrics come with 95 % confidence intervals. Says which predictions can be accepted without review.
    """
    from muslin.models.predictor import Predictor
    from muslin.reporting.terminal.evaluation import print_evaluation
    from muslin.reporting.terminal.reliability import print_reliability
    from muslin.workflows.evaluate import EvaluateOptions, evaluate

    thresholds = options.pop("thresholds")
    predictor = Predictor.open(model, graph=options.pop("graph", None)).with_thresholds(thresholds)
    evaluate_options = EvaluateOptions(**options, **guarantee, read_options=read_options)
    result = evaluate(predictor, data, evaluate_options, out=output, log=log)
    if as_json:
        print_json(result.to_dict())
        return
    log(f"evaluated on {'all the data' if result.part == 'all' else f'the {result.part} set'}")
    for name, evaluation in result.evaluations.items():
        print_evaluation(evaluation, name if len(result.evaluations) > 1 else "")
        if evaluation.reliability:
            print_reliability(evaluation.reliability, slice_by=options.get("slice_by"))


@command(
    "predict model image...",
    Group("options", shared.threshold_option, shared.graph_option),
    option(
        "--product",
        "Predict products from all their photos: `folder` takes each folder as one. Default: `none`, each image alone.",
        type=click.Choice(["folder", "none"]),
    ),
    shared.guarantee_options,
    option("--allow-outside", "Also open images outside a folder that links in it lead to."),
    shared.json_option,
)
def predict_command(
    model: str, image: tuple[str, ...], options: dict[str, Any], product: str | None,
    guarantee: dict[str, Any], allow_outside: bool, as_json: bool,
) -> None:  # fmt: skip
    """Predict the labels of images.

    An IMAGE is a file or a folder of images. With --json, prints one line per image, or per product.
    """
    from muslin.models.image_inputs import images_by_folder, named_images
    from muslin.models.predictor import Predictor
    from muslin.reporting.terminal.predictions import print_predictions

    predictor = Predictor.open(model, graph=options.get("graph"))
    if predictor.graph_note:
        log(predictor.graph_note)
    predictor = predictor.with_thresholds(options["thresholds"]).with_cache()
    is_folder = product == "folder"
    precision, scope = guarantee.get("precision"), guarantee.get("guarantee", "overall")
    chosen = predictor.rules.choose(precision, scope, per_product=is_folder)
    if predictor.bundle.calibration_data or guarantee:  # else nobody expects a guarantee
        for sentence in chosen.notes:
            log(sentence)
    guarantee = {"precision": chosen.precision, "guarantee": scope}
    images = named_images(list(image), allow_outside)
    found = (
        predictor.predict_named_products(images_by_folder(images), **guarantee)
        if is_folder
        else predictor.predict_named(images, **guarantee)
    )
    predictions, count, readable = [], 0, 0
    for prediction in found:
        count, readable = count + 1, readable + (prediction.error is None)
        if as_json:
            print_json(prediction.to_dict())
        else:
            predictions.append(prediction)
    if not as_json:
        print_predictions(predictions)
    if not readable:
        raise DataError("all_images_unreadable", "printed", count=count)


@command(
    "tag model data",
    shared.table_output_options(),
    Group(
        "options",
        option(
            "--taxonomy FILE",
            "Table of the shop's names of the tags, with the columns tag, parent, name, language, id; or `shopify` or "
            "`google` for their categories.",
        ),
        option("--language NAME", "Language of the taxonomy's names."),
        option(
            "--own-column [TARGET=]COLUMN...",
            "Column with the shop's own values. Adds a column that says where the prediction contradicts them.",
            dest="own_columns",
        ),
        option(
            "--only-empty",
            "Tag only products without a value in the shop's own column: that of --own-column, or the one with the "
            "target's name.",
        ),
        option(
            "--update", "Replace the previous output: tag only new and changed products, and copy the others from it."
        ),
        option("--resume", "Continue an interrupted job."),
        shared.graph_option,
        shared.on_option(),
    ),
    shared.guarantee_options,
    shared.read_options,
    shared.json_option,
)
def tag_command(
    model: str, data: str, output: Any, options: dict[str, Any], guarantee: dict[str, Any],
    read_options: dict[str, Any], as_json: bool,
) -> None:  # fmt: skip
    """Tag the photos of DATA, such as a catalogue of products.

    Writes the same table with columns added for the labels of each product; for other data, such as folders, a new
    table. A product gets one tag from all its photos.
    """
    from muslin.reporting.terminal.acceptance import print_acceptance
    from muslin.reporting.terminal.progress import tagging_progress
    from muslin.reporting.terminal.tagging import tagging_summary
    from muslin.workflows import tag as tag_workflow

    shared.refuse_together(update=options["update"], overwrite=output.overwrite)
    with stop_on_signals() as should_stop, shared.executor_of(options) as executor, tagging_progress() as on_progress:
        tag_options = tag_workflow.TagOptions(**options, **guarantee, read_options=read_options, executor=executor)
        tagged = tag_workflow.tag(
            model, data, output, tag_options, log=log, on_progress=on_progress, should_stop=should_stop
        )
    if not as_json:
        echo(tagging_summary(tagged))
        if "precision" not in guarantee or not all("accept" in counts for counts in tagged.decisions.values()):
            print_acceptance(tagged.acceptance, of="product" if tagged.is_per_product else "image")
    if tagged.unreadable == tagged.products:
        error = DataError("all_images_unreadable", "written", count=tagged.products, path=str(output.path))
        sys.exit(print_error(error, as_json=as_json, result=tagged.to_dict()))
    if as_json:
        print_json(tagged.to_dict())


@command(
    "compare a b data",
    shared.split_option,
    shared.graph_option,
    option(
        "--fail-if-worse-than SHARE",
        "Exit 1 if the accuracy of B is lower than that of A by more than this, such as 0.01.",
        dest="max_loss",
        type=click.FloatRange(0, 1),
    ),
    shared.output_options("Also write the images on which they disagree to this new PNG file.", suffix=".png"),
    shared.read_options,
    shared.json_option,
)
def compare_command(
    a: str, b: str, data: str, split: str, graph: str | None, max_loss: float | None, output: Any,
    read_options: dict[str, Any], as_json: bool,
) -> None:  # fmt: skip
    """Compare two models on DATA.

    Says which is better, A or B, and whether the difference is significant.
    """
    from muslin.reporting.terminal.comparison import print_comparison
    from muslin.workflows import compare as compare_workflow

    options = compare_workflow.CompareOptions(split, max_loss is not None, read_options, graph)
    compared = compare_workflow.compare(a, b, data, options, out=output, log=log)
    if not as_json:
        print_comparison(compared.comparisons, products=compared.products)
    for name, comparison in compared.comparisons.items():
        loss = -comparison.overall.difference
        if max_loss is not None and loss > max_loss:
            points = {"loss_points": 100 * loss, "allowed_points": 100 * max_loss}
            error = DataError("worse_than_allowed", target=name, first=a, second=b, **points)
            sys.exit(print_error(error, as_json=as_json, result=compared.to_dict()))
    if as_json:
        print_json(compared.to_dict())


@command("inspect model", shared.json_option)
def inspect_command(model: str, as_json: bool) -> None:
    """Describe a model.

    Shows its classes, its layers, and how it was trained.
    """
    from muslin.models.predictor import Predictor
    from muslin.reporting.terminal.model import model_summary, print_model

    bundle = Predictor.open(model, graph="float32").bundle
    if as_json:
        print_json(model_summary(bundle))
    else:
        print_model(bundle)


@command(
    "export model",
    shared.file_option("--onnx FILE", "A new .onnx file for the model.", suffix=".onnx", required=True),
    shared.file_option("--labels FILE", "Also write the classes to this new text file, one a line."),
    shared.overwrite_option("Replace the files if they exist."),
    shared.json_option,
)
def export_command(model: str, onnx: Path, labels: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write a model as a plain ONNX file, for programs without muslin.

    Its outputs are calibrated probabilities. Its metadata has the classes and the preprocessing.
    """
    from muslin.storage.outputs import Output
    from muslin.workflows.export_onnx import export_onnx

    exported = export_onnx(model, Output(onnx, overwrite), labels and Output(labels, overwrite))
    if as_json:
        print_json(exported.to_dict())
        return
    for path in filter(None, (exported.onnx, exported.labels)):
        echo(f"wrote {path}")
    echo(f"input   {exported.input}, pixels 0 to 255")
    for name in exported.outputs:
        echo(f"output  {name}")


@command(
    "explain model image",
    shared.output_options("Also write the whole explanation to this new HTML file.", suffix=".html"),
    Group(
        "options",
        option("--target NAME", "Explain only this target."),
        option("--class NAME", "Class to explain. Default: the predicted class.", dest="label"),
        option("--versus NAME", "Class to compare it with. Default: the runner-up."),
        option("--layer NAME", "Layer whose activations are attributed."),
        shared.seed_option("Seed of the sanity checks. Default: 0.", None),
    ),
    shared.json_option,
)
def explain_command(model: str, image: str, output: Any, options: dict[str, Any], as_json: bool) -> None:
    """Explain a prediction for IMAGE.

    Also checks whether the explanation can be trusted.
    """
    from muslin.reporting.report.explanation_page import page
    from muslin.reporting.terminal.explanation import print_explanation
    from muslin.workflows import explain as explain_workflow
    from muslin.workflows.inputs import check_output

    check_output(output, (model,), (image,))
    explanation = explain_workflow.explain(model, Path(image), explain_workflow.ExplainOptions(**options), log=log)
    if output:
        output.write(page(explanation))
    if as_json:
        print_json(explanation.to_dict())
        return
    print_explanation(explanation.to_dict())
    if output:
        echo(f"\nwrote {output.path}; it opens in any browser, also offline")


@command("studio [folder]", *shared.serving_options)
def studio_command(folder: str | None, port: int, open_browser: bool) -> None:
    """Label, train, see mistakes, tag and review in the browser.

    Serves the data, runs and models of FOLDER to this machine only.
    """
    from muslin.studio.server import run_studio

    run_studio(Path(folder or "."), port, open_browser, log=log)
