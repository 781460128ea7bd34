// SPDX-License-Identifier: GPL-3.0-or-later
// The pass rate by day as a line, over the number of builds as bars.

import { day, h, percent, plural, s } from "./dom.js";

const HEIGHT = 240;
const PAD = { top: 14, right: 14, bottom: 28, left: 46 };

/** The lowest tick of the rate's axis and the step between ticks, in per cent, so that the line uses the height. */
function scaleOf(rates) {
  const lowest = Math.min(...rates, 1) * 100;
  return [[95, 1], [90, 2], [80, 5], [60, 10], [50, 10]].find(([floor]) => lowest >= floor) ?? [0, 20];
}

/** Runs of consecutive days that have a rate: a day without one is a gap, not a guess. */
function runs(points) {
  const all = [[]];
  for (const point of points) {
    if (point.y === null) all.push([]);
    else all.at(-1).push(point);
  }
  return all.filter((run) => run.length);
}

function draw(days, target, width) {
  const inner = { width: width - PAD.left - PAD.right, height: HEIGHT - PAD.top - PAD.bottom };
  const rates = days.map((entry) => entry.pass_rate).filter((rate) => rate !== null);
  const [lowest, gap] = scaleOf(target === null ? rates : [...rates, target]);
  const floor = lowest / 100;
  const step = inner.width / days.length;
  const x = (index) => PAD.left + step * (index + 0.5);
  const y = (rate) => PAD.top + inner.height * (1 - (rate - floor) / (1 - floor));
  const bottom = PAD.top + inner.height;
  const most = Math.max(...days.map((entry) => entry.builds), 1);
  const points = days.map((entry, index) => ({ x: x(index), y: entry.pass_rate === null ? null : y(entry.pass_rate) }));

  const svg = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" });
  for (let tick = lowest; tick <= 100; tick += gap) {
    const rate = tick / 100;
    svg.append(
      s("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: y(rate), y2: y(rate) }),
      s("text", { class: "tick", x: PAD.left - 8, y: y(rate) + 4, "text-anchor": "end" },
        `${tick} %`),
    );
  }
  days.forEach((entry, index) => {
    const height = (entry.builds / most) * inner.height * 0.3;
    const bar = Math.max(step * 0.55, 2);
    svg.append(s("rect", { class: "column", x: x(index) - bar / 2, y: bottom - height, width: bar, height, rx: Math.min(2, bar / 2) }));
  });
  const every = Math.ceil(days.length / Math.max(2, Math.floor(inner.width / 74)));
  for (let index = days.length - 1; index >= 0; index -= every) {
    const anchor = x(index) + 22 > width ? "end" : "middle";
    const at = anchor === "end" ? width - 4 : x(index);
    svg.append(s("text", { class: "tick", x: at, y: HEIGHT - 8, "text-anchor": anchor }, day(days[index].day)));
  }
  for (const run of runs(points)) {
    const line = run.map((point) => `${point.x} ${point.y}`).join("L");
    svg.append(
      s("path", { class: "area", d: `M${run[0].x} ${bottom}L${line}L${run.at(-1).x} ${bottom}Z` }),
      s("path", { class: "rate", d: `M${line}` }),
    );
    if (run.length === 1) svg.append(s("circle", { class: "dot", cx: run[0].x, cy: run[0].y, r: 3 }));
  }
  if (target !== null) {
    svg.append(
      s("line", { class: "target", x1: PAD.left, x2: width - PAD.right, y1: y(target), y2: y(target) }),
      s("text", { class: "target-label", x: width - PAD.right - 4, y: y(target) + 15, "text-anchor": "end" },
        `target ${Math.round(target * 100)} %`),
    );
  }
  const cursor = s("g", { class: "cursor", visibility: "hidden" },
    s("line", { y1: PAD.top, y2: bottom }), s("circle", { r: 4.5 }));
  svg.append(cursor);
  return { svg, points, cursor };
}

const words = (entry) => entry.builds
  ? `${percent(entry.pass_rate)} of ${plural(entry.passed + entry.failed, "test")}, ${plural(entry.builds, "build")}`
  : "no builds";

function table(days) {
  const rows = days.toReversed().map((entry) => h("tr", {},
    h("th", { scope: "row" }, day(entry.day)),
    h("td", {}, percent(entry.pass_rate)), h("td", {}, entry.builds), h("td", {}, entry.failed)));
  const head = ["Day", "Pass rate", "Builds", "Failed tests"].map((name) => h("th", { scope: "col" }, name));
  return h("details", { class: "as-table" }, h("summary", {}, "As a table"),
    h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))));
}

/** The chart, with a tooltip for mouse, touch and arrow keys, and the same numbers as a table. */
export function chart(days, target) {
  const tip = h("div", { class: "tip", hidden: true, role: "status" });
  const plot = h("div", {
    class: "plot", tabindex: "0", role: "group",
    "aria-label": `Pass rate by day, ${day(days[0].day)} to ${day(days.at(-1).day)}; arrow keys move from day to day`,
  });
  let drawn = null;
  let chosen = null;

  const show = (index) => {
    chosen = index;
    drawn.cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
    tip.hidden = index === null;
    if (index === null) return;
    const { x, y } = drawn.points[index];
    const [line, dot] = drawn.cursor.children;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y ?? 0);
    dot.setAttribute("visibility", y === null ? "hidden" : "inherit");
    tip.replaceChildren(h("b", {}, day(days[index].day)), " ", words(days[index]));
    const room = plot.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, x - tip.offsetWidth / 2))}px`;
  };
  const nearest = (event) => {
    const at = event.clientX - plot.getBoundingClientRect().left;
    return drawn.points.reduce((best, point, index) => Math.abs(point.x - at) < Math.abs(drawn.points[best].x - at) ? index : best, 0);
  };
  plot.addEventListener("pointermove", (event) => show(nearest(event)));
  plot.addEventListener("pointerdown", (event) => show(nearest(event)));
  plot.addEventListener("pointerleave", () => show(null));
  plot.addEventListener("focusout", () => show(null));
  plot.addEventListener("keydown", (event) => {
    const last = days.length - 1;
    const to = { ArrowLeft: Math.max(0, (chosen ?? last + 1) - 1), ArrowRight: Math.min(last, (chosen ?? -1) + 1), Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
  new ResizeObserver(() => {
    if (!plot.clientWidth) return;
    const next = draw(days, target, plot.clientWidth);
    drawn?.svg.remove();
    plot.prepend(next.svg);
    drawn = next;
    show(null);
  }).observe(plot);
  plot.append(tip);
  return [plot, table(days)];
}
