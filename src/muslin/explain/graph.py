"""An ONNX graph as values: nodes, the numbers they use, and changes of both, each a new graph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from muslin.errors import BundleError
from muslin.explain.lazy_property import lazy_property
from muslin.learn.onnx_operators import Array


@dataclass(frozen=True, eq=False)
class Node:
    """One operator: its inputs and outputs by name, and its attributes as Python values."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in the order they run, and the numbers they use.

    Attributes:
        nodes: the operators.
        constants: the trained and fixed numbers, by name.
        inputs, outputs: the names of the graph's inputs and outputs.
        model: the `onnx.ModelProto` that it was read from, without nodes and numbers.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    model: Any

    @lazy_property
    def producers(self) -> dict[str, Node]:
        """Which node makes a named result."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def path(self, result: str) -> Iterator[str]:
        """`result`, what its node was made of, and so on; of several inputs the first that a node makes."""
        while result in self.producers:
            yield result
            result = next((name for name in self.producers[result].inputs if name in self.producers), "")

    def with_constants(self, changed: Mapping[str, Array]) -> "Graph":
        """The same graph with other numbers under these names, or with further ones."""
        return replace(self, constants={**self.constants, **changed})

    def with_node(self, result: str, node: Node) -> "Graph":
        """The same graph with `node` in the place of the one that makes `result`."""
        return replace(self, nodes=tuple(node if result in n.outputs else n for n in self.nodes))

    def multiplied(self, result: str, factors: Array) -> "Graph":
        """The same graph with `result` multiplied by `factors`; what used it uses the product, under its name."""
        before = f"{result}/before"
        while before in self.producers:
            before += "/before"
        nodes: list[Node] = []
        for node in self.nodes:
            outputs = tuple(before if output == result else output for output in node.outputs)
            nodes.append(replace(node, outputs=outputs))
            if before in outputs:
                nodes.append(Node("Mul", (before, f"{before}/factors"), (result,), {}))
        return replace(self, nodes=tuple(nodes)).with_constants({f"{before}/factors": factors})

    def producer_before_edits(self, name: str) -> Node:
        """The node that made `name` before `multiplied` put others after it."""
        node = self.producers[name]
        while node.inputs and node.inputs[0].startswith(f"{name}/before"):
            node = self.producers[node.inputs[0]]
        return node

    def to_bytes(self, also: Sequence[str] = ()) -> bytes:
        """The ONNX file; `also` are results that it gives besides its outputs."""
        import onnx
        from onnx import helper, numpy_helper

        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        graph = model.graph
        graph.node.extend(
            helper.make_node(node.op, node.inputs, node.outputs, name=node.outputs[0], **node.attributes)
            for node in self.nodes
        )
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self.constants.items())
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in also if name not in self.outputs)
        content: bytes = model.SerializeToString()
        return content


def read_graph(content: bytes) -> Graph:
    """The graph in an ONNX file that `muslin.models.onnx_check` has looked through.

    Raises:
        BundleError: it cannot be read.
    """
    import onnx
    from onnx import helper, numpy_helper

    try:
        model = onnx.load_from_string(content)
        graph = model.graph
        nodes = tuple(
            Node(
                node.op_type,
                tuple(node.input),
                tuple(node.output),
                {a.name: helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in graph.node
        )
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    except Exception as error:  # protobuf's and onnx's exceptions have no other common base
        raise BundleError("graph_not_onnx", part="model.onnx") from error
    del graph.node[:], graph.initializer[:]
    return Graph(
        nodes=nodes,
        constants=constants,
        inputs=tuple(one.name for one in graph.input if one.name not in constants),
        outputs=tuple(one.name for one in graph.output),
        model=model,
    )
