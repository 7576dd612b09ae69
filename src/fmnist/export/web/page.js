// The page: a picture from a file, the clipboard, the camera or a drawing, and what the model says of it.

import { openModel } from "./model.js";

// A class that is less probable than this is "unsure", in words.
const SURE = 0.9, LIKELY = 0.6;
// Outlines of examples in a square of 100 × 100, by the class that each shows.
const EXAMPLES = {
  "T-shirt/top": "M38 4L24 9L12 34L25 40L30 30V98H70V30L75 40L88 34L76 9L62 4Q50 14 38 4Z",
  "Trouser": "M34 2H66L71 98H55L50 30L45 98H29Z",
  "Bag": "M10 34H90L95 96H5ZM32 34C32 -2 68 -2 68 34H62C62 8 38 8 38 34Z",
};

const find = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const input = find("input[type=file]"), preview = find(".drop img"), drop = find(".drop"), video = find("video");
const brush = find("input[type=range]"), board = find(".stage canvas"), context = board.getContext("2d");
let stream = null, strokes = [], erasing = false, waiting = 0, turn = 0;

const say = (text) => { find("#status").textContent = text; };
// As in Python: what is not quite nothing or all does not round to 0% or 100%.
export const percent = (share) => share > 0 && share < 0.0005 ? "<0.1%" : share < 1 && share >= 0.9995 ? ">99.9%" : `${(100 * share).toFixed(1)}%`;

// The answer

const model = openModel();
model.then(({ facts }) => {
  const names = facts.class_names;
  find("#about").textContent =
    `One of ${names.length} kinds: ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", …" : ""}. ` +
    "The model runs on this device: no picture leaves it.";
  [find("#seen").height, find("#seen").width] = facts.image_shape;
  find("figcaption").textContent = `What the model saw: ${facts.image_shape.join(" × ")} pixels`;
  Object.keys(EXAMPLES).filter((name) => names.includes(name)).forEach(offer);
  say("Ready.");
}).catch((error) => say(`The model cannot be opened here: ${error.message}`));

// source: a file or a canvas. Only the newest question is answered.
async function ask(source) {
  forget();
  const mine = turn;
  try {
    const { facts, look } = await model;
    say("Looking …");
    await new Promise((ready) => { setTimeout(ready); }); // so that this is seen
    const found = await look(source);
    if (mine !== turn) return;
    say("");
    show(facts, found);
  } catch (error) {
    if (mine === turn) say(error.name === "InvalidStateError" ? "This browser cannot open that as a picture." : error.message);
  }
}

// The input is another one: what was answered, or is being worked out, is about the last one.
function forget() {
  turn++;
  clearTimeout(waiting);
  find("#found").hidden = true;
  find("#empty").hidden = false;
}

function show({ class_names: names, image_shape: [height, width], threshold }, { levels, probabilities, unfamiliarity }) {
  const order = [...names.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const [best, second] = order, share = probabilities[best];
  find("#name").textContent = names[best];
  find("#share").textContent = percent(share);
  const strange = unfamiliarity > threshold; // null where the model cannot tell
  find("#mood").textContent = strange ? "Of the classes that the model knows, this one fits best."
    : share >= SURE ? "The model is sure."
    : share >= LIKELY ? `Likely; the next guess is ${names[second]}.`
    : `The model is torn between ${names[best]} and ${names[second]}.`;
  find("#stranger").hidden = !strange;
  find("#untold").hidden = unfamiliarity !== null;
  find("#bars tbody").replaceChildren(...order.slice(0, 12).map((label) => {
    const row = document.createElement("tr"), bar = document.createElement("i");
    const [name, middle, figure] = ["th", "td", "td"].map((kind) => row.appendChild(document.createElement(kind)));
    name.scope = "row";
    name.textContent = names[label];
    bar.style.width = `${100 * probabilities[label]}%`;
    middle.append(bar);
    figure.textContent = percent(probabilities[label]);
    return row;
  }));
  const pixels = new ImageData(width, height);
  levels.forEach((level, at) => pixels.data.set([level, level, level, 255], 4 * at));
  find("#seen").getContext("2d").putImageData(pixels, 0, 0);
  find("#empty").hidden = true;
  find("#found").hidden = false;
  // On a phone the answer lies below; who draws goes on drawing.
  if (innerWidth < 720 && board.parentElement.hidden) find("#answer").scrollIntoView({ block: "nearest" });
}

// A photo

function take(file) {
  if (!file) return;
  choose("photo");
  preview.onload = () => { URL.revokeObjectURL(preview.src); };
  preview.src = URL.createObjectURL(file);
  fill(true);
  ask(file);
}

function fill(full) {
  preview.hidden = !full;
  drop.classList.toggle("full", full);
}

// An example, drawn here

function offer(name) {
  const button = document.createElement("button"), small = paint(name, 144);
  button.type = "button";
  button.ariaLabel = name;
  button.append(small);
  button.addEventListener("click", () => { forget(); paint(name, board.width).toBlob(take); });
  find("#examples").append(button);
  find("#examples").hidden = find("#pad .drop").hidden;
}

function paint(name, side) {
  const canvas = document.createElement("canvas"), drawing = canvas.getContext("2d");
  canvas.width = canvas.height = side;
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, side, side);
  drawing.fillStyle = "#555";
  drawing.setTransform(side / 125, 0, 0, side / 125, side / 10, side / 10);
  drawing.fill(new Path2D(EXAMPLES[name]));
  return canvas;
}

