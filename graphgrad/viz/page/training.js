"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const DASHES = ["", "7 4", "9 3 2 3", "2 3", "10 3 2 3 2 3", "1 4"];
  const COLOURS = 6;
  const SPECIAL = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  const plain = (v) => (typeof v === "string" ? SPECIAL[v] : v);

  // ------------------------------------------------------------------------- elements

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }
  const tag = (name, attributes = {}, ...children) =>
    fill(document.createElement(name), attributes, children);
  const svg = (name, attributes = {}, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  const fixed = (x) => x.toFixed(1).replace(/\.0$/, "");

  function sample(look) {
    const line = svg("path", { d: "M1 5H25", class: `curve ${colour(look)}`, "stroke-dasharray": dash(look) });
    return svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, line);
  }
  const colour = (look) => (look < 0 ? "c0 faint" : `c${look % COLOURS}`);
  function dash(look) {
    if (look < 0) return undefined;
    const turn = Math.floor(look / COLOURS);
    return DASHES[((look % COLOURS) + turn) % DASHES.length] || undefined;
  }

  // Shortens a long path at its start: the end is the most specific.
  const short = (name, length = 26) =>
    name.length > length ? `${name.slice(0, length / 4)}…${name.slice(1 - Math.round((3 * length) / 4))}` : name;

  // -------------------------------------------------------------------------- numbers

  function show(x, digits = 4, least = -4) {
    if (x === null || x === undefined) return "–";
    if (Number.isNaN(x)) return "NaN";
    if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
    if (x === 0) return "0";
    const size = Math.floor(Math.log10(Math.abs(x)));
    let text;
    if (size < least || size > 6) {
      const [head, power] = x.toExponential(digits - 1).split("e");
      text = `${trimmed(head)}e${power.replace("+", "")}`;
    } else {
      text = trimmed(x.toFixed(Math.max(0, digits - 1 - size)));
    }
    return text.replace(/-/g, "−");
  }
  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  const percent = (x, digits = 4) => {
    if (x === null || !Number.isFinite(x)) return show(x);
    return `${show(100 * x, digits)}%`;
  };
  const whole = (n) => n.toLocaleString("en-US");

  // --------------------------------------------------------------------------- scales

  function scale(low, high, from, to, log) {
    const f = log ? Math.log10 : (x) => x;
    const a = f(low);
    const b = f(high);
    return (x) => from + ((f(x) - a) / (b - a)) * (to - from);
  }
  function steps(low, high, count, integers = false) {
    const raw = (high - low) / Math.max(1, count);
    const power = 10 ** Math.floor(Math.log10(raw));
    let step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    if (integers) step = step < 1 ? 1 : Math.round(step);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step || 0);
    return found;
  }
  function decades(low, high, count) {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const last = Math.floor(Math.log10(high) + 1e-9);
    if (last - first < 1) {
      const found = steps(low, high, count);
      return found.filter((x) => x > 0);
    }
    const every = Math.ceil((last - first + 1) / Math.max(2, count));
    const found = [];
    for (let power = first; power <= last; power += every) found.push(10 ** power);
    if (last - first < 2) {
      for (const m of [2, 5]) for (let p = first - 1; p <= last; p += 1) found.push(m * 10 ** p);
    }
    return found.filter((x) => x >= low * 0.999 && x <= high * 1.001).sort((a, b) => a - b);
  }

  // -------------------------------------------------------------------------- tooltip

  const tip = tag("div", { id: "tip", role: "status" });
  document.body.append(tip);
  let owner = null; // the element that it belongs to
  let told = 0; // the scroll position at that time
  function tell(what, x, y, ...content) {
    owner = what;
    told = scrollY;
    tip.replaceChildren(...content);
    const box = tip.getBoundingClientRect();
    const left = x + 16 + box.width > innerWidth - 8 ? x - 16 - box.width : x + 16;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, Math.min(y - box.height / 2, innerHeight - box.height - 8))}px`;
  }
  // When the page scrolls under a resting pointer, it leaves its element: hide only that one's tip.
  function hush(what) {
    if (what === undefined || what === owner) tip.replaceChildren();
  }
  let last = "";
  function resting(e) {
    const before = last;
    last = `${e.clientX} ${e.clientY}`;
    return last === before;
  }
  // The event comes late: a newer tooltip is already in the right place.
  addEventListener("scroll", () => scrollY !== told && hush(), { passive: true });

  // --------------------------------------------------------------------------- curves

  // An axis of items, with their positions and labels.
  function axis(spec) {
    if (spec.names) {
      const at = spec.names.map((_, i) => i + 1);
      return { ...spec, at, label: (i) => spec.names[i] };
    }
    let { from, to } = spec;
    if (!from) {
      from = [];
      to = spec.per > 1 ? [] : undefined;
      for (let i = 1; i <= spec.count; i += spec.per) {
        from.push(i);
        if (to) to.push(Math.min(i + spec.per - 1, spec.count));
      }
    }
    const places = spec.scale || 1;
    const at = from.map((x, i) => ((x + (to ? to[i] : x)) / 2) * places);
    const plural = { batch: "batches", epoch: "epochs", step: "steps" }[spec.unit];
    const label = (i) =>
      to && to[i] > from[i] ? `${plural} ${whole(from[i])} to ${whole(to[i])}` : `${spec.unit} ${whole(from[i])}`;
    return { ...spec, at, label };
  }
  function series(spec) {
    const read = (row) => row && row.map(plain);
    const y = read(spec.y) || read(spec.mean);
    return { ...spec, x: spec.x || 0, y, low: read(spec.low), high: read(spec.high) };
  }

  class Chart {
    constructor(spec, host) {
      this.spec = spec;
      this.log = Boolean(spec.log);
      this.height = spec.height || 250;
      this.place = -1; // the keyboard cursor
      this.pinned = new Set();
      this.set(spec.xs, spec.series);
      this.plot = svg("svg", { class: "plot", height: this.height, tabindex: 0, role: "img" });
      this.plot.setAttribute("aria-label", `${spec.title}. Arrow keys go from number to number.`);
      const head = tag("div", { class: "head" }, tag("h3", {}, spec.title));
      const values = this.series.flatMap((s) => [...s.y, ...(s.low || [])]).filter(Number.isFinite);
      if (!spec.percent && !spec.band && !spec.names && values.length && values.every((v) => v > 0)) {
        const box = tag("input", { type: "checkbox" });
        box.checked = this.log;
        box.addEventListener("change", () => {
          this.log = box.checked;
          this.draw();
        });
        head.append(tag("label", {}, box, " logarithmic"));
      }
      this.about = tag("p", { class: "about" });
      this.legend = tag("div", { class: "legend" });
      this.note = tag("p", { class: "about" });
      if (spec.about) this.about.append(spec.about);
      host.append(tag("figure", { class: "chart" }, head, this.about, this.legend, this.plot, this.note));
      this.figure = host.lastChild;
      this.listen();
      this.list();
      new ResizeObserver(() => this.draw()).observe(this.plot.parentNode);
    }

    set(xs, rows) {
      this.xs = xs.map(axis);
      this.series = rows.map(series);
    }

    list() {
      if (this.series.length === 1 && !this.spec.band && !this.spec.percent) return;
      for (const s of this.series) {
        const button = tag("button", { type: "button", "aria-pressed": "false", title: s.name });
        button.append(sample(s.look), tag("span", {}, short(s.name)));
        button.addEventListener("click", () => {
          const on = !this.pinned.has(s.name);
          this.pinned[on ? "add" : "delete"](s.name);
          button.setAttribute("aria-pressed", on);
          this.fade();
        });
        button.addEventListener("pointerenter", () => this.fade(s.name));
        button.addEventListener("pointerleave", () => this.fade());
        button.addEventListener("focus", () => this.fade(s.name));
        button.addEventListener("blur", () => this.fade());
        this.legend.append(button);
      }
    }

    // Fade all curves except the chosen ones.
    fade(name) {
      const kept = new Set(this.pinned);
      if (name !== undefined) kept.add(name);
      for (const node of this.plot.querySelectorAll("[data-series]")) {
        const own = this.series[node.dataset.series].name;
        node.classList.toggle("away", kept.size > 0 && !kept.has(own));
        node.classList.toggle("near", name !== undefined && own === name);
      }
    }

    limits() {
      if (this.spec.range) return this.spec.range;
      const usable = (v) => Number.isFinite(v) && (!this.log || v > 0);
      let low = Infinity;
      let high = -Infinity;
      for (const s of this.series) {
        for (const row of [s.y, s.low, s.high, this.spec.band]) {
          for (const v of row || []) {
            if (usable(v)) {
              low = Math.min(low, v);
              high = Math.max(high, v);
            }
          }
        }
      }
      if (low > high) return this.log ? [0.1, 10] : [0, 1];
      if (this.log) {
        const room = Math.max((high / low) ** 0.05, 1.02);
        return [low / room, high * room];
      }
      const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 0.5;
      low = low >= 0 && low - room < 0 ? 0 : low - room;
      if (this.spec.percent && high <= 1) return [low, Math.min(1 + room / 5, high + room)];
      return [low, high + room];
    }

    draw() {
      const width = Math.round(this.plot.getBoundingClientRect().width);
      if (!width || !this.plot.isConnected) return;
      const { height } = this;
      const [low, high] = this.limits();
      const bottom = height - 36;
      const top = 8;
      const down = Math.max(2, Math.floor(bottom / (this.log ? 30 : 45)));
      const ticks = this.log ? decades(low, high, down) : steps(low, high, down);
      const write = this.spec.percent ? (v) => percent(v) : (v) => show(v, 3, -3);
      const words = ticks.map(write);
      const left = 10 + 7 * Math.max(...words.map((w) => w.length), 2);
      const right = width - 10;
      const y = scale(low, high, bottom, top, this.log);
      const ends = this.xs.flatMap((a) => [a.at[0], a.at[a.at.length - 1]]);
      let first = Math.min(...ends);
      let last = Math.max(...ends);
      if (this.xs.some((a) => a.unit === "batch")) first = 0;
      if (this.xs[0].names) [first, last] = [0.5, last + 0.5];
      if (first === last) [first, last] = [first - 1, last + 1];
      const x = scale(first, last, left, right, false);
      this.area = { left, right, top, bottom, x, y };

      const parts = [];
      ticks.forEach((v, i) => {
        const at = fixed(y(v));
        parts.push(svg("path", { class: "grid", d: `M${left} ${at}H${right}` }));
        parts.push(svg("text", { x: left - 7, y: at, dy: "0.35em", "text-anchor": "end" }, words[i]));
      });
      if (this.spec.band) {
        const [a, b] = this.spec.band.map(y);
        parts.push(svg("rect", { class: "usual", x: left, y: b, width: right - left, height: a - b }));
      }
      this.judged(parts, first, last);
      parts.push(svg("path", { class: "axis", d: `M${left} ${bottom}H${right}` }));
      this.across(parts, first, last);
      this.here = svg("path", { class: "here" });
      parts.push(this.here);
      this.broken = 0;
      this.under = 0;
      this.series.forEach((s, i) => this.line(parts, s, i));
      this.rule = svg("path", { class: "rule" });
      parts.push(this.rule);
      this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.plot.replaceChildren(...parts);
      this.explain();
      this.fade();
      if (this.now !== undefined) this.stand(this.now);
    }

    // The epochs of findings, with their letters.
    judged(parts, first, last) {
      const { top, bottom, x } = this.area;
      (this.spec.marks || []).forEach(([from, to, letter], i) => {
        const a = x(Math.max(first, from - 1));
        const width = Math.max(3, x(Math.min(last, to)) - a);
        parts.push(svg("rect", { class: "judged", x: fixed(a), y: top, width: fixed(width), height: bottom - top }));
        const place = { class: "letter", x: fixed(a + 4 + 16 * i), y: top + 11 };
        parts.push(svg("text", place, letter));
      });
    }

    across(parts, first, last) {
      const { left, right, bottom, x } = this.area;
      const main = this.xs[0];
      if (main.names) {
        const room = (right - left) / main.names.length;
        const longest = Math.max(...main.names.map((n) => n.length));
        const every = Math.ceil((Math.min(longest, 14) * 7 + 8) / Math.max(room, 1));
        main.names.forEach((name, i) => {
          if (i % every) return;
          const look = { x: fixed(x(i + 1)), y: bottom + 16, "text-anchor": "middle" };
          parts.push(svg("text", look, short(name, 14)));
        });
      } else {
        for (const v of steps(first, last, Math.floor((right - left) / 70), true)) {
          const anchor = x(v) > right - 14 ? "end" : "middle";
          parts.push(svg("text", { x: fixed(x(v)), y: bottom + 16, "text-anchor": anchor }, whole(v)));
        }
      }
      const middle = (left + right) / 2;
      parts.push(svg("text", { x: middle, y: bottom + 32, "text-anchor": "middle" }, main.unit));
    }

    line(parts, s, i) {
      const { x, y, top, bottom } = this.area;
      const { at } = this.xs[s.x];
      const usable = (v) => v !== null && Number.isFinite(v) && (!this.log || v > 0);
      const look = { class: `curve ${colour(s.look)}`, "data-series": i };
      if (s.low) {
        let band = "";
        const close = (a, b) => {
          for (let j = a; j < b; j += 1) band += `${j === a ? "M" : "L"}${fixed(x(at[j]))} ${fixed(y(s.high[j]))}`;
          for (let j = b - 1; j >= a; j -= 1) band += `L${fixed(x(at[j]))} ${fixed(y(s.low[j]))}`;
          band += "Z";
        };
        let start = -1;
        for (let j = 0; j <= at.length; j += 1) {
          const good = j < at.length && usable(s.low[j]) && usable(s.high[j]);
          if (good && start < 0) start = j;
          if (!good && start >= 0) {
            close(start, j);
            start = -1;
          }
        }
        parts.push(svg("path", { ...look, class: `spread ${colour(s.look)}`, d: band }));
      }
      let path = "";
      const dots = [];
      s.y.forEach((v, j) => {
        if (!usable(v)) {
          this.mark(parts, s, j, v, x(at[j]), top, bottom);
          return;
        }
        if (s.broken && s.broken[j]) this.mark(parts, s, j, NaN, x(at[j]), top, bottom);
        const open = j > 0 && usable(s.y[j - 1]);
        path += `${open ? "L" : "M"}${fixed(x(at[j]))} ${fixed(y(v))}`;
        const alone = !open && !(j + 1 < at.length && usable(s.y[j + 1]));
        if (alone || (s.look >= 0 && at.length <= 30)) dots.push(j);
      });
      parts.push(svg("path", { ...look, "stroke-dasharray": dash(s.look), d: path || "M0 0" }));
      for (const j of dots) {
        const place = { cx: fixed(x(at[j])), cy: fixed(y(s.y[j])), r: 2.6 };
        parts.push(svg("circle", { ...place, class: `dot ${colour(s.look)}`, "data-series": i }));
      }
    }

    // Values outside the scale are marked at its edge.
    mark(parts, s, j, v, x, top, bottom) {
      if (v === null || v === undefined) return;
      const at = fixed(x);
      if (Number.isFinite(v)) {
        this.under += 1;
        parts.push(svg("path", { class: "mark", d: `M${at} ${bottom - 1}l-4 -6h8Z` }));
      } else {
        this.broken += s.broken ? s.broken[j] : 1;
        const edge = v === -Infinity ? bottom - 5 : top + 3;
        parts.push(svg("path", { class: "mark", d: `M${at} ${edge}m-3.5 -3.5l7 7m0 -7l-7 7` }));
      }
    }

    explain() {
      const said = [];
      const marks = this.spec.marks || [];
      if (marks.length) said.push(`Marked: ${marks.length > 1 ? "findings" : "finding"} ${marks.map((m) => m[2]).join(", ")}.`);
      for (const a of this.xs) {
        if (a.per > 1) {
          const count = a.count ? `${whole(a.count)} ` : "";
          const things = { batch: "batches", epoch: "epochs", step: "steps" }[a.unit];
          said.push(`${count}${things}: of each ${whole(a.per)} the band shows lowest and highest, the line the mean.`);
        }
      }
      if (this.broken) said.push(`✕ NaN or infinite: ${whole(this.broken)}.`);
      if (this.under) said.push(`▽ Not above 0, so not on this scale: ${whole(this.under)}.`);
      const quiet = this.spec.quiet || [];
      if (quiet.length) {
        const listed = quiet.slice(0, 12).join(", ");
        said.push(`Always 0: ${listed}${quiet.length > 12 ? ` and ${quiet.length - 12} more` : ""}.`);
      }
      this.note.replaceChildren(said.join(" "));
    }

    // --------------------------------------------------------------------------- pointer

    listen() {
      const { plot } = this;
      plot.addEventListener("pointermove", (e) => {
        if (resting(e)) return;
        const box = plot.getBoundingClientRect();
        this.point(e.clientX - box.left, e.clientY - box.top, e.clientX, e.clientY);
      });
      plot.addEventListener("pointerleave", () => this.leave());
      plot.addEventListener("blur", () => this.leave());
      plot.addEventListener("click", (e) => {
        if (!this.onclick) return;
        const { at } = this.xs[0];
        const x = e.clientX - plot.getBoundingClientRect().left;
        this.onclick(nearest(at.map(this.area.x), x));
      });
      plot.addEventListener("keydown", (e) => {
        const { at } = this.xs[0];
        const last = at.length - 1;
        const goal = { ArrowLeft: this.place - 1, ArrowRight: this.place + 1, Home: 0, End: last }[e.key];
        if (e.key === "Escape") this.leave();
        if (e.key === "Enter" && this.onclick && this.place >= 0) this.onclick(this.place);
        if (goal === undefined) return;
        e.preventDefault();
        const from = this.place < 0 && e.key === "ArrowLeft" ? last : goal;
        this.place = Math.max(0, Math.min(last, from));
        const box = plot.getBoundingClientRect();
        const x = this.area.x(at[this.place]);
        this.point(x, undefined, box.left + x, box.top + this.height / 2);
      });
    }

    leave() {
      hush(this);
      if (this.rule) this.rule.setAttribute("d", "M0 0");
      this.fade();
    }

    point(x, y, clientX, clientY) {
      if (!this.area) return;
      const lines = [];
      let closest;
      const finest = this.xs.reduce((a, b) => (b.at.length > a.at.length ? b : a));
      this.xs.forEach((a, k) => {
        const j = nearest(a.at.map(this.area.x), x);
        if (a === finest) {
          const at = fixed(this.area.x(a.at[j]));
          this.rule.setAttribute("d", `M${at} ${this.area.top}V${this.area.bottom}`);
        }
        const rows = this.series
          .map((s) => ({ s, v: s.y[j], j }))
          .filter((r) => r.s.x === k && r.v !== null && r.v !== undefined);
        if (y !== undefined && rows.length > 2) {
          for (const r of rows) {
            const there = this.area.y(r.v);
            r.far = Number.isFinite(there) ? Math.abs(there - y) : Infinity;
          }
          rows.sort((p, q) => p.far - q.far);
          if (rows.length && rows[0].far < 30) closest = rows[0].s.name;
        }
        lines.push(tag("b", {}, a.label(j)));
        for (const r of rows.slice(0, 8)) lines.push(this.row(r));
        if (rows.length > 8) lines.push(tag("div", {}, `and ${rows.length - 8} more`));
      });
      this.fade(closest);
      tell(this, clientX, clientY, ...lines);
    }

    row({ s, v, j }) {
      const write = this.spec.percent ? (n) => percent(n, 6) : (n) => show(n, 6);
      let text = write(v);
      if (s.low) text = `${write(s.low[j])} to ${write(s.high[j])}, mean ${text}`;
      if (s.broken && s.broken[j]) text += `, ${whole(s.broken[j])} NaN or ∞`;
      return tag("div", {}, sample(s.look), tag("span", {}, short(s.name, 32)), tag("span", {}, text));
    }

    // Mark the watched step that the histograms show.
    stand(step) {
      this.now = step;
      if (!this.area) return;
      const at = fixed(this.area.x(step));
      this.here.setAttribute("d", `M${at} ${this.area.top}V${this.area.bottom}`);
    }
  }

  function nearest(places, x) {
    let best = 0;
    for (let i = 1; i < places.length; i += 1) {
      if (Math.abs(places[i] - x) < Math.abs(places[best] - x)) best = i;
    }
    return best;
  }

  // --------------------------------------------------------------------------- layers

  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  function distribution(row) {
    if (!row) return null;
    const [mean, std, low, high, broken, count] = row.slice(0, 6).map(plain);
    const heights = [];
    for (let i = 0; i < row[6].length; i += 2) {
      heights.push((DIGITS.indexOf(row[6][i]) * 64 + DIGITS.indexOf(row[6][i + 1])) / 4095);
    }
    const total = heights.reduce((a, b) => a + b, 0);
    return { mean, std, low, high, broken, count, heights, total };
  }

  class Histogram {
    constructor(host, kind, name, all) {
      this.kind = kind;
      this.all = all; // of every step
      this.bin = -1;
      const label = `${kind} of ${name}. Arrow keys go from bar to bar.`;
      this.plot = svg("svg", { class: `plot ${kind === "activations" ? "value" : "gradient"}`, height: 84 });
      fill(this.plot, { tabindex: 0, role: "img", "aria-label": label }, []);
      host.append(this.plot);
      const shown = all.filter((d) => d && d.total);
      this.range = shown.length
        ? [Math.min(...shown.map((d) => d.low)), Math.max(...shown.map((d) => d.high))]
        : [0, 1];
      this.plot.addEventListener("pointermove", (e) => {
        if (resting(e)) return;
        const box = this.plot.getBoundingClientRect();
        if (!this.now || !this.now.total) return;
        const value = this.back(e.clientX - box.left);
        const share = (value - this.now.low) / (this.now.high - this.now.low);
        this.tell(Math.floor(share * this.now.heights.length), e.clientX, e.clientY);
      });
      this.plot.addEventListener("pointerleave", () => this.leave());
      this.plot.addEventListener("blur", () => this.leave());
      this.plot.addEventListener("keydown", (e) => {
        if (!this.now || !this.now.total) return;
        const last = this.now.heights.length - 1;
        const goal = { ArrowLeft: this.bin - 1, ArrowRight: this.bin + 1, Home: 0, End: last }[e.key];
        if (e.key === "Escape") this.leave();
        if (goal === undefined) return;
        e.preventDefault();
        this.bin = Math.max(0, Math.min(last, goal));
        const box = this.plot.getBoundingClientRect();
        this.tell(this.bin, box.left + this.x(this.edge(this.bin + 0.5)), box.top + 30);
      });
    }

    edge(i) {
      return this.now.low + ((this.now.high - this.now.low) * i) / this.now.heights.length;
    }

    tell(bin, x, y) {
      const d = this.now;
      if (bin < 0 || bin >= d.heights.length) {
        this.leave();
        return;
      }
      const left = this.x(this.edge(bin));
      const right = this.x(this.edge(bin + 1));
      const high = 56 * d.heights[bin];
      const box = { x: left, y: 62 - high, width: Math.max(right - left, 1), height: Math.max(high, 0.5) };
      for (const [name, value] of Object.entries(box)) this.lit.setAttribute(name, fixed(value));
      const share = d.heights[bin] / d.total;
      tell(
        this,
        x,
        y,
        tag("b", {}, `${show(this.edge(bin))} to ${show(this.edge(bin + 1))}`),
        `${percent(share, 3)} of ${whole(d.count)} ${this.kind}`,
      );
    }

    leave() {
      hush(this);
      if (this.lit) this.lit.setAttribute("width", 0);
    }

    draw(step, shared, width) {
      if (!width) return;
      const d = this.all[step];
      const then = this.all[0];
      this.now = d;
      this.plot.setAttribute("viewBox", `0 0 ${width} 84`);
      const parts = [svg("path", { class: "axis", d: `M0 62.5H${width}` })];
      if (!d || !d.total) {
        const text = d ? "NaN or infinite" : this.kind === "gradients" ? "no gradient" : "did not run";
        parts.push(svg("text", { class: "none", x: width / 2, y: 42, "text-anchor": "middle" }, text));
        this.plot.replaceChildren(...parts);
        return;
      }
      const [low, high] = shared ? this.range : [d.low, d.high];
      this.x = scale(low, high, 4, width - 4, false);
      this.back = (px) => low + ((px - 4) / (width - 8)) * (high - low);
      const outline = (e) => {
        let path = "";
        e.heights.forEach((h, i) => {
          const x = (k) => fixed(Math.max(0, Math.min(width, this.x(e.low + ((e.high - e.low) * k) / e.heights.length))));
          path += `${i ? "L" : `M${x(0)} 62L`}${x(i)} ${fixed(62 - 56 * h)}H${x(i + 1)}`;
        });
        return `${path}V62`;
      };
      parts.push(svg("path", { class: "bars", d: `${outline(d)}Z` }));
      if (then && then.total && step) parts.push(svg("path", { class: "then", d: outline(then) }));
      this.lit = svg("rect", { class: "bin", width: 0 });
      parts.push(this.lit);
      const ticks = steps(low, high, width / 90);
      const close = Math.max(3, Math.ceil(Math.log10(Math.max(Math.abs(low), Math.abs(high)) / (high - low))) + 2);
      for (const v of ticks) {
        const at = this.x(v);
        const anchor = at < 20 ? "start" : at > width - 20 ? "end" : "middle";
        parts.push(svg("path", { class: "axis", d: `M${fixed(at)} 62v4` }));
        parts.push(svg("text", { x: fixed(at), y: 78, "text-anchor": anchor }, show(v, close)));
      }
      this.plot.replaceChildren(...parts);
    }
  }

  const ICONS = {
    "first step": "M2 2h2v12h-2zM14 2v12l-9-6z",
    "step before": "M12 2v12l-9-6z",
    play: "M4 2v12l10-6z",
    pause: "M3 2h4v12h-4zM9 2h4v12h-4z",
    "next step": "M4 2v12l9-6z",
    "last step": "M12 2h2v12h-2zM2 2v12l9-6z",
  };

  function layers(watched, curves) {
    const host = document.getElementById("layers");
    const count = watched.steps.length;
    let step = count - 1;
    let shared = true;
    let timer = 0;
    const weighted = watched.layers.filter((l) => l.weighted).length;
    let fewer = watched.layers.length > 16 && weighted > 0;

    const slider = tag("input", { type: "range", min: 0, max: count - 1, value: step, "aria-label": "watched step" });
    const output = tag("output", {});
    const button = (name, act) => {
      const icon = svg("svg", { width: 16, height: 16, "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
      const made = tag("button", { type: "button", "aria-label": name, title: name }, icon);
      made.addEventListener("click", act);
      return made;
    };
    const halt = () => {
      clearInterval(timer);
      timer = 0;
      name(play, "play");
    };
    const name = (made, text) => {
      made.setAttribute("aria-label", text);
      made.setAttribute("title", text);
      made.querySelector("path").setAttribute("d", ICONS[text]);
    };
    const play = button("play", () => {
      if (timer) {
        halt();
        return;
      }
      if (step === count - 1) go(0);
      timer = setInterval(() => (step < count - 1 ? go(step + 1) : halt()), Math.max(60, Math.min(400, 8000 / count)));
      name(play, "pause");
    });
    const jump = (to) => () => {
      halt();
      go(to());
    };
    const check = (text, on, act) => {
      const box = tag("input", { type: "checkbox" });
      box.checked = on;
      box.addEventListener("change", () => act(box.checked));
      return tag("label", {}, box, ` ${text}`);
    };
    const bar = tag(
      "div",
      { class: "bar" },
      button("first step", jump(() => 0)),
      button("step before", jump(() => step - 1)),
      play,
      button("next step", jump(() => step + 1)),
      button("last step", jump(() => count - 1)),
      slider,
      output,
      check("one scale for all steps", true, (on) => {
        shared = on;
        draw();
      }),
    );
    if (fewer) {
      bar.append(
        check(`only the ${weighted} layers with weights`, true, (on) => {
          fewer = on;
          choose();
          draw();
        }),
      );
    }
    slider.addEventListener("input", jump(() => Number(slider.value)));

    let text = "What each layer puts out, and the gradient of the loss there; outlined: the first watched step.";
    if (watched.recorded > count) {
      text += ` Of ${whole(watched.recorded)} watched steps ${whole(count)} have histograms here, evenly spread; the curves have all.`;
    }
    host.append(tag("h2", {}, "Layers"), tag("p", { class: "about" }, text), bar);
    const depth = spread(watched, host);

    const rows = tag("div", { class: "rows" });
    rows.append(
      tag("div", { class: "top" }, "layer"),
      tag("div", { class: "top value" }, "activations"),
      tag("div", { class: "top gradient" }, "gradients of the loss there"),
    );
    host.append(rows);
    const table = watched.layers.map((layer, i) => {
      const about = tag("div", { class: "layer" });
      const left = tag("div", {});
      const right = tag("div", {});
      rows.append(about, left, right);
      const taken = (k) => watched.records.map((record) => (record[i] ? distribution(record[i][k]) : null));
      const parts = [
        new Histogram(left, "activations", layer.name, taken(0)),
        new Histogram(right, "gradients", layer.name, taken(1)),
      ];
      return { layer, i, about, parts, cells: [about, left, right] };
    });

    function choose() {
      for (const { layer, cells } of table) {
        for (const cell of cells) cell.hidden = fewer && !layer.weighted;
      }
    }

    function draw() {
      const shown = table.filter((row) => !fewer || row.layer.weighted);
      // read once, before anything is written: all have the same width
      const width = Math.round(shown[0].cells[1].getBoundingClientRect().width);
      for (const row of shown) {
        describe(row, watched.records[step][row.i]);
        for (const part of row.parts) part.draw(step, shared, width);
      }
    }

    function describe({ layer, about, parts }, cell) {
      const [a, g] = parts.map((p) => p.all[step]);
      const lines = [tag("b", { title: layer.name }, short(layer.name, 24))];
      if (layer.name !== layer.kind) lines[0].append(" ", tag("i", {}, layer.kind));
      if (a) lines.push(tag("div", { class: "value" }, `mean ${show(a.mean, 3)}, std ${show(a.std, 3)}`));
      if (g) lines.push(tag("div", { class: "gradient" }, `∂ mean ${show(g.mean, 3)}, std ${show(g.std, 3)}`));
      if (cell) {
        const rest = plain(cell[2]);
        const ratio = plain(cell[3]);
        if (ratio !== null) lines.push(tag("div", {}, `update / weight ${show(ratio, 3)}`));
        if (rest) lines.push(tag("div", {}, `${percent(rest, 3)} ${layer.rest}`));
      }
      for (const [d, what] of [[a, "activations"], [g, "gradients"]]) {
        if (d && d.broken) lines.push(tag("div", { class: "alarm" }, `${percent(d.broken, 3)} of the ${what} NaN or ∞`));
      }
      about.replaceChildren(...lines);
    }

    function go(to) {
      step = Math.max(0, Math.min(count - 1, to));
      slider.value = step;
      const words = `step ${whole(watched.steps[step])} (${whole(step + 1)} of ${whole(count)})`;
      output.replaceChildren(words);
      slider.setAttribute("aria-valuetext", words);
      hush();
      depth(step);
      draw();
      for (const chart of curves) chart.stand(watched.steps[step]);
    }
    for (const chart of curves) {
      chart.onclick = (item) => {
        halt();
        go(nearest(watched.steps, chart.xs[0].at[item]));
      };
    }
    document.addEventListener("keydown", (e) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      const busy = e.target.closest && e.target.closest("input, .plot");
      if (!by || busy || e.altKey || e.ctrlKey || e.metaKey) return;
      e.preventDefault();
      halt();
      go(step + by);
    });
    choose();
    go(step);
    new ResizeObserver(draw).observe(rows);
  }

  // The deviation by layer: it slopes if gradients vanish or explode.
  function spread(watched, host) {
    const std = (record, k) => record.map((cell) => (cell && cell[k] ? cell[k][1] : null));
    const values = watched.records.flatMap((r) => [...std(r, 0), ...std(r, 1)]);
    const usable = values.map(plain).filter((v) => Number.isFinite(v) && v > 0);
    if (watched.layers.length < 2 || !usable.length) return () => {};
    const rows = (i) => [
      { name: "activations", look: 0, y: std(watched.records[i], 0) },
      { name: "gradients", look: 1, y: std(watched.records[i], 1) },
    ];
    const low = usable.reduce((a, b) => Math.min(a, b));
    const high = usable.reduce((a, b) => Math.max(a, b));
    const brief = (l) => l.name !== l.kind && l.name.length + l.kind.length <= 12;
    const names = watched.layers.map((l) => (brief(l) ? `${l.name}: ${l.kind}` : l.name));
    const place = tag("div", { class: "depth" });
    host.append(place);
    const spec = {
      title: "Standard deviation from layer to layer",
      about: "About level is healthy; a slope means that activations or gradients vanish or explode.",
      log: true,
      height: 210,
      names: true,
      range: [low / 1.5, high * 1.5],
      xs: [{ unit: "layer, in the order of the forward pass", names }],
      series: rows(watched.records.length - 1),
    };
    const chart = new Chart(spec, place);
    return (step) => {
      chart.set(spec.xs, rows(step));
      chart.draw();
    };
  }

  // ------------------------------------------------------------------------- the page

  const host = document.getElementById("charts");
  // In two columns; with an odd number the first takes the whole width.
  const draw = (specs) =>
    specs.map((spec, i) => {
      const chart = new Chart(spec, host);
      if (!i && specs.length % 2) chart.figure.classList.add("wide");
      return chart;
    });
  draw(data.charts);
  if (data.watched) layers(data.watched, draw(data.watched.charts));
})();
