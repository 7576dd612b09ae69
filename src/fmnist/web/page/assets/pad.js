// The pad: a picture from a file, the clipboard, the camera or a drawing, given to the server as a data address.
const find = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const limit = Number(find(".pad").dataset.limit);
const preview = find(".drop img"), hint = find(".hint"), input = find("input[type=file]");
const video = find("video"), canvas = find("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
const brush = find("input[type=range]"), status = find(".status");
let stream = null, strokes = [], erasing = false, waiting = 0;

const say = (text) => { status.textContent = text; };

function give(address) {
  say("");
  props.value = address;
  trigger("submit");
  // On a phone the answer lies below; who draws goes on drawing.
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (innerWidth < 720 && canvas.parentElement.hidden)
    document.getElementById("result").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

function show(address) {
  preview.onload = () => preview.classList.toggle("pixels", preview.naturalWidth < 100);
  preview.src = address;
  preview.hidden = false;
  hint.textContent = "Choose another";
  hint.classList.add("again");
}

function take(file) {
  if (!file) return;
  if (file.size > limit) {
    say(`This picture has ${(file.size / 1e6).toFixed(1)} MB; ${limit / 1e6} MB at most are taken. Make it smaller first.`);
    return;
  }
  const reader = new FileReader();
  reader.onload = () => {
    choose("file");
    show(reader.result);
    give(reader.result);
  };
  reader.onerror = () => say("This file cannot be read.");
  reader.readAsDataURL(file);
}

function choose(mode) {
  all("[data-mode]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.mode === mode)));
  all("[data-panel]").forEach((panel) => { panel.hidden = panel.dataset.panel !== mode; });
  all("[data-tools]").forEach((tools) => { tools.hidden = tools.dataset.tools !== mode; });
  say("");
  if (mode === "camera") startCamera(); else stopCamera();
  if (mode === "draw" && !strokes.length) say("Draw a garment and fill it in: the model knows photos, not outlines.");
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    say("The camera needs a secure address: https, or localhost.");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    video.srcObject = stream;
    await video.play();
    say("A plain background helps.");
  } catch (error) {
    say(error.name === "NotAllowedError" ? "The browser has not been allowed to use the camera." : "There is no camera to be found.");
  }
}

function stopCamera() {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
}

function shoot() {
  if (!stream || !video.videoWidth) return;
  const side = Math.min(video.videoWidth, video.videoHeight);
  const shot = document.createElement("canvas");
  shot.width = shot.height = side;
  shot.getContext("2d").drawImage(
    video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side, 0, 0, side, side);
  const address = shot.toDataURL("image/jpeg", 0.95);
  choose("file");
  show(address);
  give(address);
}

// The drawing: dark on white, as a photo of a garment would be.
function blank() {
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
}

function trace(stroke) {
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = stroke.width;
  context.strokeStyle = context.fillStyle = stroke.erase ? "#fff" : "#3c3c3c";
  const [start, ...rest] = stroke.points;
  context.beginPath();
  context.arc(start[0], start[1], stroke.width / 2, 0, 7);
  context.fill();
  context.beginPath();
  context.moveTo(...start);
  rest.forEach((point) => context.lineTo(...point));
  context.stroke();
}

function redraw() {
  blank();
  strokes.forEach(trace);
}

function ask() {
  clearTimeout(waiting);
  if (strokes.some((stroke) => !stroke.erase)) waiting = setTimeout(() => give(canvas.toDataURL("image/png")), 250);
}

const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
};
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  clearTimeout(waiting);
  say("");
  strokes.push({ points: [at(event)], width: Number(brush.value), erase: erasing });
  trace(strokes.at(-1));
});
canvas.addEventListener("pointermove", (event) => {
  if (!canvas.hasPointerCapture(event.pointerId)) return;
  strokes.at(-1).points.push(at(event));
  trace(strokes.at(-1));
});
canvas.addEventListener("pointerup", ask);
canvas.addEventListener("pointercancel", ask);

const actions = {
  shoot,
  erase: (button) => { erasing = !erasing; button.setAttribute("aria-pressed", String(erasing)); },
  undo: () => { strokes.pop(); redraw(); ask(); },
  clear: () => { strokes = []; redraw(); },
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.mode) choose(button.dataset.mode);
  if (button.dataset.do) actions[button.dataset.do](button);
  if (button.dataset.example) {
    choose("file");
    show(button.dataset.example);
    give(button.dataset.example);
  }
});
input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
const drop = find(".drop");
["dragover", "dragleave", "drop"].forEach((name) => drop.addEventListener(name, (event) => {
  event.preventDefault();
  drop.classList.toggle("over", name === "dragover");
  if (name === "drop") take(event.dataTransfer.files[0]);
}));
document.addEventListener("paste", (event) => {
  const item = [...(event.clipboardData?.items ?? [])].find((part) => part.type.startsWith("image/"));
  if (item && element.offsetParent) take(item.getAsFile());
});
document.addEventListener("visibilitychange", () => { if (document.hidden) { stopCamera(); } });
blank();
