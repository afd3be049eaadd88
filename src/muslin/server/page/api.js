// How a program asks this server: commands to copy, and the requests that it answers.

import { ErrorNotice } from "./components/notices.js";
import { Table } from "./components/table.js";
import { Component, html } from "./html.js";
import { t } from "./texts.js";
import { description, storedToken } from "./requests.js";

const METHODS = ["get", "put", "post", "delete"];

/** [{request, does}, …] of an OpenAPI description. */
const requestsOf = ({ paths }) => Object.entries(paths).flatMap(([path, methods]) => METHODS.filter((one) => methods[one])
  .map((one) => ({ request: `${one.toUpperCase()} ${path}`, does: methods[one].summary ?? methods[one].description ?? "" })));

export class Api extends Component {
  load = async (event) => {
    if (!event.target.open || this.state.found) return;
    try { this.setState({ found: requestsOf(await description()), error: null }); } catch (error) { this.setState({ error }); }
  };

  render({ model }, { found, error }) {
    const address = new URL(".", document.baseURI).href, query = model ? `?model=${encodeURIComponent(model)}` : "";
    const token = storedToken();
    const curl = `curl ${token ? '-H "Authorization: Bearer $MUSLIN_TOKEN" ' : ""}-F image=@photo.jpg '${address}v1/predict${query}'`;
    const python = `import muslin\n\nwith muslin.Client("${address}"${token ? ', token="…"' : ""}) as client:\n    print(client.predict("photo.jpg"${model ? `, model=${JSON.stringify(model)}` : ""}))`;
    return html`<details class="api" ontoggle=${this.load}><summary>${t("try.api")}</summary>
      <h3>${t("try.shell")}</h3><pre tabindex="0">${curl}</pre>
      <h3>Python</h3><pre tabindex="0">${python}</pre>
      <${ErrorNotice} error=${error} />
      ${found && html`<${Table} caption=${t("try.requests")} rows=${found} rowKey=${(row) => row.request}
        columns=${[{ name: "request", words: t("try.request") }, { name: "does", words: t("try.does") }]} />`}
      <p><a href="openapi.json">${t("try.openapi")}</a></p></details>`;
  }
}
