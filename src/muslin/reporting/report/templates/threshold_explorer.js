"use strict";
// The slider for the threshold of two classes: moves the dot on both curves and updates the metrics.
const explorer = document.getElementById("threshold");
const slider = document.getElementById("threshold-slider");
const { n, positives, rows, square } = JSON.parse(explorer.dataset.points);
const [left, top_, side] = square;
const [roc, precisionRecall] = explorer.querySelectorAll("svg");
const ratio = (part, whole) => (whole ? part / whole : null);
const percent = (value) => (value === null ? "\u2013" : `${(100 * value).toFixed(1)}\u00a0%`);

function moveDot(drawing, x, y) {
  const dot = drawing.querySelector(".point");
  dot.setAttribute("visibility", x === null || y === null ? "hidden" : "visible");
  dot.setAttribute("cx", left + (x ?? 0) * side);
  dot.setAttribute("cy", top_ + side - (y ?? 0) * side);
}

function update() {
  const step = Number(slider.value);
  const [predicted, truePositives] = rows[step];
  const falsePositives = predicted - truePositives;
  const recall = ratio(truePositives, positives);
  const precision = ratio(truePositives, predicted);
  const falsePositiveRate = ratio(falsePositives, n - positives);
  const metrics = {
    threshold: (step / (rows.length - 1)).toFixed(2),
    predicted: predicted.toLocaleString("en"),
    precision: percent(precision),
    recall: percent(recall),
    "false-positive-rate": percent(falsePositiveRate),
    accuracy: percent(ratio(truePositives + (n - positives - falsePositives), n)),
  };
  for (const [name, value] of Object.entries(metrics)) {
    for (const element of explorer.querySelectorAll(`[data-metric="${name}"]`)) element.textContent = value;
  }
  moveDot(roc, falsePositiveRate, recall);
  moveDot(precisionRecall, recall, precision);
}

slider.closest(".slider").hidden = false;
slider.addEventListener("input", update);
