// Long work of the server: starting it, and who starts it.

import { ask, get } from "/static/api.js";

/** The person's name, as the review page asked for it; the server keeps it beside what is done. */
export function who() {
  try { return localStorage.getItem("muslin-review-who") || "studio"; } catch { return "studio"; }
}

/** Start a job of the server's table JOBS; its state. */
export const startJob = (kind, params) => ask("/api/jobs/start", { kind, who: who(), params });

export const listJobs = async () => (await get("/api/jobs")).jobs;
