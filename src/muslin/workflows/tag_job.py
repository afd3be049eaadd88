"""The plan of a tagging: everything that is checked before the first photo is decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muslin.catalogue.shop_categories import SHOP_TAXONOMIES, shop_taxonomy
from muslin.catalogue.taxonomy import Taxonomy, read_taxonomy
from muslin.data.dataset import Target
from muslin.data.tables import AddedColumn, TableFile
from muslin.data.tables.new_columns import check_encodable, free_names
from muslin.data.tables.workbook import Workbook
from muslin.errors import DataError, unknown
from muslin.evaluation.precision_choice import Acceptance
from muslin.evaluation.selective import AcceptancePolicy, check_guarantee
from muslin.execution import Executor
from muslin.messages import Log, Message
from muslin.models.prediction_digest import prediction_digest
from muslin.models.predictor import Predictor
from muslin.storage.local_path import check_local
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output
from muslin.workflows.model_input import open_with_cache
from muslin.workflows.product_catalogue import ProductCatalogue, check_no_photo, open_catalogue
from muslin.workflows.tag_own_values import OwnValues, read_own_values
from muslin.workflows.tag_update import COLUMN as FINGERPRINT_COLUMN
from muslin.workflows.tag_update import PreviousTags, read_previous

PREVIOUS = "previous output"
"""Among a job's inputs the digest of the output that it updates."""


@dataclass(frozen=True)
class TagOptions:
    """How to tag a catalogue.

    Attributes:
        taxonomy: a table of the shop's names of the tags; see `muslin.catalogue.taxonomy.read_taxonomy`. Or `shopify`
            or `google`: categories that come with muslin, see `muslin.catalogue.shop_categories`.
        language: language of the taxonomy's names.
        precision: target for the accepted tags, from 0.5 to below 1; by default one that the model can guarantee, see
            `muslin.evaluation.precision_choice.choose_precision`.
        guarantee: `overall` or `per-class`; see `muslin.evaluation.selective.AcceptancePolicy`.
        resume: continue an interrupted job, if there is one.
        own_columns: columns with the shop's own values: `COLUMN`, or `TARGET=COLUMN` for a model with several targets.
            A new column says which of them a prediction contradicts.
        only_empty: predict only what has no value in `own_columns`, or in the columns with the targets' names.
        update: replace the output, and copy from it the tags of products of which nothing has changed.
        read_options: how to read the data, as `muslin.read` takes it.
        graph: of a model that is opened here, as of `muslin.models.predictor.Predictor.open`.
        executor: what runs the network on the photos; by default threads of this process. The output is the same.
    """

    taxonomy: str | Path | None = None
    language: str | None = None
    precision: float | None = None
    guarantee: str = "overall"
    resume: bool = False
    own_columns: Sequence[str] = ()
    only_empty: bool = False
    update: bool = False
    read_options: Mapping[str, Any] = field(default_factory=dict)
    graph: str | None = None
    executor: Executor | None = None


@dataclass(frozen=True)
class TagJob:
    """Everything a tagging needs, checked before the work begins.

    Attributes:
        own: the shop's own values, where they matter.
        previous: the previous output, where it is updated.
    """

    output: Output
    options: TagOptions
    predictor: Predictor
    precision: float
    acceptance: Acceptance
    policies: Mapping[str, AcceptancePolicy]
    catalogue: ProductCatalogue
    taxonomy: Taxonomy
    columns: tuple[AddedColumn, ...]
    notes: tuple[str, ...]
    own: OwnValues | None = None
    previous: PreviousTags | None = None

    @property
    def cells_per_target(self) -> int:
        """New columns of each target: they come first."""
        return 4 + self.taxonomy.extra_cells

    @property
    def error_index(self) -> int:
        """The column of errors, behind those of all targets and the one of reasons."""
        return self.cells_per_target * len(self.predictor.targets) + self.catalogue.has_several

    @property
    def _names_of_taxonomy(self) -> list[Mapping[str, str]]:
        """Without ids where there are none, so that a job of an earlier version can be resumed."""
        return [self.taxonomy.names, self.taxonomy.parents, *([self.taxonomy.ids] if self.taxonomy.ids else [])]

    @property
    def out(self) -> Path:
        return self.output.path

    @property
    def inputs(self) -> dict[str, Any]:
        """What the rows depend on, as JSON values: a resumed job must have the same."""
        given, photo_columns = self.options.read_options, self.catalogue.rows.photos.photo_columns
        return {
            "catalogue": self.catalogue.table.digest,
            "photos": [str(given.get("images", "")), *photo_columns, bool(given.get("allow_outside"))],
            **self.common_inputs,
            **({PREVIOUS: self.previous.digest} if self.previous else {}),
        }

    @property
    def common_inputs(self) -> dict[str, Any]:
        """What the rows of all products depend on besides their own cells and photos."""
        thresholds = [policy.accept_thresholds.astype(str).tolist() for policy in self.policies.values()]
        own = {"own values": [sorted(self.own.columns.items()), self.options.only_empty]} if self.own else {}
        return {
            "model": prediction_digest(self.predictor.bundle),
            "precision": [self.precision, self.options.guarantee, *thresholds],
            "products": [*self.catalogue.rows.columns, self.catalogue.rows.all_of_row],
            "taxonomy": [sorted(names.items()) for names in self._names_of_taxonomy],
            "columns": [column.name for column in self.columns],
            **own,
        }


