"""A trained network → all that a finished run has: the calibrated bundle, its evaluation, the report."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from muslin.data.copies import leaked_into
from muslin.data.dataset import UNKNOWN, Dataset
from muslin.errors import MuslinError
from muslin.learn import recipes
from muslin.learn.recipes import LinearProbeRecipe
from muslin.messages import Log, Message
from muslin.models.bundle import Bundle, seal
from muslin.models.seen_images import SeenImages
from muslin.storage.outputs import Output
from muslin.workflows.calibrate import CalibrationSet, InferRaw, calibrate, validation_notes, validation_predictions
from muslin.workflows.int8_graph import FloatProbe, int8_variant
from muslin.workflows.network_folds import all_but_test, draw_folds
from muslin.workflows.run_folder import Run
from muslin.workflows.training_data import Callbacks, TrainingData

if TYPE_CHECKING:
    from muslin.learn.modules import Net
    from muslin.models.predictor import Predictor


def cross_fit(
    net: "Net", data: TrainingData, recipe: LinearProbeRecipe, seed: int, callbacks: Callbacks
) -> CalibrationSet:
    """Out-of-fold predictions of all images but the test set, to which the heads of `net` are then fitted."""
    from muslin.learn.cross_val import cross_val_predict, fit_predict_heads
    from muslin.learn.linear_probe import fit_linear_heads

    dataset, features = data.dataset, data.features
    assert features is not None
    folds = draw_folds(data, recipe.folds, seed, callbacks.log)
    everything = all_but_test(data.split)
    arguments, should_stop = (net, features, dict(dataset.labels)), callbacks.should_stop
    predicted = cross_val_predict(folds, fit_predict_heads(*arguments, recipe, should_stop=should_stop))
    fit_linear_heads(*arguments, everything, recipe, should_stop=should_stop)
    images = data.can_calibrate(everything.train)
    return CalibrationSet(images, {name: values[images] for name, values in predicted.items()})


def write_results(
    run: Run, record: dict[str, Any], net: "Net", data: TrainingData, calibration_set: CalibrationSet | None, log: Log
) -> None:
    """Export the network, calibrate it, evaluate it on the test set, and write all that a finished run has.

    Where one of these fails, the model is sealed as far as it came, so that nobody has to train it again.
    """
    from muslin.models.predictor import Predictor
    from muslin.reporting.report.multi_target import write_reports
    from muslin.reporting.report.report import ReportInputs
    from muslin.workflows.evaluate import EvaluationResult, evaluate_output, headline_metric, predict_dataset

    dataset, parts, infer_raw = data.dataset, data.split, _infer_from_features(record, net, data)
    bundle = exported = _export(record, net, data, calibration_set)
    try:
        calibrated_on = calibration_set or validation_predictions(exported, dataset, parts, infer_raw)
        options = {"seed": record["seed"], "infer_raw": infer_raw, "calibration_set": calibrated_on}
        bundle = calibrate(exported, dataset, parts, **options)
        for note in validation_notes(bundle, dataset, parts):
            log(note)
        recipe = recipes.recipe_from_dict(record["recipe"])
        if isinstance(recipe, LinearProbeRecipe) and infer_raw:
            probe = FloatProbe(net, data, recipe, record["seed"], exported, calibration_set, infer_raw)
            if made := int8_variant(probe, log):
                variant, record["int8"] = made
                provenance = {**bundle.provenance, "int8": record["int8"]}
                bundle = replace(bundle, int8=variant, provenance=provenance)
        predictor, test = Predictor(bundle), dataset.take(parts.test)
        if infer_raw:
            output = predictor.to_output(*infer_raw(parts.test))
        else:
            test, output = predict_dataset(predictor, test)
        leaked = leaked_into(dataset, parts.train, parts.test)
        evaluations = evaluate_output(predictor, test, output, leaked=leaked)
        metrics = {name: headline_metric(evaluation) for name, evaluation in evaluations.items()}
        record |= {"status": "finished", "test": metrics}
        if calibrated_on is not None:
            record["validation"] = _validation_metrics(predictor, dataset, calibrated_on, calibration_set is not None)
    except Exception:
        _keep(bundle, run, log)
        raise
    seal(replace(bundle, provenance={**bundle.provenance, "test": metrics}), run.model)
    EvaluationResult("test", evaluations, test, data.seen["test"]).write(
        Output(run.folder / "evaluation.json", overwrite=True)
    )
    network, probabilities = bundle.network, output.probabilities
    inputs = ReportInputs(record, network, run.history, dataset, parts, evaluations, probabilities)
    write_reports(run.folder, inputs)
    run.write_record(record)


def _keep(bundle: Bundle, run: Run, log: Log) -> None:
    """Seal a trained model whose results failed; without a word where that fails too."""
    with suppress(MuslinError):
        seal(bundle, run.model)
        log(Message("run_model_kept", path=str(run.model)))


def _validation_metrics(
    predictor: "Predictor", dataset: Dataset, calibration_set: CalibrationSet, out_of_fold: bool
) -> dict[str, dict[str, Any]]:
    """Per labelled target the main metric of the out-of-fold predictions, or of those for the validation set."""
    from muslin.workflows.evaluate import evaluate_target, headline_metric

    images, output = calibration_set.indices, predictor.to_output(calibration_set.probabilities, None)
    metrics = {}
    for target in predictor.targets:
        labels = dataset.labels[target.name][images]
        if (labels != UNKNOWN).any():
            groups = None if dataset.clusters is None else dataset.clusters[images]
            evaluation = evaluate_target(predictor, target, labels, output, dataset.ids[images], groups)
            metrics[target.name] = headline_metric(evaluation) | ({"out_of_fold": True} if out_of_fold else {})
    return metrics


def _infer_from_features(record: dict[str, Any], net: "Net", data: TrainingData) -> InferRaw | None:
    """Predictions of a linear probe without running its backbone again."""
    from muslin.learn.linear_probe import predict_from_features

    recipe = recipes.recipe_from_dict(record["recipe"])
    if not isinstance(recipe, LinearProbeRecipe) or recipe.tta_flip:  # flipped photos have no features yet
        return None
    assert data.features is not None
    return partial(predict_from_features, net, data.features)


def _export(record: dict[str, Any], net: "Net", data: TrainingData, calibration_set: CalibrationSet | None) -> Bundle:
    """The network as a bundle, which knows the images that it has seen."""
    from muslin.learn.export import export
    from muslin.learn.train import golden_images

    dataset, parts = data.dataset, data.split
    names = ("name", "recipe", "seed", "command", "started", "train_s", "data", "versions", "machine")
    provenance = {name: record[name] for name in (*names, "start_model") if name in record}
    golden = golden_images(dataset, parts)
    bundle = export(net, dataset.targets, transform=dataset.transform, golden=golden, provenance=provenance)
    # after cross-fitting, the last fit is to all of these
    trained_on = parts.train if calibration_set is None else all_but_test(parts).train
    start = data.start.seen_images if data.start else None
    seen_images = SeenImages.of(data.digests[trained_on], data.digests[parts.validation], bundle.weights, start)
    return replace(bundle, seen_images=seen_images)
