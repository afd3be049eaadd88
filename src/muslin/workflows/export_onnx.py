"""A model as a plain ONNX file and a list of its classes, for programs without muslin."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muslin.errors import StorageError
from muslin.models.plain_onnx import INPUT, labels_text, plain_onnx
from muslin.models.predictor import Predictor
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        onnx: the ONNX file.
        labels: the text file with the classes, if any.
        input: name, type and shape of the input.
        outputs: the same of each output; `count` is the number of images.
    """

    onnx: Path
    labels: Path | None
    input: str
    outputs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        labels = None if self.labels is None else str(self.labels)
        return {"onnx": str(self.onnx), "labels": labels, "input": self.input, "outputs": list(self.outputs)}


def export_onnx(
    model: str | Path | Predictor, onnx: str | Path | Output, labels: str | Path | Output | None = None
) -> OnnxExport:
    """Write `model` as a plain ONNX file, see `muslin.models.plain_onnx`, and its classes as a text file.

    Raises:
        BundleError: the model cannot be opened.
        StorageError: an output exists or is the model, both are the same file, or the place cannot be written.
    """
    files = [Output.of(onnx), *([] if labels is None else [Output.of(labels)])]
    for output in files:
        check_output(output, (model,))
    if len({file.path.resolve() for file in files}) < len(files):
        raise StorageError("outputs_equal", path=str(files[0].path), options=["--onnx", "--labels"])
    bundle = (model if isinstance(model, Predictor) else Predictor.open(model, graph="float32")).bundle
    exported = plain_onnx(bundle)
    contents = exported.SerializeToString(deterministic=True), labels_text(bundle.targets)
    for output, content in zip(files, contents, strict=False):
        output.write(content)
    [pixels] = [entry for entry in exported.graph.input if entry.name == INPUT]
    outputs = tuple(_value_text(entry) for entry in exported.graph.output)
    return OnnxExport(files[0].path, files[1].path if files[1:] else None, _value_text(pixels), outputs)


def _value_text(entry: Any) -> str:
    """Such as `label: float32 (count, 10)`."""
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = entry.type.tensor_type
    sizes = [str(dim.dim_value) if dim.dim_value else "count" for dim in kind.shape.dim]
    return f"{entry.name}: {tensor_dtype_to_np_dtype(kind.elem_type)} ({', '.join(sizes)})"
