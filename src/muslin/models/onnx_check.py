"""Check an ONNX file before ONNX Runtime sees it: the graph may only compute, and only from the file itself.

A runtime opens the external files that a graph names first and complains afterwards.
"""

from collections.abc import Iterable
from typing import Any

from muslin.errors import BundleError
from muslin.text import MAX_NAME_CHARACTERS, is_safe_name

# Every field that a message may set: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (IR version 14).
# Fields that are not listed are refused, so that a later runtime cannot read a meaning into something passed over here.
_ALLOWED = {
    "ModelProto": "ir_version producer_name producer_version domain model_version doc_string metadata_props "
    "graph opset_import",
    "GraphProto": "name doc_string metadata_props node initializer input output value_info quantization_annotation",
    "NodeProto": "name doc_string metadata_props domain op_type input output attribute",
    "AttributeProto": "name doc_string type f i s t floats ints strings tensors tp type_protos",
    # data_location alone has no effect: it says where external_data is
    "TensorProto": "name doc_string metadata_props dims data_type data_location raw_data float_data double_data "
    "int32_data int64_data uint64_data string_data",
    "OperatorSetIdProto": "domain version",
    "ValueInfoProto": "name doc_string metadata_props type",
    "TypeProto": "denotation tensor_type",
    "Tensor": "elem_type shape",  # TypeProto.Tensor
    "TensorShapeProto": "dim",
    "Dimension": "denotation dim_value dim_param",  # TensorShapeProto.Dimension
    "StringStringEntryProto": "key value",
    "TensorAnnotation": "tensor_name quant_parameter_tensor_names",
}
_FIELDS = {message: frozenset(fields.split()) for message, fields in _ALLOWED.items()}
_DOMAIN_FIELDS = ("NodeProto", "OperatorSetIdProto")

_FREE_TEXTS = ("doc_string", "key", "value")  # the others are names, which messages and the studio show

_MAX_MESSAGES = 100_000  # muslin's largest network has some 3,000; each takes microseconds to check

_DOMAINS = ("", "ai.onnx")  # the operator sets that a model may use: ONNX's own, under its two names


def check_graph(model: bytes) -> Any:
    """The parsed ONNX file, an `onnx.ModelProto`, which reaches nothing outside itself and only computes.

    Raises:
        BundleError: tensors kept in other files, operators outside ONNX's own domain, graphs in attributes, functions,
            training steps, sparse tensors, more than 100,000 messages, any field that is not in the table above, or
            no ONNX file at all; a name with control characters.
    """
    if not model:
        raise BundleError("part_empty")
    if model[4:8] == b"ORTM":  # by this mark ONNX Runtime detects its own format, which is not checked here
        raise BundleError("graph_format")
    import onnx  # 60 ms, so only where a model is opened
    from google.protobuf.message import DecodeError

    try:
        parsed = onnx.ModelProto.FromString(model)
    except (DecodeError, RecursionError) as error:
        raise BundleError("graph_not_onnx") from error
    _check_messages(parsed)
    return parsed


def _check_names(names: Iterable[str | bytes], where: str) -> None:
    for name in names:
        if isinstance(name, bytes) or not is_safe_name(name):  # protobuf gives bytes where it is not UTF-8
            raise BundleError("graph_name_unsafe", where=where, name=ascii(name)[:60], maximum=MAX_NAME_CHARACTERS)


def _check_messages(model: Any) -> None:
    from google.protobuf.unknown_fields import UnknownFieldSet

    pending, count = [(model, "model")], 0
    while pending:
        message, where = pending.pop()
        kind = message.DESCRIPTOR.name
        for unknown_field in UnknownFieldSet(message):
            raise BundleError("graph_field", where=where, field=str(unknown_field.field_number))
        for field, value in message.ListFields():
            if field.name not in _FIELDS.get(kind, ()):
                raise BundleError("graph_field", where=where, field=field.name)
            if field.name == "domain" and kind in _DOMAIN_FIELDS and value not in _DOMAINS:
                raise BundleError("graph_domain", where=where, domain=value[:60])
            if field.type == field.TYPE_STRING and field.name not in _FREE_TEXTS:
                _check_names([value] if isinstance(value, str | bytes) else value, where)
            if field.message_type is not None:
                inside = [value] if hasattr(value, "DESCRIPTOR") else value
                if (count := count + len(inside)) > _MAX_MESSAGES:
                    raise BundleError("graph_too_large", maximum=_MAX_MESSAGES)
                pending += [(item, f"{where}.{field.name}") for item in inside]
