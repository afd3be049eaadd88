// How a program asks this server: commands to copy, and the requests that it answers.

import { ErrorNotice } from "./components/notices.js";
import { Component, html } from "./html.js";
import { t } from "./texts.js";
import { description, storedToken } from "./requests.js";

const METHODS = ["get", "put", "post", "delete"];

/** ["GET /v1/models", …] of an OpenAPI description, without those that repeat others for a model's version. */
const requestsOf = ({ paths }) => Object.entries(paths).filter(([path]) => !path.includes("{version}"))
  .flatMap(([path, methods]) => METHODS.filter((one) => methods[one]).map((one) => `${one.toUpperCase()} ${path}`));

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
      ${found && html`<h3>${t("try.requests")}</h3>
        <dl>${found.map((request) => html`<div key=${request}><dt><code>${request}</code></dt><dd>${t(`try.does.${request}`)}</dd></div>`)}</dl>
        <p class="soft">${t("try.versions")}</p>`}
      <p><a href="openapi.json">${t("try.openapi")}</a></p></details>`;
  }
}
