// SPDX-License-Identifier: GPL-3.0-or-later
// The dashboard: what to show is in the address (?team=…&days=…&status=…), where it comes from is the JSON API.

import { chart } from "./chart.js";
import { ago, chip, duration, h, number, percent, plural } from "./dom.js";

const REFRESH_MS = 60_000;
const PAGE = { builds: 12, releases: 8, schedules: 12 };

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);
const days = Number(address.get("days"));
const state = {
  team: address.get("team") ?? "",
  days: [14, 30, 90].includes(days) ? days : 30,
  status: address.get("status") ?? "",
  offset: { builds: 0, releases: 0, schedules: 0 },
};
let teams = new Map();

class Unreachable extends Error {}

async function get(path, query = {}) {
  const parameters = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined);
  const url = parameters.length ? `${path}?${new URLSearchParams(parameters)}` : path;
  const response = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => {
    throw new Unreachable("The server cannot be reached.");
  });
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  throw new Unreachable(typeof body?.detail === "string" ? body.detail : `The server answered with an error (${response.status}).`);
}

// A section is loading, or failed, or empty, or shows data. Only the newest request may decide which.

const newest = new Map();

async function section(id, load, quiet = false) {
  const box = $(id);
  const mine = Symbol(id);
  newest.set(id, mine);
  box.setAttribute("aria-busy", "true");
  if (!quiet) box.replaceChildren(h("div", { class: "loading" }, h("span", { class: "hidden" }, "Loading…")));
  let nodes;
  try {
    nodes = [await load()].flat(Infinity).filter(Boolean);
  } catch (error) {
    if (!(error instanceof Unreachable)) console.error(error);
    const message = error instanceof Unreachable ? error.message : "This part of the page failed.";
    nodes = [h("div", { class: "note error", role: "alert" }, h("p", {}, message),
      h("button", { type: "button", click: () => section(id, load) }, "Try again"))];
  }
  if (newest.get(id) !== mine) return;
  box.removeAttribute("aria-busy");
  box.replaceChildren(...nodes);
}

const empty = (sentence) => h("p", { class: "note" }, sentence);
const teamName = (slug) => teams.get(slug)?.name ?? slug;

function pager(id, page, reload) {
  if (page.total <= page.limit) return null;
  const to = (offset) => () => {
    state.offset[id] = offset;
    reload();
  };
  const last = page.offset + page.items.length;
  return h("nav", { class: "pager", "aria-label": `Pages of ${id}` },
    h("button", { type: "button", disabled: page.offset === 0, click: to(Math.max(0, page.offset - page.limit)) }, "Newer"),
    h("span", {}, `${number(page.offset + 1)}–${number(last)} of ${number(page.total)}`),
    h("button", { type: "button", disabled: last >= page.total, click: to(page.offset + page.limit) }, "Older"));
}

// Pass rate

function total(entries) {
  const passed = entries.reduce((sum, entry) => sum + entry.passed, 0);
  const failed = entries.reduce((sum, entry) => sum + entry.failed, 0);
  return {
    passed, failed,
    builds: entries.reduce((sum, entry) => sum + entry.builds, 0),
    rate: passed + failed ? passed / (passed + failed) : null,
  };
}

function tile(label, value, note, tone) {
  return h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, value, note && h("small", { class: tone }, note)));
}

async function trend() {
  const both = await get("/api/v1/summary/pass-rate", { team: state.team, days: state.days * 2 });
  const [before, now] = [both.slice(0, state.days), both.slice(state.days)];
  const [was, is] = [total(before), total(now)];
  if (!is.builds) return empty(`No builds in the last ${state.days} days.`);
  const points = is.rate !== null && was.rate !== null ? (is.rate - was.rate) * 100 : null;
  const change = points === null ? null
    : Math.abs(points) < 0.05 ? "as before" : `${points > 0 ? "▲" : "▼"} ${Math.abs(points).toFixed(1)} points`;
  const tone = points === null || Math.abs(points) < 0.05 ? "" : points > 0 ? "good" : "bad";
  const target = state.team && teams.has(state.team) ? teams.get(state.team).pass_rate_target / 100 : null;
  return [
    h("dl", { class: "tiles" },
      tile("Tests passed", percent(is.rate), change, tone),
      tile("Tests run", number(is.passed + is.failed)),
      tile("Tests failed", number(is.failed)),
      tile("Builds", number(is.builds), was.builds ? `${number(was.builds)} in the ${state.days} days before` : null)),
    chart(now, target),
  ];
}

// Teams

async function loadTeams() {
  const found = [];
  for (let page; !page || found.length < page.total; ) {
    page = await get("/api/v1/teams", { limit: 200, offset: found.length });
    found.push(...page.items);
    if (!page.items.length) break;
  }
  teams = new Map(found.map((team) => [team.slug, team]));
  if (state.team && !teams.has(state.team)) state.team = "";
  $("team").replaceChildren(h("option", { value: "" }, "All teams"),
    ...found.map((team) => h("option", { value: team.slug }, team.name)));
  $("team").value = state.team;
}

function teamCard(team) {
  const chosen = team.slug === state.team;
  return h("li", {}, h("button", {
    type: "button", class: "team", "aria-pressed": String(chosen), click: () => choose({ team: chosen ? "" : team.slug }),
  },
  h("strong", {}, team.name),
  h("span", { class: "dim" }, team.repository ?? "no repository"),
  h("span", { class: "facts" }, plural(team.member_count, "member"), " · ", plural(team.build_count, "build")),
  team.last_build_status
    ? h("span", { class: "facts" }, chip(team.last_build_status), " ", ago(team.last_build_at))
    : h("span", { class: "facts dim" }, "no build yet")));
}

