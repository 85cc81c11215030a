"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const canvas = find("canvas");
  const panel = find("panel");
  const words = find("words");
  const slider = find("slider");
  const count = find("count");
  const query = find("query");
  const hits = find("hits");
  const values = new Map(data.values.map((v) => [v.id, v]));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  // ------------------------------------------------------------------------- elements

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") element.addEventListener("click", value);
      else if (value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((c) => c !== undefined && c !== ""));
    return element;
  }
  const tag = (name, attributes = {}, ...children) =>
    fill(document.createElement(name), attributes, children);
  const draw = (name, attributes) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, []);
  const key = (text) => tag("kbd", {}, text);
  const told = (text) => tag("span", { class: "told" }, text);
  const sent = (text) => tag("span", { class: "sent" }, text);

  // -------------------------------------------------------------------------- numbers

  // As Python's %.4g writes them, for so they stand in the picture.
  function short(x) {
    if (typeof x === "boolean") return x ? "True" : "False";
    x = Number(x);
    if (Number.isNaN(x)) return "nan";
    if (!Number.isFinite(x)) return x < 0 ? "-inf" : "inf";
    if (x === 0) return Object.is(x, -0) ? "-0" : "0";
    const [digits, power] = x.toExponential(3).split("e");
    const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    if (power >= -4 && power < 4) return bare(Number(x).toPrecision(4));
    return `${bare(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  }
  // Every digit that it takes to tell a number from all others of its type.
  function exact(x, dtype) {
    if (typeof x !== "number" || !Number.isFinite(x)) return short(x);
    if (dtype === "float32") {
      for (let digits = 1; digits < 10; digits++) {
        const near = Number(x.toPrecision(digits));
        if (Math.fround(near) === x) return String(near);
      }
    }
    return Object.is(x, -0) ? "-0" : String(x);
  }
  const size = (v) => (v.shape && v.shape.length ? v.shape.join("×") : "1");
  const nested = (list, shape, write) => {
    if (!shape.length) return write(list[0]);
    const step = list.length / shape[0];
    const rows = Array.from({ length: shape[0] }, (_, i) => list.slice(i * step, (i + 1) * step));
    return `[${rows.map((row) => nested(row, shape.slice(1), write)).join(", ")}]`;
  };
  const few = (numbers, most) => Array.isArray(numbers) && numbers.length && numbers.length <= most;
  const brief = (numbers, v) => {
    if (!numbers) return "…";
    if (few(numbers, 4)) return nested(numbers, v.shape || [], short);
    return v.shape ? `${size(v)} ${v.dtype}` : "…";
  };
  const norm = (numbers) => Number(Array.isArray(numbers) ? Math.hypot(...numbers) : numbers.norm);
  // A gradient in words: "= 2.2", or its norm.
  const weight = (numbers, v) => {
    if (!numbers) return "";
    return few(numbers, 4) ? ` = ${brief(numbers, v)}` : ` (norm ${short(norm(numbers))})`;
  };
  // The gradient that arrives is g in formulas, and ∂ in pictures.
  const upstream = (text) => text.replace(/(?<![\p{L}\p{N}_.])(g|ḡ)(?![\p{L}\p{M}_(])/gu, "∂");
  const called = (v) => {
    if (v.name) return v.name;
    if (v.inputs) return `${v.symbol || v.op} #${v.id}`;
    return few(v.numbers, 1) ? short(v.numbers[0]) : `#${v.id}`;
  };

  // --------------------------------------------------------------------------- scenes

  const INPUTS = 0;
  const scenes = data.scenes.map((scene, number) => ({ ...scene, number, last: scene.steps.length + 1 }));
  let here = null; // the scene that is seen
  let time = Infinity; // the place in the order of the whole graph that all scenes stand at
  let picked = null; // the id of the group whose details are told
  let fresh = true; // nothing was stepped yet

  const valueOf = ({ id, dataset }) => Number(dataset.value || (id[0] === "v" ? id.slice(1) : NaN));

  // What each step changes: [group, what, before, after]; "todo": it is not computed yet, "owes":
  // its gradient has not come yet, "lines": of the gradient so far; null: as it is in the end.
  function prepare(scene) {
    const place = find(`scene${scene.number}`);
    scene.svg = scene.number ? place.content.firstElementChild : canvas.querySelector("svg");
    [scene.width, scene.height] = scene.svg.getAttribute("viewBox").split(" ").slice(2).map(Number);
    scene.groups = new Map();
    scene.kin = new Map(); // by value: the groups that show it
    for (const group of scene.svg.querySelectorAll("g[id]")) {
      scene.groups.set(group.id, group);
      const value = valueOf(group);
      if (values.has(value)) scene.kin.set(value, [...(scene.kin.get(value) || []), group]);
    }
    scene.ways = new Map(); // by group: the edges that lead to it and from it
    const add = (id, edge) => scene.ways.set(id, [...(scene.ways.get(id) || []), edge]);
    for (const edge of scene.svg.querySelectorAll("path.edge")) {
      add(edge.dataset.from, edge);
      add(edge.dataset.to, edge);
    }
    scene.nodeOf = new Map(scene.nodes.map((node) => [node.id, node]));
    const group = (id) => scene.groups.get(id);
    const owing = new Set();
    for (const [id, g] of scene.groups) {
      if (id[0] !== "p" && g.querySelector(".gradient")) owing.add(g);
    }
    const lines = new Map();
    scene.changes = scene.steps.map(([way, node, , ids]) => {
      const list = [];
      const settle = (g) => owing.delete(g) && list.push([g, "owes", true, false]);
      if (way === "f") {
        for (const g of [node, ...ids.map((i) => `v${i}`)].map(group)) {
          if (!g) continue;
          list.push([g, "todo", true, false]);
        }
        return list;
      }
      for (const [value, use, text] of ids) {
        if (use && group(use)) settle(group(use));
        const g = group(`v${value}`);
        if (!g) continue;
        settle(g);
        const before = lines.get(g) || null;
        const after = text || null;
        if (before || after) list.push([g, "lines", before, after]);
        lines.set(g, after);
      }
      if (group(node)) settle(group(node));
      return list;
    });
    // what nothing ever comes to is told when the way back begins
    const turn = scene.steps.findIndex(([way]) => way !== "f");
    for (const g of owing) {
      if (turn >= 0) scene.changes[turn].push([g, "owes", true, false]);
    }
    scene.turn = turn < 0 ? scene.steps.length : turn;
    scene.at = scene.last;
  }

  const WRITE = {
    todo: (g, on) => g.classList.toggle("todo", on),
    owes: (g, on) => g.classList.toggle("owes", on),
    lines(g, lines) {
      const texts = g.querySelectorAll(".gradient");
      g.whole = g.whole || Array.from(texts, (t) => t.textContent);
      texts.forEach((t, i) => {
        t.textContent = (lines || g.whole)[i] || "";
      });
    },
  };

  // From one state to another: each group is written once, whatever lies between.
  function change(scene, to) {
    const { changes, at } = scene;
    const writing = new Map();
    const note = (g, what, x) => {
      if (!writing.has(g)) writing.set(g, {});
      writing.get(g)[what] = x;
    };
    const end = Math.min(to, changes.length);
    for (let i = at; i < end; i++) for (const [g, what, , x] of changes[i]) note(g, what, x);
    for (let i = Math.min(at, changes.length); i-- > to; ) {
      for (const [g, what, x] of changes[i].toReversed()) note(g, what, x);
    }
    for (const [g, wanted] of writing) {
      for (const [what, x] of Object.entries(wanted)) WRITE[what](g, x);
    }
    scene.at = to;
  }

  // -------------------------------------------------------------------------- in words

  function symbolOf(node) {
    if (node.modules) return node.title;
    const v = values.get(Number(node.id.slice(1)));
    return node.id[0] === "v" ? called(v) : v.symbol || v.op;
  }
  // What a node sends to each of its inputs: [value, formula, numbers].
  function sendings(node) {
    const v = values.get(Number(node.id.slice(1)));
    return node.inputs.map((source, i) => {
      if (!node.modules) return [values.get(source), (v.local || [])[i], (v.contributions || [])[i]];
      return [values.get(source), undefined, (node.shares || [])[i] || undefined];
    });
  }
  const results = (node) => node.outputs.map((i) => values.get(i));

  function sentence(scene) {
    const { at, steps, last } = scene;
    if (at === INPUTS) {
      return ["What goes in is known, nothing is computed yet. ", key("→"), " takes the first step."];
    }
    if (at === last) {
      if (!fresh) return ["All is computed, and every gradient has come. ", key("Home"), " begins anew."];
      return ["The whole picture. ", key("→"), " steps through it from the start, ", key("space"),
        " plays; click anything for its details."];
    }
    const [way, id, , ids] = steps[at - 1];
    const seed = values.get(Number(id.slice(1)));
    if (way === "s") {
      const text = sent(`∂${weight(seed.gradient, seed)}`);
      const name = tag("b", {}, called(seed));
      if (seed === data.values.at(-1)) return ["The way back begins: the gradient of ", name, " in itself is ", text, "."];
      return ["From outside of what is seen ", text, " comes to ", name, "."];
    }
    const node = scene.nodeOf.get(id);
    const name = tag("b", {}, symbolOf(node));
    if (way === "f") {
      const made = results(node);
      const v = values.get(Number(id.slice(1)));
      const formula = node.modules ? "" : v.formula || v.op;
      const all = made.flatMap((out, i) => {
        const label = out.name && out.name !== formula ? out.name : made.length > 1 || node.modules ? called(out) : "";
        const start = [label, i ? "" : formula].filter(Boolean).join(" = ");
        return [i ? ", " : "", told(`${start}${start ? " = " : ""}${brief(out.numbers, out)}`)];
      });
      return [name, " computes ", ...all];
    }
    const got = results(node).filter((v) => v.gradient);
    const list = got.map((v) => `∂${weight(v.gradient, v)}`).join(", ");
    const parts = [name, " receives ", sent(list || "∂")];
    const rest = [...ids];
    let first = true;
    for (const [v, formula, numbers] of sendings(node)) {
      const found = rest.findIndex(([value]) => value === v.id);
      if (found < 0) continue;
      const [[, use, lines]] = rest.splice(found, 1);
      const text = `${formula ? upstream(formula) : "∂"}${weight(numbers || (use ? null : v.gradient), v)}`;
      parts.push(first ? ", sends " : "; ", sent(text), " to ", tag("b", {}, called(v)));
      const sum = lines ? lines.map((t) => t.trim()).join(" ") : `∂${weight(v.gradient, v)}`;
      if (use) parts.push(", where ", sent("+="), " makes ", sent(sum), lines ? " so far" : "");
      first = false;
    }
    if (first) parts.push(", and nothing before it wants a gradient");
    return [...parts, "."];
  }

  // -------------------------------------------------------------------------- stepping

  let flow = []; // what marks the step in hand
  let lit = []; // the edges under it
  let hand = null;
  let timer = 0;
  let pace = 900;

  function go(to, user = true) {
    const scene = here;
    to = Math.max(INPUTS, Math.min(scene.last, to));
    if (user) fresh = false;
    change(scene, to);
    const step = scene.steps[to - 1];
    if (user) time = to === scene.last ? Infinity : step ? step[2] : -1;
    if (hand) hand.classList.remove("hand");
    hand = step ? scene.groups.get(step[1]) : null;
    if (hand) hand.classList.add("hand");
    run(scene, step);
    words.firstChild.replaceChildren(...sentence(scene));
    slider.value = to;
    const where = `${to} of ${scene.last}`;
    slider.setAttribute("aria-valuetext", `${where}: ${words.textContent}`);
    count.textContent = where;
    for (const name of ["first", "back"]) find(name).disabled = to === INPUTS;
    find("last").disabled = to === scene.last;
    find("next").disabled = to === scene.last && !fresh;
    if (hand && user) reveal(hand);
  }

  // Marks the wires of the step in hand, and runs arrows along them.
  function run(scene, step) {
    for (const g of flow) g.remove();
    for (const edge of lit) edge.classList.remove("lit");
    flow = [];
    lit = [];
    if (!step) return;
    const [way, id] = step;
    const back = way !== "f";
    const below = draw("g", { class: "halo" });
    const above = draw("g", { class: `run ${back ? "back" : "on"} ${timer && pace < 500 ? "swift" : ""}` });
    const stretch = (path, late, pointed) => {
      const d = path.getAttribute("d");
      lit.push(path);
      path.classList.add("lit");
      below.append(draw("path", { d }));
      above.append(draw("path", { d, class: late, pathLength: 1 }));
      if (!pointed) return;
      const length = path.getTotalLength();
      const tip = path.getPointAtLength(back ? 0 : length);
      const rear = path.getPointAtLength(back ? 6 : length - 6);
      const turn = (Math.atan2(tip.y - rear.y, tip.x - rear.x) * 180) / Math.PI;
      const transform = `translate(${tip.x} ${tip.y})rotate(${turn})`;
      above.append(draw("path", { d: "M-7-4L1 0l-8 4z", class: `head ${late}`, transform }));
    };
    const line = (other, late, pointed) => {
      const path = scene.groups.get(other)?.querySelector(".line");
      if (path) stretch(path, late, pointed);
    };
    if (id[0] === "v") line(id, "", true);
    for (const edge of scene.ways.get(id) || []) {
      const { from, to } = edge.dataset;
      const into = to === id;
      if (id[0] === "v" || edge.classList.contains("cut")) continue;
      const late = into === back ? "late" : "";
      const other = into ? from : to;
      if (back && !values.get(valueOf(scene.groups.get(other)))?.needs) continue;
      stretch(edge, late, into !== back);
      line(other, late, into === back && other[0] !== "k");
      if (other[0] === "k") {
        for (const fork of scene.ways.get(other)) if (fork !== edge) stretch(fork, late, back);
      }
    }
    scene.svg.insertBefore(below, scene.svg.querySelector(".op, .box, .value"));
    scene.svg.append(above);
    flow = [below, above];
  }

  function halt() {
    clearInterval(timer);
    timer = 0;
    find("play").setAttribute("aria-label", "play");
    find("play").title = "play (space)";
    find("play").classList.remove("on");
    words.setAttribute("aria-live", "polite");
  }
  function play() {
    if (timer) return halt();
    if (here.at === here.last) go(INPUTS);
    pace = Math.max(120, Math.min(1100, 60000 / here.last));
    timer = setInterval(() => (here.at < here.last ? go(here.at + 1) : halt()), pace);
    find("play").setAttribute("aria-label", "pause");
    find("play").title = "pause (space)";
    find("play").classList.add("on");
    words.setAttribute("aria-live", "off"); // nobody could listen so fast
  }
  const jump = (to) => {
    halt();
    go(to);
  };
  const MOVES = {
    first: () => jump(INPUTS),
    back: () => jump(here.at - 1),
    play,
    next: () => jump(fresh && here.at === here.last ? 1 : here.at + 1),
    last: () => jump(here.last),
  };

  // ------------------------------------------------------------------- zoom and scrolling

  let scale = 1;
  let fitted = true;
  const LARGEST = 1.6;
  const LEGIBLE = 0.6;

  function zoom(to, x, y) {
    const svg = here.svg;
    const old = svg.getBoundingClientRect();
    scale = Math.max(0.05, Math.min(6, to));
    const frame = canvas.getBoundingClientRect();
    if (x === undefined) [x, y] = [frame.left + frame.width / 2, frame.top + frame.height / 2];
    svg.setAttribute("width", here.width * scale);
    svg.setAttribute("height", here.height * scale);
    const now = svg.getBoundingClientRect();
    if (!old.width) return;
    canvas.scrollLeft += now.left + ((x - old.left) / old.width) * now.width - x;
    canvas.scrollTop += now.top + ((y - old.top) / old.height) * now.height - y;
  }
  function fit() {
    zoom(Math.min(LARGEST, (canvas.clientWidth - 48) / here.width));
    fitted = true;
  }
  const larger = (by, x, y) => {
    fitted = false;
    zoom(scale * by, x, y);
  };
  // Scrolls a group into view, and makes it large enough to be read.
  function reveal(group) {
    if (scale < LEGIBLE) larger(1 / scale);
    const box = (group.box = group.box || group.getBBox());
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    const svg = here.svg.getBoundingClientRect();
    const frame = canvas.getBoundingClientRect();
    const x = svg.left - frame.left + (box.x + box.width / 2) * scale;
    const y = svg.top - frame.top + (box.y + box.height / 2) * scale;
    const [mx, my] = [Math.min(160, w / 4), Math.min(80, h / 4)];
    if (x > mx && x < w - mx && y > my && y < h - my) return;
    const smooth = !calm.matches && !(timer && pace < 400);
    canvas.scrollBy({ left: x - w / 2, top: y - h / 2, behavior: smooth ? "smooth" : "auto" });
  }

  let drag = null;
  canvas.addEventListener("pointerdown", (e) => {
    if (e.pointerType === "mouse" && e.button === 0) drag = { x: e.clientX, y: e.clientY, far: false };
  });
  canvas.addEventListener("pointermove", (e) => {
    if (!drag) return;
    if (!(e.buttons & 1)) {
      drag = null;
      return;
    }
    const [dx, dy] = [e.clientX - drag.x, e.clientY - drag.y];
    if (!drag.far && Math.hypot(dx, dy) < 5) return;
    if (!drag.far) canvas.setPointerCapture(e.pointerId);
    drag = { x: e.clientX, y: e.clientY, far: true };
    canvas.classList.add("dragged");
    canvas.scrollLeft -= dx;
    canvas.scrollTop -= dy;
  });
  canvas.addEventListener("pointerup", () => canvas.classList.remove("dragged"));
  canvas.addEventListener(
    "wheel",
    (e) => {
      if (!e.ctrlKey && !e.metaKey) return;
      e.preventDefault();
      larger(Math.exp(-e.deltaY / 300), e.clientX, e.clientY);
    },
    { passive: false },
  );
  new ResizeObserver(() => fitted && fit()).observe(canvas);

  // -------------------------------------------------------------------- going in and out

  function within(scene) {
    const outer = scene.parent === null ? "" : scenes[scene.parent].path;
    const path = outer && scene.path.startsWith(`${outer}.`) ? scene.path.slice(outer.length + 1) : scene.path;
    return path || scene.title;
  }
  function enter(number) {
    const scene = scenes[number];
    if (scene === here) return;
    close();
    if (!scene.groups) prepare(scene);
    if (here) {
      if (hand) hand.classList.remove("hand");
      hand = null;
      run(here);
      here.svg.replaceWith(scene.svg);
    }
    here = scene;
    const path = [];
    for (let s = scene; s; s = s.parent === null ? null : scenes[s.parent]) path.unshift(s);
    find("path").replaceChildren(
      ...path.map((s) => {
        if (s === scene) return tag("li", {}, tag("span", { "aria-current": "page" }, within(s)));
        return tag("li", {}, tag("button", { type: "button", onclick: () => enter(s.number) }, within(s)));
      }),
    );
    find("kind").textContent = within(scene) === scene.title ? "" : scene.title;
    find("out").hidden = scene.parent === null;
    slider.max = scene.last;
    slider.style.setProperty("--turn", `${(100 * (scene.turn + 0.5)) / scene.last}%`);
    let to = scene.steps.filter((s) => s[2] <= time).length;
    if (time === Infinity) to = scene.last;
    fit();
    go(to, false);
    if (hand) reveal(hand);
    const hash = number ? `#s${number}` : "";
    if (location.hash !== hash && (number || location.hash)) location.hash = hash;
  }
  function out() {
    if (here.parent === null) return;
    const { box, parent } = here;
    halt();
    enter(parent);
    const group = here.groups.get(box);
    if (group) {
      group.focus({ preventScroll: true });
      reveal(group);
    }
  }
  const inside = (id) => scenes.findIndex((s) => s.parent === here.number && s.box === id);
  function open(id) {
    const number = inside(id);
    if (number < 0) return false;
    halt();
    enter(number);
    canvas.focus({ preventScroll: true });
    return true;
  }
  addEventListener("hashchange", () => {
    const number = Number((/^#s(\d+)$/.exec(location.hash) || [0, 0])[1]);
    if (scenes[number]) enter(number);
  });

  // -------------------------------------------------------------------------- details

  const row = (what, ...told) => [tag("dt", {}, what), tag("dd", {}, ...told)];
  function facts(numbers, v, colour, what) {
    if (!numbers) return row(what, "–");
    if (few(numbers, 8)) return row(what, tag("span", { class: colour }, nested(numbers, v.shape || [], (x) => exact(x, v.dtype))));
    if (Array.isArray(numbers)) return row(what, tag("span", { class: colour }, "[]"));
    const { mean, std } = numbers;
    const text = `mean ${short(mean)}, σ ${short(std)}, norm ${short(numbers.norm)}`;
    return row(what, tag("span", { class: colour }, text));
  }
  const link = (text, id) => tag("button", { type: "button", class: "link", onclick: () => visit(id) }, text);
  const section = (title, ...children) => tag("section", {}, tag("h3", {}, title), ...children);

  function about(v) {
    const rows = [...row("shape", v.shape && v.shape.length ? `(${v.shape.join(", ")}${v.shape.length === 1 ? "," : ""})` : "()")];
    if (v.dtype) rows.push(...row("dtype", v.dtype));
    rows.push(...facts(v.numbers, v, "told", v.changed ? "value now" : "value"));
    if (v.needs) rows.push(...facts(v.gradient, v, "sent", "gradient"));
    return tag("dl", {}, ...rows);
  }
  // Who uses a value, and what each sends back to it.
  function uses(v) {
    const list = here.nodes.flatMap((node) =>
      sendings(node).filter(([source]) => source === v).map(([, formula, numbers]) => [node, formula, numbers]),
    );
    if (!list.length) return "";
    const items = list.map(([node, formula, numbers]) => {
      const got = v.needs && numbers ? sent(`${list.length > 1 ? "+= " : ""}${formula ? upstream(formula) : "∂"}${weight(numbers, v)}`) : "";
      return tag("li", {}, link(symbolOf(node), node.id), " ", got);
    });
    return section(list.length > 1 && v.needs ? "Used by; what they send back is added up" : "Used by", tag("ul", {}, ...items));
  }
  function place(v) {
    const module = v.module === undefined ? "" : `in ${v.module || "the outermost module"}`;
    return tag("p", { class: "soft" }, [v.line, module].filter(Boolean).join(" · "));
  }

  function detailsOfOp(node) {
    const v = values.get(Number(node.id.slice(1)));
    const made = results(node);
    const g = made.length === 1 ? made[0].gradient : null;
    const one = few(g, 1) ? short(g[0]) : "";
    const inputs = sendings(node).map(([source, formula, numbers], i) => {
      const slope = (v.local_numbers || [])[i];
      const rows = [...row("value", told(brief(source.numbers, source)))];
      if (typeof slope === "number" || typeof slope === "string") rows.push(...row("local gradient", short(slope)));
      if (source.needs && (formula || numbers)) {
        const product = one && slope !== undefined && slope !== null && numbers ? ` = ${one} · ${short(slope)}` : "";
        rows.push(...row("sends", sent(`${formula ? upstream(formula) : "∂"}${product}${weight(numbers, source)}`)));
      }
      return tag("li", {}, link(called(source), `v${source.id}`), tag("dl", {}, ...rows));
    });
    const gives = made.map((out) => section(made.length > 1 ? `Gives ${called(out)}` : "Gives", about(out), uses(out)));
    return [
      tag("h2", {}, tag("span", { class: "symbol" }, v.symbol || ""), v.op),
      place(v),
      v.formula ? tag("p", { class: "formula told" }, made.length === 1 && made[0].name ? `${made[0].name} = ` : "", v.formula) : "",
      ...gives,
      section("Takes", tag("ul", { class: "inputs" }, ...inputs)),
    ];
  }
  function detailsOfBox(node) {
    const [kind, path] = node.modules[0];
    const last = node.modules[node.modules.length - 1];
    const rows = [...row("class", kind), ...row("path", path || "the outermost")];
    if (last !== node.modules[0]) rows.push(...row("to", last[1]));
    rows.push(...row("ops", String(node.ops)), ...row("parameters", node.parameters.toLocaleString("en")));
    const opens =
      inside(node.id) >= 0
        ? tag("button", { type: "button", class: "main", onclick: () => open(node.id) }, "open ", key("Enter"))
        : tag("p", { class: "soft" }, "Its inside is not in this page; draw it by focus=", tag("code", {}, `'${path}'`));
    const gives = results(node).map((out) => section(`Gives ${called(out)}`, about(out), uses(out)));
    const takes = sendings(node).map(([source, , numbers]) => {
      const text = numbers ? sent(`receives ∂${weight(numbers, source)}`) : "";
      return tag("li", {}, link(called(source), `v${source.id}`), " ", told(brief(source.numbers, source)), " ", text);
    });
    return [tag("h2", {}, node.title), tag("dl", {}, ...rows), opens, ...gives, section("Takes", tag("ul", {}, ...takes))];
  }
  function detailsOfValue(v) {
    const kind = { leaf: "a leaf: its gradient is wanted", constant: "a constant" }[v.kind];
    const source = here.nodes.find((node) => node.id[0] !== "v" && node.outputs.includes(v.id));
    const from = source
      ? tag("p", {}, "computed by ", link(symbolOf(source), source.id))
      : tag("p", { class: "soft" }, kind || `computed outside of what is seen: ${v.formula || v.op}`);
    return [tag("h2", {}, called(v)), from, place(v), about(v), uses(v)];
  }

  // Which node or value a group stands for.
  function subject(id) {
    const group = here.groups.get(id);
    if (!group) return null;
    if (here.nodeOf.has(id) && id[0] !== "v") return id;
    const value = valueOf(group);
    if (!values.has(value)) return null;
    const maker = here.nodes.find((node) => node.id[0] === "o" && node.outputs.includes(value));
    return maker && maker.outputs.length === 1 ? maker.id : `v${value}`;
  }
  function light(id, name, on) {
    if (!id || !here.groups.has(id)) return;
    const kin = here.kin.get(valueOf(here.groups.get(id))) || [];
    if (kin.length > 1 || name === "picked") {
      for (const group of kin.length ? kin : [here.groups.get(id)]) group.classList.toggle(name, on);
    }
  }
  function pick(id) {
    const chosen = subject(id);
    if (!chosen) return;
    light(picked, "picked", false);
    picked = chosen;
    light(picked, "picked", true);
    const node = here.nodeOf.get(chosen);
    const content =
      chosen[0] === "o" ? detailsOfOp(node) : chosen[0] === "m" ? detailsOfBox(node) : detailsOfValue(values.get(Number(chosen.slice(1))));
    find("about").replaceChildren(...content.filter((c) => c !== ""));
    panel.hidden = false;
    panel.scrollTop = 0;
  }
  function close() {
    if (panel.hidden) return;
    const inner = panel.contains(document.activeElement);
    const group = here.groups.get(picked);
    light(picked, "picked", false);
    picked = null;
    panel.hidden = true;
    if (inner && group) group.focus({ preventScroll: true });
  }
  function visit(id) {
    pick(id);
    const group = here.groups.get(id);
    if (!group) return;
    group.focus({ preventScroll: true });
    reveal(group);
  }

  const groupAt = (e) => e.target.closest && e.target.closest("g.op, g.box, g.value, g.use");
  canvas.addEventListener("click", (e) => {
    if (drag && drag.far) {
      drag = null;
      return;
    }
    drag = null;
    const group = groupAt(e);
    if (group) pick(group.id);
    else close();
  });
  canvas.addEventListener("dblclick", (e) => {
    const group = groupAt(e);
    if (group && group.id[0] === "m") open(group.id);
  });
  for (const [event, name, on] of [
    ["pointerover", "kin", true], ["pointerout", "kin", false], ["focusin", "kin", true], ["focusout", "kin", false],
  ]) {
    canvas.addEventListener(event, (e) => {
      const group = groupAt(e);
      if (group) light(group.id, name, on);
    });
  }

  // --------------------------------------------------------------------------- search

  let entries = null;
  let found = [];
  let chosen = -1;

  function collect() {
    entries = [];
    for (const scene of scenes) {
      for (const node of scene.nodes) {
        const v = values.get(Number(node.id.slice(1)));
        const made = node.outputs.map((i) => values.get(i));
        const names = made.map((out) => out.name).filter(Boolean);
        let label = names.join(", ");
        let more = "";
        if (node.modules) {
          label = node.title;
          more = node.modules.map((m) => m[1]).join(" ");
        } else if (v.inputs) {
          label = label || v.formula || v.op;
          more = [v.symbol, v.op, v.module, v.line].filter(Boolean).join(" · ");
        } else {
          label = label || called(v);
          more = [v.kind, v.line].filter(Boolean).join(" · ");
        }
        const hay = `${label} ${more} ${names.join(" ")}`.toLowerCase();
        entries.push({ scene: scene.number, id: node.id, label, more, hay });
      }
    }
  }
  function search() {
    if (!entries) collect();
    const text = query.value.trim().toLowerCase();
    const best = new Map();
    if (text) {
      for (const entry of entries) {
        if (!entry.hay.includes(text)) continue;
        const start = entry.label.toLowerCase().indexOf(text);
        const rank = start === 0 ? 0 : start > 0 ? 1 : 2;
        const known = best.get(entry.id);
        if (!known || (entry.scene === here.number && known.scene !== here.number)) best.set(entry.id, { ...entry, rank });
      }
    }
    const all = [...best.values()].sort((a, b) => a.rank - b.rank);
    found = all.slice(0, 12);
    chosen = found.length ? 0 : -1;
    hits.replaceChildren(
      ...found.map((entry, i) =>
        tag("li", { id: `hit${i}`, role: "option", onclick: () => take(i) }, tag("b", {}, entry.label), tag("span", {}, entry.more)),
      ),
    );
    if (text && all.length !== found.length) hits.append(tag("li", { class: "soft" }, `and ${all.length - found.length} more`));
    if (text && !all.length) hits.append(tag("li", { class: "soft" }, "nothing of that name"));
    hits.hidden = !text;
    query.setAttribute("aria-expanded", String(!hits.hidden));
    mark();
  }
  function mark() {
    found.forEach((_, i) => find(`hit${i}`).setAttribute("aria-selected", String(i === chosen)));
    query.setAttribute("aria-activedescendant", chosen < 0 ? "" : `hit${chosen}`);
    if (chosen >= 0) find(`hit${chosen}`).scrollIntoView({ block: "nearest" });
  }
  function hide() {
    hits.hidden = true;
    query.setAttribute("aria-expanded", "false");
  }
  function take(i) {
    const entry = found[i];
    if (!entry) return;
    hide();
    query.value = "";
    halt();
    enter(entry.scene);
    visit(entry.id);
  }
  query.addEventListener("input", search);
  query.addEventListener("focus", () => query.value && search());
  query.addEventListener("keydown", (e) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (by && found.length) {
      chosen = (chosen + by + found.length) % found.length;
      mark();
    } else if (e.key === "Enter") take(chosen);
    else if (e.key === "Escape") {
      query.value = "";
      hide();
      query.blur();
    } else return;
    e.preventDefault();
    e.stopPropagation();
  });
  document.addEventListener("pointerdown", (e) => {
    if (!find("search").contains(e.target)) hide();
  });

  // ----------------------------------------------------------------------------- keys

  const KEYS = {
    ArrowLeft: MOVES.back,
    ArrowRight: MOVES.next,
    Home: MOVES.first,
    End: MOVES.last,
    " ": play,
    "/": () => query.focus(),
    "+": () => larger(1.25),
    "=": () => larger(1.25),
    "-": () => larger(0.8),
    0: fit,
    Backspace: out,
    Escape: close,
  };
  document.addEventListener("keydown", (e) => {
    const target = e.target;
    if (target === query) return;
    if (e.altKey && e.key === "ArrowUp") {
      e.preventDefault();
      out();
      return;
    }
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const group = groupAt(e);
    if (e.key === "Enter" && group) {
      e.preventDefault();
      // once more: into the box, or to the details
      if (picked && subject(group.id) === picked && !open(picked)) panel.focus();
      else if (!picked || subject(group.id) !== picked) pick(group.id);
      return;
    }
    if (e.key === " " && target.closest("button")) return;
    if (target === slider && /Arrow|Home|End/.test(e.key)) return;
    const act = KEYS[e.key];
    if (!act) return;
    e.preventDefault();
    act();
  });
  for (const [name, act] of Object.entries(MOVES)) find(name).addEventListener("click", act);
  slider.addEventListener("input", () => jump(Number(slider.value)));
  find("closer").addEventListener("click", close);
  find("out").addEventListener("click", out);
  find("larger").addEventListener("click", () => larger(1.25));
  find("smaller").addEventListener("click", () => larger(0.8));
  find("fit").addEventListener("click", fit);

  document.body.classList.add("ready");
  const asked = Number((/^#s(\d+)$/.exec(location.hash) || [0, 0])[1]);
  enter(0);
  if (scenes[asked]) enter(asked);
})();
