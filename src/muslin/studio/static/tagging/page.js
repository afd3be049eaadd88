// The tagging room: a model and a table in, the table with tags out.

import { get } from "/static/api.js";
import { Button, EmptyState, ErrorNotice, JobStatus, Load, Notice, Select, Table } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { startJob } from "/static/jobs.js";
import { roomLink, set } from "/static/state.js";
import { count, percent, t } from "/static/texts.js";
import { dataChoices } from "/static/training/setup.js";

const DECISIONS = ["accept", "review", "out of scope"]; // as the server names them

export default function TaggingPage({ state }) {
  return html`<div class="page"><h1>${t("tagging.title")}</h1><p class="lead">${t("tagging.lead")}</p>
    <${Load} from=${() => Promise.all([get("/api/contents"), get("/api/jobs")])}>${([contents, { jobs }]) => html`<${Form} state=${state} contents=${contents} jobs=${jobs} />`}<//></div>`;
}

/** Models of the folder: those of runs, and files alone. */
const modelChoices = (contents) => [
  ...contents.runs.filter((run) => run.model).map((run) => [run.model, run.name || run.path]),
  ...contents.models.map((model) => [model.path, model.path]),
];

class Form extends Component {
  constructor(props) {
    super(props);
    const last = props.jobs.find((job) => job.kind === "tag" && (job.is_running || job.params.data === props.state.data));
    this.state = { job: last?.id || null, error: null };
  }

  start = async (model) => {
    const { data } = this.props.state;
    try { this.setState({ job: (await startJob("tag", { model, data })).id, error: null }); }
    catch (error) { this.setState({ error }); }
  };

  render({ state, contents }, { job, error }) {
    const models = modelChoices(contents), data = dataChoices(contents);
    if (!models.length) return html`<${EmptyState} title=${t("tagging.noModel")}><p><a class="main" href=${roomLink("training", { run: "" })}>${t("tagging.train")}</a></p><//>`;
    if (!data.length) return html`<${EmptyState} title=${t("training.noData")}><p>${t("training.noDataText")}</p><p><a class="main" href=${roomLink("home")}>${t("training.toHome")}</a></p><//>`;
    const model = models.some(([path]) => path === state.model) ? state.model : models[0][0];
    const chosen = data.some(([path]) => path === state.data) ? state.data : "";
    return html`${!contents.is_writable && html`<${Notice} kind="warning"><p>${t("training.readOnly")}</p><//>`}
      <div class="toolbar">
        <${Select} label=${t("tagging.model")} value=${model} choices=${models} onchange=${(one) => set({ model: one })} />
        <${Select} label=${t("tagging.table")} value=${chosen} choices=${[["", t("training.choose")], ...data]} onchange=${(one) => set({ data: one })} />
        <${Button} kind="main" disabled=${!chosen || !contents.is_writable} onclick=${() => this.start(model)}>${t("tagging.start")}<//>
      </div>
      <p class="soft">${t("tagging.drop")} <a href=${roomLink("home")}>${t("pageHome")}</a></p>
      <${ErrorNotice} error=${error} />
      ${job && html`<${JobStatus} key=${job} id=${job}>${(now) => now.result && html`<${Result} result=${now.result} />`}<//>`}`;
  }
}

function Result({ result }) {
  const rows = Object.entries(result.decisions).map(([target, counts]) => ({ target, ...counts }));
  const columns = [{ name: "target", words: t("training.target") }, ...DECISIONS.map((name) => ({ name, words: t(`tagging.decision.${name.replaceAll(" ", "_")}`), isNumber: true, cell: (row) => `${count(row[name] || 0)} (${percent((row[name] || 0) / Math.max(result.products, 1))})` }))];
  const isGuaranteed = rows.every((row) => row.target in result.guarantees);
  return html`<section class="panel" aria-labelledby="tagged"><h2 id="tagged">${t("tagging.done", { n: count(result.products) })}</h2>
    <${Table} caption=${t("tagging.decisions")} columns=${columns} rows=${rows} rowKey=${(row) => row.target} />
    <p>${t(isGuaranteed ? "tagging.meaning" : "tagging.noGuarantee", { percent: percent(result.precision, 0) })}</p>
    ${result.unreadable > 0 && html`<p>${t("tagging.unreadable", { n: count(result.unreadable) })}</p>`}
    <p class="buttons"><a class="main" download href=${`/api/tagged?${new URLSearchParams({ file: result.out })}`}>${t("tagging.download")}</a>
      <a class="button" href=${roomLink("review")}>${t("tagging.review")}</a></p>
    <p class="soft">${t("tagging.file", { path: result.out })}</p></section>`;
}
