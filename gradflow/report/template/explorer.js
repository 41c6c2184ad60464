// Folds the sections on narrow screens, and draws all trainings that the studies hold: those of the sliders, those chosen.
// Its charts are SVG of its own, there before Vega is read and drawn anew within a few milliseconds.
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 220, LEFT = 58, RIGHT = 12, TOP = 10, BOTTOM = 38;
const CLASSES = [[213, 94, 0], [0, 114, 178]];  // red, green and blue of each
for (const id of ["explorer", "runs"]) document.getElementById(id).hidden = false;

for (const fold of document.querySelectorAll("details.fold")) fold.open = !matchMedia("(max-width: 40rem)").matches;
function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  const fold = target && (target.querySelector("details") ?? target.closest("details"));
  if (!fold || fold.open) return;
  fold.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", unfold);
document.querySelector("nav").addEventListener("click", () => setTimeout(unfold));  // also where the hash stays the same
unfold();

const made = (name, attributes = {}, text = null) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  return element;
};

// Three or four digits: 0.964, 13.8, 7.24e-7.
function said(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(3).replace(/\.?0*e\+?/, "e");
  return String(Number(value.toPrecision(4)));
}

const rounded = (value) => Number(value.toPrecision(12));
function ticks([low, high], log, most) {
  if (log) {
    const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const powers = Array.from({ length: last - first + 1 }, (_, at) => last - at);
    const inside = (digits, every) =>
      powers.filter((_, at) => at % every === 0).flatMap((power) => digits.map((digit) => rounded(digit * 10 ** power))).filter((tick) => tick >= low && tick <= high);
    const [tenfold, ...finer] = [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]].map((digits) => inside(digits, 1));
    if (tenfold.length > 2) return inside([1], Math.ceil(tenfold.length / most));
    const found = finer.find((each) => each.length > 2) ?? finer[1];
    return found.filter((_, at) => at % Math.ceil(found.length / most) === 0);
  }
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at += 1) found.push(rounded(at * step));
  return found;
}
const POWERS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const label = (tick) => {
  const power = Math.log10(tick);
  const whole = Number.isInteger(Math.round(power * 1e9) / 1e9) && Math.abs(power) > 2.5;
  return whole ? `10${[...String(Math.round(power))].map((letter) => POWERS[letter]).join("")}` : String(tick);
};

