// The home page: what is in the folder, newest first, and how to begin.

import { get } from "/static/api.js";
import { Button, ButtonLink, ErrorNotice, FileDrop, JobStatus, Notice } from "/static/components/index.js";
import { Component, html } from "/static/html.js";
import { listJobs, startJob } from "/static/jobs.js";
import { roomLink, set } from "/static/state.js";
import { t, tn } from "/static/texts.js";
import { importFiles } from "./importing.js";
import { ImportStatus, Incomplete } from "./import_status.js";
import { DataRow, ModelRow, RunRow, StoreRow } from "./rows.js";

const SHOWN = 6; // rows of a section, until all are asked for

export default class Home extends Component {
  componentDidMount() {
    this.load();
  }

  load = async () => {
    try {
      const [contents, { stores }, jobs] = await Promise.all([get("/api/contents"), get("/api/review/stores"), listJobs()]);
      this.setState({ contents, stores, jobs: jobs.filter((job) => job.is_running), error: null });
    } catch (error) { this.setState({ error }); }
  };

  take = async (files) => {
    const result = await importFiles(files);
    await this.load();
    if (result && !result.notes.length) openData(result.data);
  };

  obtain = async (offer) => {
    if (offer.is_at_hand) return openData(offer.data);
    try {
      this.setState({ job: (await startJob("download", { data: offer.data })).id, error: null });
    } catch (error) { this.setState({ error }); }
    return undefined;
  };

  render(_, { contents, stores, jobs, job, error }) {
    if (!contents) return html`<div class="page"><h1>${t("home.title")}</h1>${error ? html`<${ErrorNotice} error=${error} retry=${this.load} />` : html`<p class="soft">${t("loading")}</p>`}</div>`;
    const isEmpty = !contents.data.length && !contents.runs.length && !contents.models.length && !stores.length;
    return html`<div class="page home">
      <h1>${t(isEmpty ? "home.titleEmpty" : "home.title")}</h1>
      <p class="lead">${t(isEmpty ? "home.leadEmpty" : "home.lead")}</p>
      <${ErrorNotice} error=${error} />
      ${!contents.is_writable && html`<${Notice} kind="warning"><p>${t("home.readOnly")}</p><//>`}
      ${contents.is_data_set && html`<${Notice}><p>${t("home.isDataSet")}</p><//>`}
      ${contents.loose_images > 0 && html`<${Notice}><p>${tn("home.looseImages", contents.loose_images)}</p><//>`}
      <${ImportStatus} open=${openData} />
      ${contents.imports.map((one) => html`<${Incomplete} key=${one.name} row=${one} changed=${this.load} />`)}
      ${job && html`<${JobStatus} id=${job} ondone=${(done) => { this.load(); if (!done.error) openData(done.params.data); }} />`}
      <${Begin} contents=${contents} take=${this.take} getData=${this.obtain} />
      ${jobs.length > 0 && html`<section aria-labelledby="running"><h2 id="running">${t("home.jobs")}</h2>
        ${jobs.filter((one) => one.id !== job).map((one) => html`<${JobStatus} key=${one.id} id=${one.id} ondone=${this.load}><//>`)}</section>`}
      <${Section} name="runs" rows=${contents.runs} Row=${RunRow} />
      <${Section} name="data" rows=${contents.data} Row=${DataRow} />
      <${Section} name="models" rows=${contents.models} Row=${ModelRow} />
      <${Section} name="stores" rows=${stores} Row=${StoreRow} />
    </div>`;
  }
}

const openData = (data) => set({ page: "data", data }, true);

/** How to begin: drop files, take a known data set, record with the camera, or play without data. */
function Begin({ contents, take, getData }) {
  return html`<${FileDrop} onfiles=${take} disabled=${!contents.is_writable}>
    <p class="dropwords"><strong>${t("home.drop")}</strong> <span class="soft">${t("home.dropDetail")}</span></p><//>
    <div class="buttons offers" role="group" aria-label=${t("home.begin")}>
      ${contents.offers.map((offer) => html`<${Button} key=${offer.data} onclick=${() => getData(offer)}>${t(`home.offer.${offer.data}`)}
        <small class="soft">${t(`home.about.${offer.data}`)}<br />${offer.is_at_hand ? t("home.atHand") : t("home.download", { mb: offer.mb })}</small><//>`)}
      <${ButtonLink} href=${roomLink("camera")}>${t("home.camera")}<small class="soft">${t("home.aboutCamera")}</small><//>
      <${ButtonLink} href=${roomLink("playground")}>${t("home.playground")}<small class="soft">${t("home.aboutPlayground")}</small><//>
    </div>`;
}

class Section extends Component {
  render({ name, rows, Row }, { isAll }) {
    if (!rows.length) return null;
    const shown = isAll ? rows : rows.slice(0, SHOWN);
    return html`<section aria-labelledby=${`home-${name}`}><h2 id=${`home-${name}`}>${t(`home.${name}`)} <span class="of">${rows.length}</span></h2>
      <ul class="rows">${shown.map((row) => html`<${Row} key=${row.path ?? row} row=${row} />`)}</ul>
      ${rows.length > shown.length && html`<${Button} onclick=${() => this.setState({ isAll: true })}>${t("home.showAll", { n: rows.length })}<//>`}
    </section>`;
  }
}
