"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const values = new Map(data.values.map((v) => [v.id, { ...data.kinds[v.like], ...v }]));
  const canvas = find("canvas");
  const panel = find("panel");
  const words = find("words");
  const slider = find("slider");
  const query = find("query");
  const hits = find("hits");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  // ------------------------------------------------------------------------- elements

  const on = (target, events, act) => {
    for (const event of events.split(" ")) target.addEventListener(event, act, { passive: false });
  };
  function fill(element, attributes, ...children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  const tag = (name, kind, ...children) =>
    fill(document.createElement(name), kind ? { class: kind } : {}, ...children);
  const draw = (name, attributes) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes);
  const button = (kind, act, ...children) => {
    const made = tag("button", kind, ...children);
    on(made, "click", act);
    return made;
  };
  const key = (text) => tag("kbd", "", text);
  const bold = (text) => tag("b", "", text);
  const told = (text) => tag("span", "told", text);
  const sent = (text) => tag("span", "sent", text);
  const bounds = (element) => element.getBoundingClientRect();

  // -------------------------------------------------------------------------- numbers

  // As in the picture: Python's %.4g, with a minus sign, but not for zero.
  const signed = (text) => text.replace(/-/g, "−");
  function short(x) {
    if (x === true || x === false) return x ? "True" : "False";
    x = Number(x);
    if (Number.isNaN(x)) return "NaN";
    if (!Number.isFinite(x)) return x < 0 ? "−∞" : "∞";
    if (!x) return "0"; // −0 too
    const [digits, power] = x.toExponential(3).split("e");
    const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    if (power >= -4 && power < 4) return signed(bare(x.toPrecision(4)));
    return signed(`${bare(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`);
  }
  // The shortest text that identifies the number among those of its dtype.
  const exact = (dtype) => (x) => {
    if (typeof x !== "number" || !x) return short(x);
    for (let digits = 1; dtype === "float32" && digits < 10; digits++) {
      const near = Number(x.toPrecision(digits));
      if (Math.fround(near) === x) return signed(String(near));
    }
    return signed(String(x));
  };
  function nested(list, shape, write) {
    if (!shape.length) return write(list[0]);
    const size = list.length / shape[0];
    const row = (_, i) => nested(list.slice(i * size, (i + 1) * size), shape.slice(1), write);
    const rows = Array.from({ length: shape[0] }, row);
    return `[${rows.join(", ")}]`;
  }
  const few = (numbers, most) => numbers?.length && numbers.length <= most;
  const shapeOf = (v) => v.shape || [];
  function brief(numbers, v) {
    if (numbers && few(numbers, 4)) return nested(numbers, shapeOf(v), short);
    return v.dtype ? `${shapeOf(v).join("×") || 1} ${v.dtype}` : "…";
  }
  // A gradient in words: "∂ · x = 2.2", or its norm.
  function flow(numbers, v, formula) {
    // the upstream gradient is g in formulas, ∂ in pictures
    const text = (formula || "∂").replace(/(?<![\p{L}\p{N}_.])(g|ḡ)(?!(?!ᵀ)[\p{L}\p{M}_(])/gu, "∂");
    if (!numbers) return text;
    if (few(numbers, 4)) return `${text} = ${brief(numbers, v)}`;
    return `${text} of norm ${short(numbers.norm ?? Math.hypot(...numbers))}`;
  }
  // A complete gradient, or the partial sum in the picture's lines, in the same form.
  const sum = (v, lines) =>
    lines ? lines.join("").replace(/^∂/, "∂ =").replace("‖∂‖", "∂ of norm") : flow(v.gradient, v);
  // The value itself instead of a name like "#8", which is not in the picture.
  function called(v, seen) {
    if (v.name) return v.name;
    if (v.kind === "output") return `${values.get(v.inputs[0]).symbol}[${v.output ?? "?"}]`;
    const n = few(v.numbers, 1) && short(v.numbers[0]);
    if (v.inputs) return `${v.symbol || v.op} ${seen && n ? `(${n})` : `#${v.id}`}`;
    return n || `#${v.id}`;
  }

  // --------------------------------------------------------------------------- scenes

  const numberIn = (id) => parseInt(id.slice(1)); // of "o7" or "k3_7_0", a use of 3 by 7
  const scenes = data.scenes;
  for (const v of values.values()) {
    // true: the whole gradient of the input
    v.contributions = v.contributions?.map((x, i) => (x === true ? values.get(v.inputs[i])?.gradient : x));
  }
  for (const scene of scenes) {
    scene.nodes = scene.nodes.map((x) => {
      const v = !x.id && values.get(numberIn(x));
      return v ? { id: x, inputs: (x[0] === "o" && v.inputs) || [], outputs: [v.id] } : x;
    });
  }
  let here = null; // the visible scene
  let time = Infinity; // the current time in the order of the whole graph, shared by all scenes
  let fresh = true; // before the first step
  let hand = null; // the active group
  let picked = null; // the id of the group in the details panel

  const valueOf = ({ id }) => /[vk]/.test(id[0]) && numberIn(id);

  // The changes of each step: [group, property, before, after]. "todo": not computed yet; "owes":
  // without gradient yet; "lines": of the partial sum, null: of the complete gradient.
  const endsOf = (edge) => edge.dataset.ends.split(" ");
  function aloud({ id, title, kind, path }, group) {
    if (title) return `${kind} ${path}`.trim();
    const { op, line } = values.get(numberIn(id));
    if (op) return line ? `${op} at ${line}` : op;
    const name = group.querySelector(".name");
    return name ? name.textContent : `#${numberIn(id)}`;
  }
  function prepare(scene) {
    const place = find(`scene${scenes.indexOf(scene)}`);
    const svg = place ? place.content.firstElementChild : canvas.firstElementChild;
    const groups = new Map();
    const kin = new Map(); // by value: the groups that show it
    const ways = new Map(); // by group: its edges
    const owing = new Set();
    const add = (map, name, x) => map.set(name, [...(map.get(name) || []), x]);
    for (const g of svg.querySelectorAll("g[id]")) {
      groups.set(g.id, g);
      if (valueOf(g)) add(kin, valueOf(g), g);
      if (g.querySelector(".gradient")) owing.add(g);
    }
    for (const edge of svg.querySelectorAll(".edge > *")) {
      for (const end of endsOf(edge)) add(ways, end, edge);
    }
    const nodeOf = new Map(scene.nodes.map((node) => [node.id, node]));
    for (const [id, g] of groups) {
      const node = nodeOf.get(id);
      if (node) fill(g, { tabindex: 0, role: "button", "aria-label": aloud(node, g) });
    }
    const [below, above] = ["halo", ""].map((kind) => draw("g", { class: kind }));
    svg.insertBefore(below, svg.querySelector(".items"));
    svg.append(above);
    const lines = new Map();
    const changes = scene.steps.map(([way, node, , ids]) => {
      const list = [];
      const settle = (g) => owing.delete(g) && list.push([g, "owes", true, false]);
      if (way === "f") {
        for (const id of [node, ...ids.map((i) => `v${i}`)]) {
          if (groups.has(id)) list.push([groups.get(id), "todo", true, false]);
        }
        return list;
      }
      settle(groups.get(node));
      for (const [value, use, after = null] of ids) {
        const g = groups.get(`v${value}`);
        settle(groups.get(use));
        settle(g);
        if (g) list.push([g, "lines", lines.get(g) || null, after]);
        lines.set(g, after);
      }
      return list;
    });
    // gradients that never arrive are shown when the backward pass starts
    let turn = scene.steps.findIndex(([way]) => way !== "f");
    if (turn < 0) turn = changes.length;
    else for (const g of owing) changes[turn].push([g, "owes", true, false]);
    const [left, top, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const last = changes.length + 1;
    Object.assign(scene, { svg, left, top, width, height, below, above });
    Object.assign(scene, { groups, kin, ways, nodeOf, changes, turn, last, at: last });
  }

  // Goes from one state to another, writing each group once.
  function change(scene, to) {
    const { changes, at } = scene;
    const writing = new Map();
    const note = (g, what, x) => writing.set(g, { ...writing.get(g), [what]: x });
    for (const step of changes.slice(at, to)) for (const [g, what, , x] of step) note(g, what, x);
    for (const step of changes.slice(to, at).reverse()) {
      for (const [g, what, x] of [...step].reverse()) note(g, what, x);
    }
    for (const [g, { lines, ...marks }] of writing) {
      for (const name in marks) g.classList.toggle(name, marks[name]);
      if (lines === undefined) continue;
      const texts = [...g.querySelectorAll(".gradient")];
      g.whole ??= texts.map((t) => t.textContent);
      texts.forEach((t, i) => (t.textContent = (lines || g.whole)[i] || ""));
    }
    scene.at = to;
  }

  // ------------------------------------------------------------------------- sentences

  const results = (node) => node.outputs.map((i) => values.get(i));
  const symbolOf = (node) => {
    const v = values.get(numberIn(node.id));
    return node.title || (node.id[0] === "v" ? called(v) : v.symbol || v.op);
  };
  // The gradients that a node sends: [value, numbers, formula, formula in numbers] per input.
  function sendings(node) {
    const { contributions, local, local_in_numbers } = values.get(numberIn(node.id));
    const [shares, texts, inNumbers] = node.title ? [node.shares] : [contributions, local, local_in_numbers];
    return node.inputs.map((i, k) => [values.get(i), shares?.[k], texts?.[k], inNumbers?.[k]]);
  }

  function sentence({ at, steps, last, nodeOf }) {
    if (!at) return ["What goes in is known. ", key("→"), " computes the first."];
    if (at === last) {
      if (!fresh) return ["All is computed, every gradient has come. ", key("Home"), " begins anew."];
      return [key("→"), " steps through it from the start, ", key("space"), " plays, a click on anything tells more", ...(fitted ? ["."] : [", ", key("0"), " shows all."])];
    }
    const [way, id, , ids] = steps[at - 1];
    if (way === "s") {
      const v = values.get(numberIn(id));
      const lines = ids[0][2];
      const text = sent(sum(v, lines));
      if (data.ends.includes(v.id)) return ["The way back begins at ", bold(called(v, 1)), " with ", text, "."];
      return ["From out of sight ", text, " comes to ", bold(called(v, 1)), "."];
    }
    const node = nodeOf.get(id);
    const parts = [bold(symbolOf(node))];
    const made = results(node);
    if (way === "f") {
      const { formula, op, in_numbers } = values.get(numberIn(id));
      const text = node.title ? "" : in_numbers || formula || op;
      const alone = made.length < 2 && text;
      parts.push(" computes ", told(alone || !text ? "" : `${text}: `));
      made.forEach((v, i) => {
        const before = alone ? [v.name, text] : [called(v)];
        const all = [...before, alone && in_numbers ? "" : brief(v.numbers, v)].filter(Boolean);
        parts.push(i ? ", " : "", told(all.join(" = ")));
      });
      return parts;
    }
    parts.push(" receives ", sent(made.map((v) => flow(v.gradient, v)).join(", ")));
    const rest = [...ids];
    let joint = ", sends ";
    for (const [v, numbers, formula, inNumbers] of sendings(node)) {
      const found = rest.findIndex(([i]) => i === v.id);
      if (found < 0) continue;
      const [[, use, lines]] = rest.splice(found, 1);
      parts.push(joint, sent(flow(numbers || (!use && v.gradient), v, inNumbers || formula)), " to ", bold(called(v, 1)));
      if (use) parts.push(", where ", sent("+="), " makes ", sent(sum(v, lines)), lines ? " so far" : "");
      joint = "; ";
    }
    return [...parts, "."];
  }

  // -------------------------------------------------------------------------- stepping

  let lit = []; // the wires under it
  let timer = 0;
  let pace = 0;

  function go(to, user = true) {
    const scene = here;
    to = Math.max(0, Math.min(scene.last, to));
    const step = scene.steps[to - 1];
    if (step && user) reveal(scene.groups.get(step[1])); // first, since the next lines invalidate the layout
    change(scene, to);
    if (user) {
      fresh = false;
      time = to === scene.last ? Infinity : step ? step[2] : -1;
    }
    mark(scene, step);
    words.firstChild.replaceChildren(...sentence(scene));
    slider.value = to;
    const where = `${to} of ${scene.last}`;
    slider.setAttribute("aria-valuetext", `${where}: ${words.textContent}`);
    find("count").textContent = where;
    find("first").disabled = find("back").disabled = !to;
    find("last").disabled = to === scene.last;
    find("next").disabled = to === scene.last && !fresh;
  }

  // Highlights the active step and its wires, and animates arrows along them.
  function mark(scene, step) {
    const { below, above } = scene;
    below.replaceChildren();
    above.replaceChildren();
    for (const path of lit) path.classList.remove("lit");
    if (hand) hand.classList.remove("hand");
    lit = [];
    hand = null;
    if (!step) return;
    const [way, id] = step;
    hand = scene.groups.get(id);
    hand.classList.add("hand");
    const back = way !== "f";
    fill(above, { class: `run ${back ? "back" : "on"} ${timer && pace < 500 ? "swift" : ""}` });
    const stretch = (path, late, pointed) => {
      if (!path) return;
      const d = path.getAttribute("d");
      lit.push(path);
      path.classList.add("lit");
      below.append(draw("path", { d }));
      above.append(draw("path", { d, class: late, pathLength: 1 }));
      if (!pointed) return;
      // from its numbers: asking the browser for its ends would force a layout
      const ends = d.match(/[-.\d]+/g).map(Number);
      if (d.includes("H")) ends.push(ends[1]);
      if (d.includes("V")) ends.splice(2, 0, ends[0]);
      const [x0, y0, x, y] = back ? [ends[2], ends[3], ends[0], ends[1]] : ends.slice(-4);
      const turn = (Math.atan2(y - y0, x - x0) * 180) / Math.PI;
      const transform = `translate(${x} ${y})rotate(${turn})`;
      above.append(draw("path", { d: "M-7-4L1 0l-8 4z", class: `head ${late}`, transform }));
    };
    const wire = (other) => scene.groups.get(other).querySelector(".line");
    if (way === "s") stretch(wire(id), "", true);
    for (const edge of way === "s" ? [] : scene.ways.get(id) || []) {
      const [from, to] = endsOf(edge);
      const into = to === id;
      const other = into ? from : to;
      const v = values.get(valueOf(scene.groups.get(other)));
      if (!v || (back && !v.needs)) continue;
      const late = into === back ? "late" : "";
      const use = other[0] === "k";
      stretch(edge, late, into !== back);
      stretch(wire(other), late, into === back && !use);
      for (const fork of use ? scene.ways.get(other) : []) if (fork !== edge) stretch(fork, late, back);
    }
  }

  function halt() {
    clearInterval(timer);
    timer = 0;
    playing(false);
  }
  function playing(is) {
    find("play").classList.toggle("on", is);
    find("play").title = `${is ? "pause" : "play"} (space)`;
    words.setAttribute("aria-live", is ? "off" : "polite"); // too fast for screen readers
  }
  const jump = (to) => {
    halt();
    go(to);
  };
  const MOVES = {
    first: () => jump(0),
    back: () => jump(here.at - 1),
    play() {
      if (timer) return halt();
      if (here.at === here.last) go(0);
      pace = Math.max(120, Math.min(1100, 60000 / here.last));
      timer = setInterval(() => (here.at < here.last ? go(here.at + 1) : halt()), pace);
      playing(true);
    },
    next: () => jump(fresh && here.at === here.last ? 1 : here.at + 1),
    last: () => jump(here.last),
  };

  // ------------------------------------------------------------------- zoom and scrolling

  let scale = 1;
  let fitted = true;
  const AROUND = 170; // approximate height of what is above and below the canvas

  function size(to) {
    const { svg, width, height } = here;
    scale = to;
    fill(svg, { width: width * scale, height: height * scale });
  }
  function zoom(to, x, y) {
    const { svg } = here;
    const old = bounds(svg);
    const frame = bounds(canvas);
    x ??= frame.left + frame.width / 2;
    y ??= frame.top + frame.height / 2;
    size(Math.max(0.05, Math.min(6, to)));
    fitted = false;
    const now = bounds(svg);
    canvas.scrollLeft += now.left - x + ((x - old.left) / old.width) * now.width || 0;
    canvas.scrollTop += now.top - y + ((y - old.top) / old.height) * now.height || 0;
  }
  const larger = () => zoom(scale * 1.25);
  const smaller = () => zoom(scale / 1.25);
  // Fits the width; enlarges only while everything stays visible.
  const whole = (w, h) =>
    Math.min(1.6, (w - 48) / here.width, Math.max(1, (h - 48) / here.height));
  const fit = () => {
    zoom(whole(canvas.clientWidth, canvas.clientHeight));
    fitted = true;
  };
  // Scrolls a group into view, and zooms until it is readable.
  function reveal(group, behavior = calm.matches || (timer && pace < 500) ? "auto" : "smooth") {
    if (scale < 0.6) zoom(0.9);
    group.box ??= group.getBBox();
    const { x, y, width, height } = group.box;
    const { clientWidth: w, clientHeight: h } = canvas;
    const svg = bounds(here.svg);
    const frame = bounds(canvas);
    const dx = svg.left - frame.left + (x + width / 2 - here.left) * scale - w / 2;
    const dy = svg.top - frame.top + (y + height / 2 - here.top) * scale - h / 2;
    if (Math.abs(dx) < w * 0.36 && Math.abs(dy) < h * 0.36) return;
    canvas.scrollBy({ left: dx, top: dy, behavior });
  }

  let drag = null;
  on(canvas, "pointerdown", (e) => {
    drag = e.pointerType === "mouse" && !e.button && { x: e.clientX, y: e.clientY };
  });
  on(canvas, "pointermove", (e) => {
    if (!drag || !e.buttons) return;
    const [dx, dy] = [e.clientX - drag.x, e.clientY - drag.y];
    if (!drag.far && Math.hypot(dx, dy) < 5) return;
    if (!drag.far) canvas.setPointerCapture(e.pointerId);
    drag = { x: e.clientX, y: e.clientY, far: true };
    canvas.scrollLeft -= dx;
    canvas.scrollTop -= dy;
  });
  on(canvas, "wheel", (e) => {
    if (!e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    zoom(scale * Math.exp(-e.deltaY / 300), e.clientX, e.clientY);
  });
  new ResizeObserver(() => fitted && fit()).observe(canvas);

  // -------------------------------------------------------------------- going in and out

  function nameOf({ path, parent, title }) {
    const outer = parent === null ? "" : `${scenes[parent].path}.`;
    return (path.startsWith(outer) ? path.slice(outer.length) : path) || title;
  }
  // Adds an entry to the browser's history, unless this is a step in it.
  function enter(scene, walked) {
    if (scene === here) return;
    if (!walked && top === window) history.pushState(scenes.indexOf(scene), "");
    close();
    halt();
    if (!scene.svg) prepare(scene);
    if (here) {
      mark(here);
      here.svg.replaceWith(scene.svg);
    }
    here = scene;
    const way = [tag("li", "", fill(tag("span", "", nameOf(scene)), { "aria-current": "page" }))];
    for (let s = scenes[scene.parent]; s; s = scenes[s.parent]) {
      const outer = s;
      way.unshift(tag("li", "", button("", () => enter(outer), nameOf(s))));
    }
    find("path").replaceChildren(...way);
    find("kind").textContent = nameOf(scene) === scene.title ? "" : scene.title;
    find("out").hidden = scene.parent === null;
    slider.max = scene.last;
    slider.style.setProperty("--turn", `${scene.turn && (100 * (scene.turn + 0.5)) / scene.last}%`);
    // A picture too large to fit shows its start, or the active step. Sizes are written before any
    // is read: each layout of a large picture is slow.
    const all = whole(innerWidth, innerHeight - AROUND);
    fitted = all >= 0.6;
    size(fitted ? all : 0.9);
    go(time === Infinity ? scene.last : scene.steps.filter((s) => s[2] <= time).length, false);
    const first = hand || (scene.steps.length && scene.groups.get(scene.steps[0][1]));
    if (first) reveal(first, "auto");
  }
  function out() {
    const { box, parent } = here;
    if (parent === null) return;
    enter(scenes[parent]);
    here.groups.get(box).focus();
  }
  function focus(id) {
    const group = here.groups.get(id);
    if (!group) return;
    group.focus({ preventScroll: true });
    reveal(group);
  }
  const inside = (id) => scenes.find((s) => scenes[s.parent] === here && s.box === id);
  function open(id) {
    const scene = inside(id);
    if (!scene) return false;
    enter(scene);
    canvas.focus();
    return true;
  }

  // -------------------------------------------------------------------------- details

  const row = (what, ...children) => [tag("dt", "", what), tag("dd", "", ...children)];
  const link = (text, id) =>
    button("link", () => {
      pick(id);
      focus(id);
    }, text);
  const part = (title, ...children) => tag("section", "", tag("h3", "", title), ...children);

  function facts(numbers, v) {
    if (!numbers) return "–";
    if (few(numbers, 8)) return nested(numbers, shapeOf(v), exact(v.dtype));
    if (Array.isArray(numbers)) return "[]";
    return `μ ${short(numbers.mean)}, σ ${short(numbers.std)}, norm ${short(numbers.norm)}`;
  }
  // The facts on a value, and the gradients that are sent to it.
  function about(v) {
    const rows = [...row("shape", `(${shapeOf(v).join(", ")}${shapeOf(v).length === 1 ? "," : ""})`)];
    if (v.dtype) rows.push(...row("dtype", v.dtype));
    rows.push(...row(v.changed ? "value now" : "value", told(facts(v.numbers, v))));
    if (v.needs) rows.push(...row("gradient", sent(facts(v.gradient, v))));
    const users = here.nodes.flatMap((node) =>
      sendings(node).filter(([source]) => source === v).map((sending) => [node, ...sending]),
    );
    const items = users.map(([node, , numbers, formula]) => {
      const text = numbers && v.needs ? flow(numbers, v, formula) : "";
      return tag("li", "", link(symbolOf(node), node.id), users.length > 1 && text ? " += " : " ", sent(text));
    });
    return [tag("dl", "", ...rows), ...(items.length ? [part("Used by", tag("ul", "", ...items))] : [])];
  }
  const gives = (node) => results(node).map((v) => part(`Gives ${called(v)}`, ...about(v)));
  const line = (v) => {
    const module = v.module === undefined ? "" : `in ${v.module || "the outermost module"}`;
    return tag("p", "soft", [v.line, module].filter(Boolean).join(" · "));
  };
  const input = ([v], ...rows) =>
    tag("li", "", link(called(v), `v${v.id}`), tag("dl", "", ...row("value", told(brief(v.numbers, v))), ...rows));

  function op(node) {
    const v = values.get(numberIn(node.id));
    const inputs = sendings(node).map((sending, i) => {
      const [source, numbers, formula, inNumbers] = sending;
      const both = [formula, inNumbers].filter(Boolean).join(" = ");
      const slope = (v.local_numbers || [])[i] ?? null;
      const rows = slope === null ? [] : row("local gradient", short(slope));
      if (source.needs) rows.push(...row("sends", sent(flow(numbers, source, both))));
      return input(sending, ...rows);
    });
    const formula = [v.name, v.formula].filter(Boolean).join(" = ");
    const inNumbers = v.in_numbers ? tag("p", "formula told", v.in_numbers) : "";
    return [
      tag("h2", "", tag("span", "sign", v.symbol || ""), v.op),
      line(v),
      tag("p", "formula told", v.formula ? formula : ""),
      inNumbers,
      ...gives(node),
      part("Takes", tag("ul", "inputs", ...inputs)),
    ];
  }
  function box(node) {
    const rows = [row("class", node.kind), row("path", node.path || "the outermost")];
    rows.push(row("ops", node.ops), row("parameters", node.parameters.toLocaleString("en")));
    const opens = inside(node.id)
      ? button("main", () => open(node.id), "open ", key("Enter"))
      : tag("p", "soft", `Its inside is not in this page: draw it by focus='${node.path.split(" … ")[0]}'`);
    const inputs = sendings(node).map((sending) => {
      const [v, numbers] = sending;
      return input(sending, ...(numbers ? row("sends", sent(flow(numbers, v))) : []));
    });
    return [tag("h2", "", node.title), tag("dl", "", ...rows.flat()), opens, ...gives(node),
      part("Takes", tag("ul", "inputs", ...inputs))];
  }
  function value(v) {
    const maker = here.nodes.find((node) => node.id[0] !== "v" && node.outputs.includes(v.id));
    const kind = v.inputs ? `out of sight: ${v.formula || v.op}` : v.kind;
    const from = maker ? ["computed by ", link(symbolOf(maker), maker.id)] : [kind];
    return [tag("h2", "", called(v)), tag("p", "", ...from), line(v), ...about(v)];
  }

  // The node or value of a group; for the only output of an op, the op.
  function subject(group) {
    if (group.id[0] === "o" || group.id[0] === "m") return group.id;
    const i = valueOf(group);
    const maker = here.nodes.find((node) => node.id[0] === "o" && node.outputs.includes(i));
    return maker && maker.outputs.length === 1 ? maker.id : `v${i}`;
  }
  // Highlights all groups that show a value.
  function light(group, name, is) {
    const kin = here.kin.get(valueOf(group)) || [];
    if (kin.length > 1) for (const g of kin) g.classList.toggle(name, is);
    if (name === "picked") group.classList.toggle(name, is);
  }
  function pick(id) {
    if (!here.groups.has(id)) return;
    if (picked) light(here.groups.get(picked), "picked", false);
    picked = subject(here.groups.get(id));
    light(here.groups.get(picked), "picked", true);
    const node = here.nodeOf.get(picked);
    const tell = { o: op, m: box }[picked[0]];
    find("about").replaceChildren(...(tell ? tell(node) : value(values.get(numberIn(picked)))));
    panel.hidden = false;
    panel.scrollTop = 0;
  }
  function close() {
    if (!picked) return;
    const group = here.groups.get(picked);
    if (panel.contains(document.activeElement)) group.focus({ preventScroll: true });
    light(group, "picked", false);
    picked = null;
    panel.hidden = true;
  }

  let later = 0;
  const groupAt = ({ target }) => target.closest("g.op, g.box, g.value, g.use");
  on(canvas, "click", (e) => {
    if (drag && drag.far) return;
    const group = groupAt(e);
    clearTimeout(later);
    if (!group) close();
    else if (picked || !inside(group.id)) pick(group.id);
    // the panel would move the box away from the pointer before the second click
    else later = setTimeout(pick, 250, group.id);
  });
  on(canvas, "dblclick", (e) => {
    const group = groupAt(e);
    clearTimeout(later);
    if (group) open(group.id);
  });
  on(canvas, "pointerover pointerout focusin focusout", (e) => {
    const group = groupAt(e);
    if (group) light(group, "kin", /over|in$/.test(e.type));
  });

  // --------------------------------------------------------------------------- search

  let entries = null;
  let found = [];
  let chosen = 0;

  const collect = () =>
    scenes.flatMap((scene) =>
      scene.nodes.map((node) => {
        const v = values.get(numberIn(node.id));
        const names = results(node).map((out) => out.name);
        const label = node.title || names.filter(Boolean).join(", ") || v.formula || v.op || called(v);
        const more = node.title ? [node.path] : [v.symbol, v.op, v.module, v.line];
        const detail = more.filter(Boolean).join(" · ");
        return { scene, id: node.id, label, detail, hay: [label, detail, ...names].join(" ").toLowerCase() };
      }),
    );
  function search() {
    entries ??= collect();
    const text = query.value.trim().toLowerCase();
    const best = new Map(); // by node: the hit in this scene, if there is one
    for (const entry of text ? entries : []) {
      if (entry.hay.includes(text) && !(best.has(entry.id) && entry.scene !== here)) best.set(entry.id, entry);
    }
    const rank = ({ label }) => (label.toLowerCase().indexOf(text) + 1 || Infinity);
    found = [...best.values()].sort((a, b) => rank(a) - rank(b) || 0).slice(0, 12);
    hits.replaceChildren(
      ...found.map((entry, i) => {
        const item = tag("li", "", bold(entry.label), tag("span", "", entry.detail));
        on(item, "click", () => take(entry));
        return fill(item, { id: `hit${i}`, role: "option" });
      }),
    );
    const rest = best.size - found.length;
    if (rest) hits.append(tag("li", "soft", `and ${rest} more`));
    if (!best.size) hits.append(tag("li", "soft", "nothing of that name"));
    show(text);
    choose(0);
  }
  function show(is) {
    hits.hidden = !is;
    query.setAttribute("aria-expanded", Boolean(is));
  }
  function choose(i) {
    chosen = i;
    found.forEach((_, k) => find(`hit${k}`).setAttribute("aria-selected", k === i));
    query.setAttribute("aria-activedescendant", found.length ? `hit${i}` : "");
    find(`hit${i}`)?.scrollIntoView({ block: "nearest" });
  }
  function take(entry) {
    if (!entry) return;
    query.value = "";
    show(false);
    enter(entry.scene);
    pick(entry.id);
    focus(entry.id);
  }
  on(query, "input focus", search);
  on(query, "blur", () => setTimeout(show, 200)); // after a click on a hit
  on(query, "keydown", (e) => {
    const by = { ArrowDown: 1, ArrowUp: found.length - 1 }[e.key];
    if (by) choose((chosen + by) % found.length || 0);
    else if (e.key === "Enter") take(found[chosen]);
    else if (e.key === "Escape") query.blur();
    else return;
    e.preventDefault();
  });

  // ----------------------------------------------------------------------------- keys

  const KEYS = {
    ArrowLeft: MOVES.back,
    ArrowRight: MOVES.next,
    Home: MOVES.first,
    End: MOVES.last,
    " ": MOVES.play,
    "/": () => query.focus(),
    "+": larger,
    "=": larger,
    "-": smaller,
    0: fit,
    Backspace: out,
    Escape: close,
  };
  on(document, "keydown", (e) => {
    const { target, altKey } = e;
    if (target === query || e.ctrlKey || e.metaKey || altKey !== (altKey && e.key === "ArrowUp")) return;
    const group = groupAt(e);
    let act = altKey ? out : KEYS[e.key];
    if (e.key === "Enter" && group) {
      // a second time: open the box, or focus the details
      const again = picked === subject(group);
      act = () => (again ? open(picked) || panel.focus() : pick(group.id));
    }
    if (e.key === " " && target.closest("button")) return;
    if (!act || (target === slider && /Arrow|Home|End/.test(e.key))) return;
    e.preventDefault();
    act();
  });
  const BUTTONS = { ...MOVES, closer: close, out, larger, smaller, fit };
  for (const id in BUTTONS) on(find(id), "click", BUTTONS[id]);
  on(slider, "input", () => jump(Number(slider.value)));

  // printing shows everything
  let stood = 0;
  on(window, "beforeprint", () => {
    stood = here.at;
    jump(here.last);
  });
  on(window, "afterprint", () => jump(stood));

  document.body.className = "ready";
  on(window, "popstate", ({ state }) => enter(scenes[state || 0], true));
  enter(scenes[(top === window && history.state) || 0] || scenes[0], true);
})();
