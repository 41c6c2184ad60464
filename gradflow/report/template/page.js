// Draws the charts of the sections below the explorer, moves them with their sliders, filters the claims.
const data = JSON.parse(document.getElementById("data").textContent);

// With ast, expressions are interpreted: the page's policy allows no code made from text.
async function draw(element, spec) {
  const { view } = await window.vegaEmbed(element, spec, { actions: false, ast: true, renderer: "svg" });
  return view;
}

// Draws what stands in an open section once the page is idle, the rest when its section is opened.
let last = window.explored.catch(() => {});  // which says so itself
function drawn(element, how) {
  const fold = element.closest("details");
  const begin = () => {
    const own = last.then(() => new Promise((resume) => setTimeout(resume))).then(() => how(element));
    last = own.catch(() => {});  // the next one does not need this one
    return own;
  };
  if (!fold || fold.open) return begin();
  fold.addEventListener("toggle", begin, { once: true });
}

// Rows of the curves at one time, a row a variant and layer; null leaves a gap.
function curveRows(quantity, variants, time) {
  const beside = 0.6 / variants.length;  // marks of variants stand beside one another: all are seen
  return variants.flatMap((variant, v) =>
    quantity.layers.map((layer, l) => {
      const [median, low, high] = [quantity.median, quantity.low, quantity.high].map((part) => part[v][time][l]);
      return {
        variant,
        layer,
        at: quantity.at[l] + (median === 0 ? (v - (variants.length - 1) / 2) * beside : 0),
        end: quantity.apart[l],
        median: median > 0 ? median : null,
        low: high > 0 ? Math.max(low, quantity.floor) : null,
        high: high > 0 ? Math.max(high, quantity.floor) : null,
        zero: median === 0 ? quantity.zero : null,
      };
    }),
  );
}

function heatmapRows(quantity, v) {
  return quantity.times.flatMap((time, t) =>
    quantity.layers.map((layer, l) => ({ time, layer, value: quantity.median[v][t][l] })),
  ).filter((row) => row.value !== null);
}

async function evolve(root) {
  const { variants, quantities } = data.evolutions[root.dataset.evolution];
  const [select, slider, now, play] = [".quantity", ".time", ".now", ".play"].map((name) => root.querySelector(name));
  const heatmaps = [...root.querySelectorAll(".heatmap")];
  let quantity;
  let views = [];
  let playing = null;
  let chosen;

  function show() {
    const [curves, ...maps] = views;
    const time = quantity.times[slider.value];
    if (!curves) return;  // being drawn, and shown after that
    now.value = time;
    slider.setAttribute("aria-valuetext", String(time));
    curves.data("rows", curveRows(quantity, variants, Number(slider.value))).run();
    for (const map of maps) map.data("now", [{ time }]).run();
  }

  async function choose() {
    const time = quantity?.times[slider.value];
    quantity = quantities[select.value];
    slider.max = quantity.times.length - 1;
    const same = quantity.times.indexOf(time);  // stay at the time that was shown, if it is there
    slider.value = same < 0 ? slider.max : same;
    root.querySelector(".left-out").textContent = quantity.note;
    root.querySelector(".low").textContent = quantity.ends[0];
    root.querySelector(".high").textContent = quantity.ends[1];
    for (const view of views.splice(0)) view.finalize();
    views = await Promise.all([
      draw(root.querySelector(".curves"), quantity.curves),
      ...heatmaps.map((element) => draw(element, quantity.heatmap)),
    ]);
    views.slice(1).forEach((map, v) => map.data("rows", heatmapRows(quantity, v)));
    show();
  }

  function stop() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  }

  slider.addEventListener("input", show);
  select.addEventListener("change", () => {
    chosen = chosen.then(choose);  // one after the other, however fast the choices come
  });
  play.addEventListener("click", () => {
    if (playing) return stop();
    if (slider.value === slider.max) slider.value = 0;
    play.textContent = "Pause";
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) stop();
    }, 150);
  });
  chosen = choose();
  await chosen;
}

const percent = (share) => `${Number((100 * share).toPrecision(3))} %`;

