// Thumbnails as sheets: one request for up to 64 images, decoded beside the page's own work and cut into cells.

import { language, t } from "/static/texts.js";

export const BLOCK = 64; // images of a sheet
const MAX_PIXELS = 12_000_000; // of all sheets that are kept: 48 MB
const ACTIVE = 3; // requests at a time, so that decisions are not kept waiting

/** The sheets of one order of images. `wanted(first, end)` says which positions are in sight. */
export class Sheets {
  constructor(about, order, side) {
    this.about = about;
    this.order = order;
    this.side = side;
    this.blocks = new Map(); // number of the block → {bitmap, header}; the least recently used first
    this.waiting = new Map(); // number → functions to call
    this.active = new Map(); // number → AbortController
    this.pixels = 0;
  }

  /** Draw the image at `position` into a canvas, now or when its sheet is there. */
  draw(canvas, position, said) {
    const number = Math.floor(position / BLOCK), block = this.blocks.get(number);
    if (!block) {
      const calls = this.waiting.get(number) || [];
      calls.push(() => canvas.isConnected && canvas.position === position && this.draw(canvas, position, said));
      this.waiting.set(number, calls);
      this.pump();
      return;
    }
    this.blocks.delete(number);
    this.blocks.set(number, block);
    const { header, bitmap } = block, place = position % BLOCK, tile = header.tiles[place];
    if (!tile || tile.error) return said(tile?.error || t("data.noImage"));
    if (canvas.width !== tile.width || canvas.height !== tile.height) Object.assign(canvas, { width: tile.width, height: tile.height });
    const left = (place % header.columns) * header.side, top = Math.floor(place / header.columns) * header.side;
    canvas.getContext("2d").drawImage(bitmap, left, top, tile.width, tile.height, 0, 0, tile.width, tile.height);
    canvas.classList.toggle("small", Math.max(tile.width, tile.height) <= 64);
    said("");
  }

  wanted(first, end) {
    this.first = Math.floor(first / BLOCK);
    this.last = Math.floor(Math.max(first, end - 1) / BLOCK);
    for (const number of [...this.waiting.keys()]) if (!this.isNear(number)) this.forget(number);
    this.pump();
  }

  isNear(number) {
    return this.first === undefined || (number >= this.first - 1 && number <= this.last + 1);
  }

  /** A request that has begun goes on, so that fast scrolling does not pile up requests that the server still answers. */
  forget(number) {
    if (!this.active.has(number)) this.waiting.delete(number);
  }

  pump() {
    for (const number of [...this.waiting.keys()].reverse()) {
      if (this.active.size >= ACTIVE) return;
      if (!this.active.has(number)) this.load(number);
    }
  }

  async load(number) {
    const controller = new AbortController();
    this.active.set(number, controller);
    try { await this.keep(number, await this.fetched(number, controller.signal)); } catch (error) {
      if (error.name !== "AbortError") this.failed(number, error);
    } finally {
      this.active.delete(number);
      if (!this.isClosed) this.pump();
    }
  }

  async fetched(number, signal) {
    const images = Array.from(this.order.subarray(number * BLOCK, (number + 1) * BLOCK)).join(",");
    const { data, version } = this.about;
    const response = await fetch(`/api/data/sheet?${new URLSearchParams({ data, version, side: this.side, images })}`, { signal, headers: { "accept-language": language } });
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).message || response.statusText);
    return response.arrayBuffer();
  }

  async keep(number, buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, 4 + length)], { type: header.type }));
    if (this.isClosed) return bitmap.close();
    this.blocks.set(number, { header, bitmap });
    this.pixels += bitmap.width * bitmap.height;
    for (const [old, block] of this.blocks) {
      if (this.pixels <= MAX_PIXELS || this.isNear(old)) break;
      this.pixels -= block.bitmap.width * block.bitmap.height;
      block.bitmap.close();
      this.blocks.delete(old);
    }
    this.call(number);
  }

  /** Every image of the block says why; the next time that it comes into sight it is asked for again. */
  failed(number, error) {
    this.blocks.set(number, { header: { tiles: Array.from({ length: BLOCK }, () => ({ error: error.message })) }, bitmap: { width: 0, height: 0, close() {} } });
    this.call(number);
    this.blocks.delete(number);
  }

  call(number) {
    const calls = this.waiting.get(number) || [];
    this.waiting.delete(number);
    for (const one of calls) one();
  }

  close() {
    this.isClosed = true;
    for (const controller of this.active.values()) controller.abort();
    for (const { bitmap } of this.blocks.values()) bitmap.close();
    this.blocks.clear();
    this.waiting.clear();
  }
}
