// The tagging room: a model and a table in, the table with tags out.

import { get } from "/static/api.js";
import { Button, EmptyState, ErrorNotice, FileDrop, JobStatus, Load, Notice, Select, Table } from "/static/components/index.js";
import { dismiss, importFiles } from "/static/home/importing.js";
import { ImportStatus } from "/static/home/import_status.js";
import { Component, html } from "/static/html.js";
import { startJob } from "/static/jobs.js";
import { roomLink, set } from "/static/state.js";
import { count, messageText, percent, t } from "/static/texts.js";
import { dataChoices } from "/static/training/setup.js";
import { modelChoices, PRECISIONS, ReviewStart } from "./review_start.js";

const DECISIONS = ["accept", "review", "out of scope"]; // as the server names them

export default class TaggingPage extends Component {
  /** What was dropped becomes the chosen table; the folder's contents are read again. */
  take = async (files) => {
    const result = await importFiles(files);
    if (!result) return;
    if (!result.notes.length) dismiss();
    set({ data: result.data });
    this.setState({ version: (this.state.version || 0) + 1 });
  };

  render({ state }, { version = 0 }) {
    return html`<div class="page"><h1>${t("tagging.title")}</h1><p class="lead">${t("tagging.lead")}</p>
      <${Load} of=${version} from=${() => Promise.all([get("/api/contents"), get("/api/jobs")])}>${([contents, { jobs }]) => html`<${Form} key=${version} state=${state} contents=${contents} jobs=${jobs} take=${this.take} />`}<//></div>`;
  }
}

class Form extends Component {
  constructor(props) {
    super(props);
    const last = props.jobs.find((job) => job.kind === "tag" && (job.is_running || job.params.data === props.state.data));
    this.state = { job: last?.id || null, precision: "", error: null };
  }

  start = async (model, data, precision) => {
    try { this.setState({ job: (await startJob("tag", { model, data, precision })).id, error: null }); }
    catch (error) { this.setState({ error }); }
  };

  render({ state, contents, take }, { job, precision, error }) {
    const models = modelChoices(contents), data = dataChoices(contents);
    if (!models.length) return html`<${EmptyState} title=${t("tagging.noModel")}><p><a class="main" href=${roomLink("training", { run: "" })}>${t("tagging.train")}</a></p><//>`;
    const model = models.some(([path]) => path === state.model) ? state.model : models[0][0];
    const chosen = data.some(([path]) => path === state.data) ? state.data : "";
    return html`${!contents.is_writable && html`<${Notice} kind="warning"><p>${t("training.readOnly")}</p><//>`}
      <div class="toolbar">
        <${Select} label=${t("tagging.model")} value=${model} choices=${models} onchange=${(one) => set({ model: one })} />
        <${Select} label=${t("tagging.table")} value=${chosen} choices=${[["", t("training.choose")], ...data]} onchange=${(one) => set({ data: one })} />
        <${Select} label=${t("tagging.precision")} value=${precision} choices=${[["", t("tagging.precisionBest")], ...PRECISIONS.map((one) => [one, percent(one, 0)])]} onchange=${(one) => this.setState({ precision: one })} />
        <${Button} kind="main" disabled=${!chosen || !contents.is_writable} onclick=${() => this.start(model, chosen, Number(precision) || null)}>${t("tagging.start")}<//>
      </div>
      <p class="soft">${t("tagging.precisionText")}</p>
      <${FileDrop} onfiles=${take} disabled=${!contents.is_writable}><p class="dropwords"><strong>${t("tagging.drop")}</strong> <span class="soft">${t("tagging.dropDetail")}</span></p><//>
      <${ImportStatus} open=${(dropped) => set({ data: dropped })} />
      <${ErrorNotice} error=${error} />
      ${job && html`<${JobStatus} key=${job} id=${job}>${(now) => now.result && html`<${Result} result=${now.result} params=${now.params} isWritable=${contents.is_writable} again=${(one) => this.start(now.params.model, now.params.data, one)} />`}<//>`}`;
  }
}

function Result({ result, params, isWritable, again }) {
  const targets = Object.keys(result.decisions), { notes } = result;
  const cell = (target) => (row) => `${count(result.decisions[target][row.name] || 0)} (${percent((result.decisions[target][row.name] || 0) / Math.max(result.products, 1))})`;
  const columns = [{ name: "words", words: t("tagging.decision") }, ...targets.map((target) => ({ name: target, words: target, isNumber: true, cell: cell(target) }))];
  const isGuaranteed = targets.every((target) => target in result.guarantees);
  return html`<section class="panel" aria-labelledby="tagged"><h2 id="tagged">${t("tagging.done", { n: count(result.products) })}</h2>
    <${Table} caption=${t("tagging.decisions")} columns=${columns} rows=${DECISIONS.map((name) => ({ name, words: t(`tagging.decision.${name.replaceAll(" ", "_")}`) }))} rowKey=${(row) => row.name} />
    <p>${t(isGuaranteed ? "tagging.meaning" : "tagging.noGuarantee", { percent: percent(result.precision, 0) })}</p>
    ${notes.length > 0 && html`<ul>${notes.map((note) => html`<li>${messageText(note)}</li>`)}</ul>`}
    ${result.unreadable > 0 && html`<p>${t("tagging.unreadable", { n: count(result.unreadable) })}</p>`}
    <div class="buttons"><a class="main" download href=${`/api/tagged?${new URLSearchParams({ file: result.out })}`}>${t("tagging.download")}</a>
      <${ReviewStart} params=${params} disabled=${!isWritable} /></div>
    <p class="soft">${t("tagging.file", { path: result.out })}</p>
    ${Object.entries(result.acceptance).map(([target, rows]) => html`<${Acceptance} key=${target} name=${targets.length > 1 ? target : ""} rows=${rows} used=${result.precision} again=${isWritable && again} />`)}</section>`;
}

/** How much the model accepts at which precision, as its calibration images tell. `again(precision)` tags once more. */
function Acceptance({ name, rows, used, again }) {
  const columns = [
    { name: "precision", words: t("tagging.ofAccepted"), cell: (row) => percent(row.precision) },
    { name: "share", words: t("tagging.share"), isNumber: true, cell: (row) => `${percent(row.share, 0)} (${count(row.accepted)} / ${count(row.n)})` },
    { name: "again", words: html`<span class="visuallyhidden">${t("tagging.again")}</span>`, cell: (row) => (row.precision === used ? t("tagging.used") : again && row.accepted > 0 && html`<${Button} kind="quiet" onclick=${() => again(row.precision)}>${t("tagging.again")}<//>`) },
  ];
  return html`<${Table} caption=${[name, t("tagging.acceptance")].filter(Boolean).join(": ")} rows=${rows} rowKey=${(row) => row.precision} columns=${columns} />`;
}
