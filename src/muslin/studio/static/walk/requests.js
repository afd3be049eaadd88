// What the walk asks the server. Everything of one model is asked once.

import { ask, askOnce, packed } from "/static/api.js";

export const describeModel = (model) => askOnce("/api/model", { model });
export const walkOf = (model) => askOnce("/api/walk", { model });
export const predict = (inspection) => askOnce("/api/predict", { inspection });
export const compare = (inspection) => askOnce("/api/walk/compare", { inspection });
export const crop = (body) => ask("/api/walk/crop", body);
export const accuracy = (inspection, target, walk) => askOnce("/api/accuracy", { inspection, target, ...(walk.examples ? { on: "data", count: walk.examples.requested } : { on: "golden" }) });
export const featureMaps = (inspection, layer) => packed("/api/feature-maps", { inspection, layer, tta_view: "original" });
export const pixels = (inspection, maxPx) => packed("/api/pixels", { inspection, max_px: maxPx });
export const thumbnail = (model, image, side) => `/api/thumbnail?${new URLSearchParams({ model, image, side })}`;