// A chart of lines with their bands. Arrow keys and pointer read its values; it is a slider to those who do not see it.
class Chart {
  constructor(host) {
    this.host = host;
    this.frame = host.querySelector(".frame");
    this.tip = host.querySelector(".tip");
    this.log = host.dataset.scale === "log";
    this.cursor = null;
    this.frame.addEventListener("pointermove", (event) => this.point(event.clientX));
    this.frame.addEventListener("pointerdown", (event) => this.point(event.clientX));
    this.frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.read(null));
    this.frame.addEventListener("blur", () => this.read(null));
    this.frame.addEventListener("keydown", (event) => this.key(event));
  }

  // lines: {kind, name, at, median, low, high}; limits: {x, y}; level: {at, text}; theories: {kind, at, median}.
  draw(lines, limits, { level = null, theories = [], nothing = "" } = {}) {
    Object.assign(this, { lines, nothing });
    this.places = [...new Set(lines.flatMap((line) => line.at))].sort((a, b) => a - b);
    const width = this.frame.clientWidth || 320;
    const inner = [width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
    const [low, high] = limits.y, [first, last] = limits.x;
    const of = this.log ? Math.log10 : Number;
    this.x = (at) => LEFT + (last === first ? 0.5 : (at - first) / (last - first)) * inner[0];
    const height = (value) => TOP + inner[1] * (1 - (of(value) - of(low)) / (of(high) - of(low)));
    this.y = (value) => (value > 0 || !this.log ? Math.max(-1e3, Math.min(1e3, height(value))) : 1e3);
    const svg = made("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    for (const tick of ticks(limits.y, this.log, 6)) {
      const y = this.y(tick);
      svg.append(made("line", { class: "grid-line", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
      svg.append(made("text", { class: "tick y", x: LEFT - 6, y: y + 4, "data-value": tick }, label(tick)));
    }
    for (const tick of ticks([first, last], false, Math.min(8, inner[0] / 45)).filter((each) => Number.isInteger(each))) {
      svg.append(made("text", { class: "tick x", x: this.x(tick), y: HEIGHT - BOTTOM + 16, "data-value": tick }, tick));
    }
    svg.append(made("line", { class: "axis-line", x1: LEFT, x2: width - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }));
    svg.append(made("text", { class: "title", x: LEFT + inner[0] / 2, y: HEIGHT - 5 }, this.host.dataset.along));
    const box = [LEFT - 3, TOP, inner[0] + 6, inner[1]];  // what lies outside is cut off
    const body = made("svg", { x: box[0], y: box[1], width: box[2], height: box[3], viewBox: box.join(" ") });
    svg.append(body);
    const crossed = level && level.at > low && level.at < high && this.y(level.at);
    if (crossed) body.append(made("line", { class: "level", x1: LEFT, x2: width - RIGHT, y1: crossed, y2: crossed }));
    const path = (at, values) => at.map((place, i) => `${i ? "L" : "M"}${this.x(place).toFixed(2)},${this.y(values[i]).toFixed(2)}`).join("");
    for (const { kind, at, low: lowest, high: highest } of lines) {
      const back = path([...at].reverse(), [...lowest].reverse()).replace("M", "L");
      if (at.length > 1) body.append(made("path", { class: `band ${kind}`, d: `${path(at, highest)}${back}Z` }));
    }
    for (const { kind, at, median } of theories) body.append(made("path", { class: `theory ${kind}`, d: path(at, median) }));
    for (const { kind, at, median } of lines) {
      const isSeen = (i) => median[i] > 0 || !this.log;
      const point = (i) => `${i && isSeen(i - 1) ? "L" : "M"}${this.x(at[i]).toFixed(2)},${this.y(median[i]).toFixed(2)}`;
      const seen = at.map((_, i) => i).filter(isSeen);
      body.append(made("path", { class: `curve ${kind}`, d: seen.map(point).join("") }));
      if (at.length <= 40) for (const i of seen) body.append(made("circle", { class: `dot ${kind}`, cx: this.x(at[i]), cy: this.y(median[i]), r: 2.5 }));
      const floor = HEIGHT - BOTTOM;
      for (const place of at.filter((_, i) => !isSeen(i))) {
        const x = this.x(place);
        body.append(made("path", { class: `zero ${kind}`, d: `M${x - 4},${floor - 9}L${x + 4},${floor - 9}L${x},${floor - 1}Z` }));
      }
    }
    if (crossed) body.append(made("text", { class: "level-text", x: width - RIGHT - 4, y: crossed - 4 }, level.text));
    this.rule = made("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    svg.append(this.rule);
    if (!lines.length) svg.append(made("text", { class: "nothing", x: LEFT + inner[0] / 2, y: TOP + inner[1] / 2 }, nothing));
    this.frame.replaceChildren(svg);
    this.frame.setAttribute("aria-valuemin", this.places[0] ?? 0);
    this.frame.setAttribute("aria-valuemax", this.places.at(-1) ?? 0);
    this.read(this.cursor);
  }

  point(clientX) {
    if (!this.places.length) return;
    const x = clientX - this.frame.getBoundingClientRect().left;
    const away = this.places.map((place) => Math.abs(this.x(place) - x));
    this.read(this.places[away.indexOf(Math.min(...away))]);
  }

  key(event) {
    const now = this.places.indexOf(this.cursor), last = this.places.length - 1;
    const to = { ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.read(event.key === "Escape" ? null : this.places[Math.max(0, Math.min(last, to))]);
  }

  read(place) {
    this.cursor = this.places?.includes(place) ? place : null;
    this.tip.hidden = this.cursor === null;
    if (!this.rule) return;
    this.rule.setAttribute("visibility", this.cursor === null ? "hidden" : "visible");
    this.frame.setAttribute("aria-valuenow", this.cursor ?? this.places[0] ?? 0);
    this.frame.setAttribute("aria-valuetext", this.lines.length ? "arrow keys read the values" : this.nothing);
    if (this.cursor === null) return;
    const x = this.x(this.cursor);
    this.rule.setAttribute("x1", x);
    this.rule.setAttribute("x2", x);
    const head = `${this.host.dataset.along} ${this.cursor}`;
    const values = this.lines.filter((line) => line.at.includes(this.cursor)).map((line) => {
      const at = line.at.indexOf(this.cursor);
      return `${line.name}: ${said(line.median[at])} (${said(line.low[at])} to ${said(line.high[at])})`;
    });
    this.tip.replaceChildren(...[head, ...values].map((text) => Object.assign(document.createElement("div"), { textContent: text })));
    this.tip.classList.toggle("on-the-left", x > this.frame.clientWidth / 2);
    this.frame.setAttribute("aria-valuetext", [head, ...values].join("; "));
  }
}

const name = (run) => `${run.study}/${run.variant}`;
const within = (values) => [Math.min(...values), Math.max(...values)];

// What an axis must hold so that the lines of all these trainings fit.
function extent(runs, quantity, log) {
  const parts = runs.flatMap((run) => (run.curves[quantity].start ? Object.values(run.curves[quantity]) : [run.curves[quantity]]));
  if (!log) return [Math.min(0.45, ...parts.flatMap((part) => part.low)), 1];
  const medians = parts.flatMap((part) => part.median).filter((value) => value > 0);
  if (!medians.length) return [0.1, 1];
  const [low, high] = within(medians);
  const highest = Math.max(2 * low, ...parts.flatMap((part) => part.high));
  // Seeds about to diverge reach up to the largest number that there is, and would flatten all else.
  return [low / 1.6, Math.min(highest, high * 10) * 1.3];
}

// Four charts, the plane and the numbers of one or two trainings.
class Panel {
  constructor(root, all) {
    this.root = root;
    this.all = all;
    this.charts = [...root.querySelectorAll("[data-quantity]")].map((host) => [host.dataset.quantity, new Chart(host)]);
    this.when = root.querySelector(".when");
    this.when.addEventListener("change", () => this.show());
    let width = root.clientWidth;
    new ResizeObserver(() => {
      if (root.clientWidth === width) return;
      width = root.clientWidth;
      this.show();
    }).observe(root);
  }

  // shown: [{run, kind, label}]; around: the trainings whose values the axes hold.
  set(shown, around = shown.map((each) => each.run), nothing = "nothing chosen") {
    Object.assign(this, { shown, around, nothing });
    this.show();
  }

  // The limits of all charts, found once for the frames of a slider.
  reach(around) {
    if (this.reached?.around !== around) {
      const found = this.charts.map(([quantity, chart]) => [quantity, around.length ? extent(around, quantity, chart.log) : [0.1, 1]]);
      this.reached = { around, ...Object.fromEntries(found) };
    }
    return this.reached;
  }

  show() {
    if (!this.shown) return;
    const { shown, around, when } = this;
    const reach = this.reach(around);
    const deepest = Math.max(1, ...around.map((run) => run.depth));
    for (const [quantity, chart] of this.charts) {
      const byLayer = quantity in { weight_grad_norm: 1, stream: 1 };
      const lines = shown.map(({ run, kind, label: of }) => {
        const curves = run.curves[quantity];
        return { kind, name: of, ...(byLayer ? curves[when.value] : curves) };
      }).filter((line) => line.at.length);
      const x = byLayer ? [1, deepest] : [1, Math.max(1, ...around.map((run) => run.epochs))];
      const beside = { nothing: shown.length ? "all seeds had diverged" : this.nothing };
      if (quantity === "weight_grad_norm" && shown.length) {
        const below = shown[0].run.vanished_below;
        beside.level = { at: below, text: `vanished below ${said(below)}` };
        const explained = when.value === "start" ? shown.filter(({ run }) => run.theory) : [];
        beside.theories = explained.map(({ run, kind }) => {
          const { at, median } = run.curves[quantity].start;
          return { kind, at, median: run.theory.map((share) => share * median.at(-1)) };
        });
        this.root.querySelector(".theory-key").hidden = !explained.length;
      }
      chart.draw(lines, { x, y: reach[quantity] }, beside);
    }
    const keys = [...this.root.querySelectorAll(".legend .run")];
    keys.forEach((key, at) => {
      key.hidden = !shown[at];
      if (shown[at]) {
        key.querySelector(".swatch").className = `swatch ${shown[at].kind}`;
        key.querySelector(".name").textContent = shown[at].label;
      }
    });
    const planes = [...this.root.querySelectorAll(".plane")];
    planes.forEach((plane, at) => {
      plane.hidden = !shown[at];
      if (shown[at]) this.plane(plane, shown[at]);
    });
    this.root.querySelector(".facts").replaceChildren(...shown.map((each) => facts(each)));
  }

  plane(host, { run, label: of, kind }) {
    host.querySelector("figcaption").textContent = `Classes: ${of}`;
    host.className = `plane ${kind}`;
    const canvas = host.querySelector("canvas");
    const context = canvas.getContext("2d");
    const letters = run.boundary ?? "";
    const edge = (canvas.width = canvas.height = Math.sqrt(letters.length) || 1);
    const image = context.createImageData(edge, edge);
    for (let at = 0; at < letters.length; at += 1) {
      const share = (letters.charCodeAt(at) - 40) / 50;
      const pixel = 4 * ((edge - 1 - Math.floor(at / edge)) * edge + (at % edge));
      const colour = share < 0.5 ? CLASSES[0] : CLASSES[1];
      for (let part = 0; part < 3; part += 1) image.data[pixel + part] = colour[part];
      image.data[pixel + 3] = Math.round(Math.abs(2 * share - 1) * 200);
    }
    context.putImageData(image, 0, 0);
    const [left, right, lower, upper] = run.extent;
    const where = [run.points, ...run.extent].join();
    if (host.dataset.points !== where) {
      const marks = this.all.points[run.points].map(([x1, x2, second]) => {
        const x = (100 * (x1 - left)) / (right - left), y = 100 - (100 * (x2 - lower)) / (upper - lower);
        return second
          ? made("path", { class: "mark", d: `M${x - 1.4},${y + 1.2}L${x + 1.4},${y + 1.2}L${x},${y - 1.4}Z` })
          : made("circle", { class: "mark", cx: x, cy: y, r: 1.2 });
      });
      host.querySelector("svg").replaceChildren(...marks);
      host.dataset.points = where;
    }
    const accuracy = run.curves.val_accuracy.median.at(-1);
    const words = run.boundary ? `accuracy ${said(accuracy)} on validation rows` : "no seed is left";
    host.querySelector(".field-of-view").setAttribute("aria-label", `Decision boundary of ${of}: ${words}`);
  }
}

// What a training was and gave, in numbers, and where it comes from.
function facts({ run, label: of, kind }) {
  const element = (tag, text = "", cls = "") => Object.assign(document.createElement(tag), { textContent: text, className: cls });
  const last = (quantity) => {
    const { at, median, low, high } = run.curves[quantity];
    const whole = at.at(-1) === run.epochs;
    return whole ? `${said(median.at(-1))} (${said(low.at(-1))} to ${said(high.at(-1))})` : "-";
  };
  const [before, after] = run.vanished.map((blocks) => (blocks === null ? "-" : `${said(blocks)} of ${run.depth}`));
  const card = element("div", "", `fact ${kind}`);
  card.append(element("h4", of));
  const list = element("dl");
  const rows = {
    "validation accuracy": last("val_accuracy"),
    "validation loss": last("val_loss"),
    "train loss": last("train_loss"),
    "blocks whose gradient vanished, before and after training, mean of the seeds": `${before}, ${after}`,
    "how it ended": run.ended,
  };
  for (const [what, value] of Object.entries(rows)) {
    const row = element("div");
    row.append(element("dt", what), element("dd", value));
    list.append(row);
  }
  const where = run.mlflow ? `MLflow experiment ${run.mlflow}, variant ${run.variant}` : `study ${run.study}, variant ${run.variant}`;
  const differs = run.differs.length ? `; ${run.differs.join(", ")}` : "";
  const from = element("p", `${run.seeds} ${run.seeds === 1 ? "seed" : "seeds"}, ${run.epochs} epochs${differs}; ${where}; `, "made");
  from.append(element("code", run.command), element("span", " makes it anew."));
  card.append(list, from);
  return card;
}

let stop = () => {};  // what plays now: one slider at a time
function play(button, slider) {
  const label = button.getAttribute("aria-label");
  const move = (to) => {
    slider.value = to;
    slider.dispatchEvent(new Event("input"));
  };
  button.addEventListener("click", () => {
    const playing = button.textContent === "Stop";
    stop();
    if (playing) return;
    move(slider.value === slider.max ? 0 : slider.value);
    const timer = setInterval(() => {
      move(Number(slider.value) + 1);
      if (slider.value === slider.max) stop();
    }, 600);
    button.textContent = "Stop";
    button.setAttribute("aria-label", "Stop");
    stop = () => {
      clearInterval(timer);
      button.textContent = "Play";
      button.setAttribute("aria-label", label);
    };
  });
  for (const taken of ["pointerdown", "keydown"]) slider.addEventListener(taken, () => stop());
}

// One slider from plain to residual, one over depth; the one that was moved last is shown.
function slide(root, all) {
  const panel = new Panel(root, all);
  for (const kind of ["skip", "depth"]) {
    const frames = all.sliders[kind].map((frame) => frame.map((at) => all.runs[at]));
    const field = root.querySelector(`[data-slider=${kind}]`);
    const [slider, now, button] = ["input", ".now", ".play"].map((found) => field.querySelector(found));
    if (!frames.length) {
      field.hidden = true;
      continue;
    }
    const around = frames.flat();
    const tell = () => {
      const [run] = frames[slider.value];
      now.value = kind === "skip" ? said(run.settings.skip) : `${run.depth} blocks`;
      slider.setAttribute("aria-valuetext", now.value);
    };
    const show = () => {
      const runs = frames[slider.value];
      tell();
      for (const each of root.querySelectorAll("[data-slider]")) each.classList.toggle("shown", each === field);
      const names = runs.map((each) => (kind === "skip" ? `skip ${said(each.settings.skip)}, ${each.depth} blocks` : described(each)));
      panel.set(runs.map((each, at) => ({ run: each, kind: runs.length > 1 && at === 0 ? "second" : "first", label: names[at] })), around);
    };
    slider.max = frames.length - 1;
    slider.value = 0;
    for (const moved of ["input", "pointerdown"]) slider.addEventListener(moved, show);
    slider.addEventListener("keydown", (event) => !["Tab", "Shift"].includes(event.key) && show());  // also where it cannot move
    play(button, slider);
    if (kind === "skip" || !all.sliders.skip.length) show();
    else tell();
  }
}

const CHOICES = ["block", "depth", "settings", "init", "norm", "clip"];
const INITS = { default: "PyTorch's default", he: "He", he_over_sqrt_depth: "He / √depth", xavier: "Xavier", orthogonal: "orthogonal", lecun: "LeCun", gpt2: "GPT-2" };

// The choices that a training answers to, as texts.
function answers(run) {
  const { norm = "none", ...settings } = run.settings;
  const shown = Object.entries(settings).filter(([key, value]) => !(key === "exponent" && value === 0));
  return {
    block: run.block,
    depth: String(run.depth),
    settings: shown.map(([key, value]) => `${key} ${typeof value === "number" ? said(value) : value}`).join(", ") || "none",
    init: run.init,
    norm,
    clip: run.clip_norm === null ? "without" : `at norm ${said(run.clip_norm)}`,
  };
}

// What a training was made of. Not said: PyTorch's default initialisation, and clipping at norm 1.
function described(run) {
  const { block, depth, settings, init, norm, clip } = answers(run);
  const parts = [block, `${depth} blocks`];
  if (settings !== "none") parts.push(settings);
  if (norm !== "none") parts.push(`${norm} norm`);
  if (init !== "default") parts.push(INITS[init] ?? init);
  if (clip !== "at norm 1") parts.push(clip === "without" ? "not clipped" : `clipped ${clip}`);
  return parts.join(", ");
}

// Texts in order, their numbers by size.
const pieces = (text) => [text.replace(/-?[\d.]+(e-?\d+)?/g, ""), ...(text.match(/-?[\d.]+(e-?\d+)?/g) ?? []).map(Number)];
function inOrder(one, other) {
  const [left, right] = [pieces(one), pieces(other)];
  const at = left.findIndex((piece, place) => piece !== right[place]);
  return at < 0 ? 0 : left[at] < right[at] ? -1 : 1;
}

// Pick a training by what it is made of; pin it, and compare it with the next one.
function explore(root, all) {
  const panel = new Panel(root, all);
  const fields = Object.fromEntries([...CHOICES, "run"].map((key) => [key, root.querySelector(`[name=${key}]`)]));
  const [pin, unpin, never, status] = [".pin", ".unpin", ".never", ".status"].map((found) => root.querySelector(found));
  const answered = all.runs.map((run) => answers(run));
  let pinned = null;
  let chosen = null;
  let found = [];  // what the choices leave

  const wanted = () => Object.fromEntries(CHOICES.map((key) => [key, fields[key].value]));
  const held = (want) => all.runs.filter((_, at) => CHOICES.every((key) => answered[at][key] === want[key]));
  const words = (key, value) => (key === "init" ? INITS[value] ?? value : value);

  function options(key, of) {
    const values = [...new Set(answered.filter((answer) => of === null || answer.block === of).map((answer) => answer[key]))];
    const further = { init: all.inits, clip: ["without"], norm: all.norms[of] };
    values.push(...(further[key] ?? []).filter((value) => !values.includes(value)));
    values.sort(inOrder);
    const before = fields[key].value;
    fields[key].replaceChildren(...values.map((value) => new Option(words(key, value), value)));
    if (values.includes(before)) fields[key].value = before;
  }

  // Says at each option whether the studies hold what it would lead to.
  function mark() {
    const want = wanted();
    for (const key of CHOICES) {
      for (const option of fields[key].options) {
        const there = held({ ...want, [key]: option.value }).length || key === "block";
        option.textContent = `${words(key, option.value)}${there ? "" : " (never run)"}`;
      }
    }
  }

  // What adds the training to the study of this page, under a name that no other one has. DVC takes parameters in Hydra's grammar.
  function command(want) {
    const like = all.runs.find((run, at) => answered[at].block === want.block && answered[at].settings === want.settings) ?? all.runs.find((run) => run.block === want.block);
    const clip = all.runs.find((_, at) => answered[at].clip === want.clip)?.clip_norm ?? null;
    const settings = { ...like.settings };
    if (want.norm !== "none") settings.norm = want.norm;
    const own = Object.entries(settings).map(([key, value]) => `${key}:${value}`);
    const variant = [`block:${want.block}`, ...own, `depth:${want.depth}`, `train:{init:${want.init},clip_norm:${clip}}`].join(",");
    const mark = [...variant].reduce((sum, letter) => (31 * sum + letter.charCodeAt(0)) % 36 ** 5, 7).toString(36);
    return `cd studies/explorer && dvc exp run -S '++variants.${want.block}_${want.depth}_${mark}={${variant}}'`;
  }

  function show() {
    const shown = [];
    if (pinned) shown.push({ run: pinned, kind: "second", label: `pinned: ${described(pinned)} (${name(pinned)})` });
    if (chosen) shown.push({ run: chosen, kind: "first", label: `${described(chosen)} (${name(chosen)})` });
    panel.set(shown, shown.map((each) => each.run), "never run");
    pin.disabled = !chosen;
    unpin.hidden = !pinned;
    status.textContent = chosen ? `Shown: ${shown.map((each) => each.label).join("; and ")}.` : "";
  }

  function choose() {
    const want = wanted();
    found = held(want);
    found.sort((one, other) => one.differs.length - other.differs.length);
    fields.run.replaceChildren(...found.map((run, at) => new Option(`${name(run)}${run.differs.length ? `: ${run.differs.join(", ")}` : ""}`, at)));
    fields.run.closest(".field").hidden = found.length < 2;
    chosen = found[0] ?? null;
    never.hidden = found.some((run) => !run.differs.length);
    never.querySelector("strong").textContent = chosen ? "Run with other settings only." : "Never run.";
    never.querySelector(".command").textContent = command(want);
    mark();
    show();
  }

  for (const key of CHOICES) {
    fields[key].addEventListener("change", () => {
      if (key === "block") {
        for (const other of ["settings", "norm"]) options(other, fields.block.value);
        // Nothing answers to the new block and the old choices: the first training of the block does.
        if (!held(wanted()).length) {
          const first = answered.find((answer) => answer.block === fields.block.value);
          for (const other of CHOICES) fields[other].value = first[other];
        }
      }
      choose();
    });
  }
  fields.run.addEventListener("change", () => {
    chosen = found[fields.run.value];
    show();
  });
  pin.addEventListener("click", () => {
    pinned = chosen;
    show();
  });
  unpin.addEventListener("click", () => {
    pinned = null;
    show();
    (chosen ? pin : fields.block).focus();
  });
  const first = answers(all.runs.find((run) => run.block === "residual") ?? all.runs[0]);
  for (const key of ["block", "depth", "init", "clip"]) options(key, null);
  fields.block.value = first.block;
  for (const key of ["settings", "norm"]) options(key, first.block);
  for (const key of CHOICES) fields[key].value = first[key];
  choose();
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

// The sliders are drawn first; the rest waits until the browser has shown them.
window.explored = unpacked(document.getElementById("trainings").textContent).then(async (all) => {
  slide(document.getElementById("explorer"), all);
  performance.mark("first drawing");
  await new Promise((resume) => setTimeout(resume));
  explore(document.getElementById("runs"), all);
});
window.explored.catch((error) => {
  const told = Object.assign(document.createElement("p"), { textContent: `The explorer cannot be shown: ${error.message}` });
  document.getElementById("explorer").prepend(told);
});