async function route(root) {
  const { networks, plane, curves } = data.routing;
  const [network, policy, slider, now, numbers] = [".network", ".policy", ".share", ".now", ".numbers"].map((name) =>
    root.querySelector(name),
  );
  const views = await Promise.all([draw(root.querySelector(".plane"), plane), draw(root.querySelector(".shares"), curves)]);
  let target = 0.5;

  const options = (select, names) => select.replaceChildren(...names.map((name, at) => new Option(name, at)));

  function show() {
    const { points, policies } = networks[network.value];
    const { shares } = policies[policy.value];
    const found = shares[slider.value];
    target = found.target;
    now.value = percent(target);
    slider.setAttribute("aria-valuetext", now.value);
    const said = {
      "Blocks run": percent(found.share),
      "Multiply-adds": percent(found.work),
      Accuracy: percent(found.accuracy[0]),
      "Agreement with the whole network": percent(found.agreement[0]),
      "KL(whole || routed)": `${found.kl} nats`,
    };
    numbers.replaceChildren(
      ...Object.entries(said).map(([what, value]) => {
        const [pair, term, description] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
        [term.textContent, description.textContent] = [what, value];
        pair.append(term, description);
        return pair;
      }),
    );
    const wrong = new Set(found.wrong);
    const inputs = points.map(([x1, x2, label], at) => ({ x1, x2, label, blocks: found.blocks[at] / 10, wrong: wrong.has(at) }));
    const kinds = { accuracy: "in the right class", agreement: "in the class of the whole network" };
    const lines = Object.entries(kinds).flatMap(([name, kind]) =>
      shares.map((share) => ({ kind, target: share.target, mean: share[name][0], low: share[name][1], high: share[name][2] })),
    );
    views[0].data("rows", inputs).run();
    views[1].data("rows", lines).data("now", [{ target }]).run();
  }

  function choosePolicy() {
    const { shares } = networks[network.value].policies[policy.value];
    const away = shares.map((share) => Math.abs(share.target - target));
    slider.max = shares.length - 1;
    slider.value = away.indexOf(Math.min(...away));  // stay at the share that was shown, or near it
    show();
  }

  function chooseNetwork() {
    const before = policy.selectedOptions[0]?.text;
    const labels = networks[network.value].policies.map((each) => each.label);
    options(policy, labels);
    policy.value = Math.max(0, labels.indexOf(before ?? "learned from the stream"));
    choosePolicy();
  }

  options(network, networks.map((each) => each.name));
  slider.addEventListener("input", show);
  policy.addEventListener("change", choosePolicy);
  network.addEventListener("change", chooseNetwork);
  if (networks.length) chooseNetwork();
}

function look(root) {
  const { letters, places, next, told, networks } = data.lenses;
  const [controls, network, lens, slider, now] = [".controls", ".network", ".lens", ".layer", ".now"].map((name) =>
    root.querySelector(name),
  );
  const cells = [...root.querySelectorAll(".cells li")];
  const write = (element, name, text) => {
    element.querySelector(name).textContent = text;
  };

  function show() {
    const layer = Number(slider.value);
    const { read, sure, right, missed } = networks[network.value][lens.value];
    now.value = `${layer} of ${slider.max}: ${places[layer]}`;
    slider.setAttribute("aria-valuetext", now.value);
    cells.forEach((cell, at) => {
      const [token, percent] = [read[layer][at], sure[layer][at]];  // null where logits are not finite
      write(cell, ".read", letters[token] ?? "");
      write(cell, ".sure", percent === null ? "" : `${percent} %`);
      cell.style.setProperty("--sure", percent ?? 0);
      cell.dataset.kind = told[at] && token !== null ? (token === next[at] ? "right" : "wrong") : "untold";
    });
    write(root, ".place", `${layer} (${places[layer]})`);
    write(root, ".of", lens.selectedOptions[0].text);
    write(root, ".right", right[layer]);
    write(root, ".missed", missed[layer]);
  }

  function chooseNetwork() {
    const passed = slider.value / slider.max;  // stay at the share of the sublayers that was shown, or near it
    slider.max = networks[network.value].logit.read.length - 1;
    slider.value = Math.round(passed * slider.max);
    show();
  }

  slider.addEventListener("input", show);
  lens.addEventListener("change", show);
  network.addEventListener("change", chooseNetwork);
  controls.hidden = false;
  chooseNetwork();
}
document.querySelectorAll("[data-lenses]").forEach(look);

const CHARTS = {
  "[data-evolution]": evolve,
  "[data-chart]": (element) => draw(element, data.charts[element.dataset.chart]),
  "[data-routing]": route,
};
const begun = Object.entries(CHARTS).flatMap(([found, how]) => [...document.querySelectorAll(found)].map((each) => drawn(each, how)));

const filters = document.getElementById("filters");
function filter() {
  const { text, ...wanted } = Object.fromEntries(new FormData(filters));
  const rows = [...document.querySelectorAll(".claims tbody tr")];
  const words = text.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const chosen = Object.entries(wanted).every(([name, value]) => !value || row.dataset[name] === value);
    const said = row.textContent.toLowerCase();
    row.hidden = !(chosen && words.every((word) => said.includes(word)));
  }
  const anything = text.trim() || Object.values(wanted).some(Boolean);
  for (const chapter of document.querySelectorAll(".chapter")) {
    chapter.hidden = !chapter.querySelector("tbody tr:not([hidden])");
    chapter.open = Boolean(anything);
  }
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("shown").textContent = `${shown} of ${rows.length} claims`;
}
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filter();  // a browser that goes back keeps what was chosen

const theme = document.getElementById("theme");
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
function setTheme(dark) {
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  theme.setAttribute("aria-pressed", String(dark));
}
theme.setAttribute("aria-pressed", String(prefersDark.matches));
theme.addEventListener("click", () => setTheme(theme.getAttribute("aria-pressed") !== "true"));

await Promise.all([window.explored, ...begun]);
document.documentElement.dataset.ready = "";
