// The requests of the review page: one function a path.

import { ask, get } from "/static/api.js";

const post = (path) => (body) => ask(`/api/review/${path}`, body);

export const stores = () => get("/api/review/stores");
export const openStore = post("open");
export const nextItems = post("next");
export const findItems = post("items");
export const oneItem = post("item");
export const similarItems = post("similar");
export const decide = post("decide");
export const undo = post("undo");
export const addClass = post("class");
export const release = post("release");
export const history = post("history");
export const status = post("status");
export const models = post("models");
export const train = post("train");
export const forecast = post("forecast");
export const work = post("work");
export const stop = post("stop");
export const promote = post("promote");

/** The address of a product's photo, at most `side` pixels on a side; another fingerprint is another address. */
export function photo(store, item, number, side) {
  const query = { store, product: item.product, photo: number, side, fingerprint: item.fingerprint };
  return `/api/review/photo?${new URLSearchParams(query)}`;
}