input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
for (const name of ["dragover", "dragleave", "drop"])
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
document.addEventListener("paste", (event) => {
  take([...event.clipboardData.items].find((item) => item.type.startsWith("image/"))?.getAsFile());
});

// The camera

async function startCamera() {
  if (!navigator.mediaDevices) return say("The camera needs a secure address (https); under Photo most phones offer it too.");
  try {
    const wanted = { video: { facingMode: "environment", width: { ideal: 1280 } } };
    const started = await navigator.mediaDevices.getUserMedia(wanted);
    stopCamera();
    if (video.parentElement.hidden) return started.getTracks().forEach((track) => track.stop());
    video.srcObject = stream = started;
    await video.play();
    say("A plain ground helps.");
  } catch (error) {
    say(error.name === "NotAllowedError" ? "The browser has not been allowed to use the camera." : "There is no camera to be found.");
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
}

function shoot() {
  if (!stream || !video.videoWidth) return;
  forget();
  const side = Math.min(video.videoWidth, video.videoHeight), shot = document.createElement("canvas");
  shot.width = shot.height = side;
  shot.getContext("2d").drawImage(
    video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side, 0, 0, side, side);
  shot.toBlob(take);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) stopCamera();
  else if (!video.parentElement.hidden) startCamera();
});

// The drawing: dark on white, as a photo would be

function redraw() {
  context.fillStyle = "#fff";
  context.fillRect(0, 0, board.width, board.height);
  context.lineCap = context.lineJoin = "round";
  for (const { points, width, erase } of strokes) {
    context.lineWidth = width;
    context.strokeStyle = erase ? "#fff" : "#3c3c3c";
    context.beginPath();
    context.moveTo(...points[0]);
    points.forEach((point) => context.lineTo(...point));
    context.stroke();
  }
}

function askSoon() {
  forget();
  if (strokes.some((stroke) => !stroke.erase)) waiting = setTimeout(() => ask(board), 250);
}

board.addEventListener("pointerdown", (event) => {
  board.setPointerCapture(event.pointerId);
  forget();
  strokes.push({ points: [], width: Number(brush.value), erase: erasing });
  draw(event);
});
board.addEventListener("pointermove", (event) => {
  if (board.hasPointerCapture(event.pointerId)) draw(event);
});
board.addEventListener("pointerup", askSoon);
board.addEventListener("pointercancel", askSoon);

function draw(event) {
  const box = board.getBoundingClientRect(), scale = board.width / box.width;
  strokes.at(-1).points.push([(event.clientX - box.left) * scale, (event.clientY - box.top) * scale]);
  redraw();
}

// The buttons

function choose(mode) {
  for (const button of all("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  for (const panel of all("[data-panel]")) panel.hidden = panel.dataset.panel !== mode;
  for (const tools of all("[data-tools]")) tools.hidden = tools.dataset.tools !== mode;
  stopCamera();
  forget();
  fill(false);
  say("");
  if (mode === "camera") startCamera();
  if (mode === "draw") {
    say("Fill it in: the model knows photos, not outlines.");
    askSoon();
  }
}

const actions = {
  shoot,
  erase(button) { erasing = !erasing; button.setAttribute("aria-pressed", String(erasing)); },
  undo() { strokes.pop(); redraw(); askSoon(); },
  clear() { strokes = []; redraw(); askSoon(); },
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.mode) choose(button.dataset.mode);
  if (button?.dataset.do) actions[button.dataset.do](button);
});
redraw();

// Kept for the time without a network

if (navigator.serviceWorker) {
  navigator.serviceWorker.register("service-worker.js").catch(() => {});
  navigator.serviceWorker.ready.then(() => {
    find("#offline").textContent = "Kept on this device: it works without a network now.";
  });
}
