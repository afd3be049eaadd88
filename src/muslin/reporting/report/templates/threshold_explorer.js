"use strict";
// Moves the threshold of a task of two classes: the points on both curves and the figures beside them.
const box = document.getElementById("threshold");
const slider = document.getElementById("moved");
const { n, yes, rows, square } = JSON.parse(box.dataset.points);
const [left, top_, side] = square;
const [roc, precisionRecall] = box.querySelectorAll("svg");
const share = (part, whole) => (whole ? part / whole : null);
const written = (value) => (value === null ? "\u2013" : `${(100 * value).toFixed(1)}\u00a0%`);

function place(drawing, across, up) {
  const point = drawing.querySelector(".point");
  point.setAttribute("visibility", across === null || up === null ? "hidden" : "visible");
  point.setAttribute("cx", left + (across ?? 0) * side);
  point.setAttribute("cy", top_ + side - (up ?? 0) * side);
}

function show() {
  const step = Number(slider.value);
  const [called, right] = rows[step];
  const wrong = called - right;
  const figures = {
    threshold: (step / (rows.length - 1)).toFixed(2),
    called: called.toLocaleString("en"),
    precision: written(share(right, called)),
    recall: written(share(right, yes)),
    others: written(share(wrong, n - yes)),
    accuracy: written(share(right + (n - yes - wrong), n)),
  };
  for (const [name, value] of Object.entries(figures)) {
    for (const place of box.querySelectorAll(`[data-figure="${name}"]`)) place.textContent = value;
  }
  place(roc, share(wrong, n - yes), share(right, yes));
  place(precisionRecall, share(right, yes), share(right, called));
}

slider.closest(".moves").hidden = false;
slider.addEventListener("input", show);