async function showTeams() {
  await loadTeams();
  if (!teams.size) return empty("There are no teams yet.");
  return h("ul", { class: "teams" }, [...teams.values()].map(teamCard));
}

// Builds

function results(build) {
  const all = build.passed + build.failed + build.skipped;
  if (!all) return h("span", { class: "dim" }, "no tests");
  const part = (kind) => {
    const piece = h("i", { class: kind });
    piece.style.flexGrow = build[kind];
    return build[kind] ? piece : null;
  };
  const text = build.failed ? `${number(build.failed)} of ${number(all)} failed` : `${number(build.passed)} passed`;
  return h("span", { class: "results" }, h("span", { class: "stack", "aria-hidden": "true" }, ["passed", "skipped", "failed"].map(part)), text);
}

function testRuns(build) {
  if (!build.test_runs.length) return empty("This build has reported no test runs.");
  const head = ["Suite", "Framework", "Passed", "Failed", "Skipped", "Took"].map((name, index) =>
    h("th", { scope: "col", class: index > 1 && "number" }, name));
  const rows = build.test_runs.map((run) => h("tr", { class: run.failed && "has-failed" },
    h("th", { scope: "row" }, run.suite), h("td", {}, run.framework),
    [run.passed, run.failed, run.skipped].map((value) => h("td", { class: "number" }, number(value))),
    h("td", { class: "number" }, duration(run.duration_ms))));
  return h("div", { class: "scroll" }, h("table", { class: "runs" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)));
}

function buildRow(build) {
  const detail = h("div", { class: "detail", id: `build-${build.id}` });
  const took = build.finished_at ? duration(new Date(build.finished_at) - new Date(build.created_at)) : "";
  return h("details", { class: "build", toggle: (event) => {
    if (event.target.open && !detail.childElementCount) {
      section(detail.id, async () => testRuns(await get(`/api/v1/builds/${build.id}`)));
    }
  } },
  h("summary", {},
    chip(build.status),
    h("span", { class: "what" }, h("b", {}, build.branch), h("code", {}, build.commit_sha.slice(0, 7))),
    h("span", { class: "who dim" }, teamName(build.team)),
    results(build),
    h("span", { class: "took dim" }, took),
    h("span", { class: "when dim" }, ago(build.created_at))),
  detail);
}

async function builds() {
  const query = { team: state.team, status: state.status, limit: PAGE.builds, offset: state.offset.builds };
  const page = await get("/api/v1/builds", query);
  if (!page.items.length) return empty(state.status ? `No build is ${state.status}.` : "No build has been reported yet.");
  return [page.items.map(buildRow), pager("builds", page, () => section("builds", builds, true))];
}

// Releases and scheduled tests

async function releases() {
  const page = await get("/api/v1/releases", { team: state.team, limit: PAGE.releases, offset: state.offset.releases });
  if (!page.items.length) return empty("Nothing has been released yet.");
  return [
    h("ul", { class: "list" }, page.items.map((release) => h("li", {},
      h("div", { class: "line" }, h("b", {}, release.version), h("span", { class: "dim" }, teamName(release.team)),
        h("span", { class: "when dim" }, ago(release.released_at))),
      release.notes && h("p", {}, release.notes)))),
    pager("releases", page, () => section("releases", releases, true)),
  ];
}

async function schedules() {
  const query = { team: state.team, limit: PAGE.schedules, offset: state.offset.schedules };
  const page = await get("/api/v1/scheduled-tests", query);
  if (!page.items.length) return empty("No test is scheduled.");
  return [
    h("ul", { class: "list" }, page.items.map((test) => h("li", { class: !test.enabled && "off" },
      h("div", { class: "line" }, h("b", {}, test.name), h("span", { class: "dim" }, teamName(test.team)),
        test.enabled ? test.last_build_status && chip(test.last_build_status) : chip("paused")),
      h("p", {}, h("code", { title: "minute, hour, day, month, weekday; in UTC" }, test.cron), ` ${test.suite} on ${test.branch} · `,
        test.last_run_at ? ["last run ", ago(test.last_run_at)] : "never run")))),
    pager("schedules", page, () => section("schedules", schedules, true)),
  ];
}

// All together

async function release() {
  const health = await get("/healthz").catch(() => null);
  $("release").textContent = health?.release ?? "unknown";
}

async function show(quiet = false, readers = false) {
  release();
  await section("teams", showTeams, quiet); // first: the others show names and targets of teams
  section("trend", trend, quiet);
  section("releases", releases, quiet);
  section("schedules", schedules, quiet);
  const reading = readers && document.querySelector(".build[open]"); // don't close what someone has opened
  if (!reading) section("builds", builds, quiet);
}

function choose(change) {
  Object.assign(state, change, { offset: { builds: 0, releases: 0, schedules: 0 } });
  const query = new URLSearchParams();
  if (state.team) query.set("team", state.team);
  if (state.days !== 30) query.set("days", state.days);
  if (state.status) query.set("status", state.status);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  $("team").value = state.team;
  if ("team" in change) show(true);
  else if ("days" in change) section("trend", trend, true);
  else section("builds", builds, true);
}

$("days").value = state.days;
$("status").value = state.status;
if ($("status").selectedIndex < 0) $("status").value = state.status = "";
$("team").addEventListener("change", (event) => choose({ team: event.target.value }));
$("days").addEventListener("change", (event) => choose({ days: Number(event.target.value) }));
$("status").addEventListener("change", (event) => choose({ status: event.target.value }));
for (const id of ["trend", "builds", "releases", "schedules"]) $(id).replaceChildren(h("div", { class: "loading" }));
show();
setInterval(() => document.visibilityState === "visible" && show(true, true), REFRESH_MS);