def plan(model: "str | Path | Predictor", data: str | Path, output: Output, options: TagOptions, log: Log) -> TagJob:
    check_local(data, options.read_options.get("images"), options.taxonomy)
    output = replace(output, overwrite=output.overwrite or options.update)
    # a resumed job can have been killed after its last step: then the output is there, and `_write` compares it
    check_output(replace(output, overwrite=output.overwrite or options.resume), (model,), (data, options.taxonomy))
    predictor = open_with_cache(model, options.graph)
    if options.executor:
        predictor = predictor.with_executor(options.executor)
    check_guarantee(options.guarantee)
    catalogue = open_catalogue(data, output.path, options.read_options, log)
    rows, table = catalogue.rows, catalogue.table
    taxonomy = _taxonomy(options, predictor)
    own = read_own_values(rows, predictor.targets, options.own_columns, taxonomy, only_empty=options.only_empty)
    more = _more_columns(options, own)
    columns, renamed = _new_columns(table, predictor.targets, taxonomy, catalogue.has_several, more)
    _check_encodable(table, predictor.targets, taxonomy)
    all_notes: list[str] = [
        *([predictor.graph_note] if predictor.graph_note else []),
        *table.fixes,
        *catalogue.notes,
        *taxonomy.notes,
        *(own.notes if own else ()),
        *renamed,
    ]
    if isinstance(table, Workbook) and not table.has_header:
        all_notes.append(Message("new_columns_unnamed", names=[column.name for column in columns]))
    chosen = predictor.rules.choose(options.precision, options.guarantee, per_product=catalogue.has_several)
    check_no_photo(output, rows)
    job = TagJob(
        output,
        options,
        predictor,
        chosen.precision,
        chosen.acceptance,
        chosen.policies,
        catalogue,
        taxonomy,
        columns,
        (*all_notes, *chosen.notes),
        own,
    )
    return replace(job, previous=read_previous(job.out, rows, columns, job.common_inputs)) if options.update else job


def _taxonomy(options: TagOptions, predictor: Predictor) -> Taxonomy:
    if options.taxonomy is None:
        if options.language:
            raise DataError("option_needs", option="--language", needed="--taxonomy")
        return Taxonomy({}, {})
    classes = list(dict.fromkeys(name for target in predictor.targets for name in target.classes))
    if options.taxonomy in SHOP_TAXONOMIES:
        return shop_taxonomy(str(options.taxonomy), classes, options.language)
    path = Path(options.taxonomy)
    if path.name == str(options.taxonomy) and not path.suffix and not path.exists():  # a name, not a file's
        raise DataError("taxonomy_unknown", **unknown(path, SHOP_TAXONOMIES))
    return read_taxonomy(Path(options.taxonomy), classes, options.language)


def _more_columns(options: TagOptions, own: OwnValues | None) -> list[tuple[str, AddedColumn]]:
    """Per target, or for all of them, the columns behind that of errors."""
    compared = () if own is None or options.only_empty else own.columns
    contradicted = [(target, AddedColumn("contradicts", "list")) for target in compared]
    return contradicted + ([("", AddedColumn(FINGERPRINT_COLUMN))] if options.update else [])


def _new_columns(
    table: TableFile,
    targets: Sequence[Target],
    taxonomy: Taxonomy,
    has_several: bool,
    more: Sequence[tuple[str, AddedColumn]] = (),
) -> tuple[tuple[AddedColumn, ...], list[str]]:
    """The columns to add, and a note for each whose name was taken."""
    names: list[AddedColumn] = []
    for target in targets:
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        columns = [AddedColumn("tag")]
        columns += [AddedColumn("parent")] if taxonomy.parents else []
        columns += [AddedColumn("category_id")] if taxonomy.ids else []
        columns.append(AddedColumn("probability", "number"))
        if target.kind == "multilabel":
            columns = [replace(column, kind="numbers" if column.kind == "number" else "list") for column in columns]
        columns += [AddedColumn("decision"), AddedColumn("prediction_set", "list")]
        names += [replace(column, name=prefix + column.name) for column in columns]
    names += [AddedColumn("reason")] if has_several else []
    names.append(AddedColumn("error"))
    for target_name, column in more:
        prefix = f"{target_name}_" if target_name and len(targets) > 1 else ""
        names.append(replace(column, name=prefix + column.name))
    return free_names(table, names)


def _check_encodable(table: TableFile, targets: Sequence[Target], taxonomy: Taxonomy) -> None:
    for tag in (name for target in targets for name in target.classes):
        for name in (tag, *taxonomy.ancestors(tag)):
            check_encodable(table, taxonomy.name(name))
