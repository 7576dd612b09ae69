// Teach: pictures of classes from the camera or from files, one request each; training; the model's answers at once.
const find = (selector) => element.querySelector(selector);
const limit = Number(find(".teach").dataset.limit), side = Number(find(".teach").dataset.side);
const video = find("video"), status = find(".status"), live = find(".live"), field = find("input[name=name]");
const RECORD_MS = 150, LOOK_MS = 200, PROGRESS_MS = 500, SHOWN = 6;
let name = "", stream = null, held = false, recording = false, ready = false, looking = false, waiting = false;

const say = (text) => { status.textContent = text; };
const cardOf = (label) => [...element.querySelectorAll(".card")].find((one) => one.dataset.label === label);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Return the server's answer, or null where there is none: then the reason is told.
async function ask(what, more = {}) {
  const body = JSON.stringify({ do: what, name, ...more });
  try {
    // What is on its way arrives even if the page is closed; browsers allow 64 kB of that.
    const answer = await (await fetch("./teach", { method: "POST", body, keepalive: body.length < 32000 })).json();
    const problem = answer.problem ?? answer.error?.message;
    if (problem) say(problem);
    return problem ? null : answer;
  } catch {
    say("The server does not answer.");
    return null;
  }
}

// Show the collection as the server has it.
async function change(what, more) {
  const answer = await ask(what, more);
  if (!answer) return false;
  const { do: pressed } = document.activeElement.dataset, label = document.activeElement.closest(".card")?.dataset.label;
  name = field.value = answer.name;
  find("datalist").replaceChildren(...answer.names.map((known) => new Option(known)));
  find(".classes").innerHTML = answer.classes;
  if (label) cardOf(label)?.querySelector(`[data-do=${pressed}]`)?.focus(); // the keyboard goes on where it was
  showLesson(answer);
  return true;
}

function showLesson(answer) {
  find(".lesson").innerHTML = answer.lesson;
  ready = answer.ready;
  if (!ready) live.replaceChildren();
  look();
  if (answer.running) wait();
}

async function wait() {
  if (waiting) return;
  waiting = true;
  for (let answer = { running: true }; answer?.running && element.isConnected;) {
    await pause(PROGRESS_MS);
    answer = await ask("progress");
    waiting = answer?.running;
    if (answer) showLesson(answer);
  }
  waiting = false;
  if (ready && !find(".lesson .problem")) say("The training is done.");
}

// The camera's picture, cut to a square.
function snapshot() {
  const cut = Math.min(video.videoWidth, video.videoHeight), shot = document.createElement("canvas");
  shot.width = shot.height = side;
  shot.getContext("2d").drawImage(
    video, (video.videoWidth - cut) / 2, (video.videoHeight - cut) / 2, cut, cut, 0, 0, side, side);
  return shot.toDataURL("image/jpeg", 0.9);
}

async function keep(label, picture) {
  const answer = await ask("picture", { label, picture });
  const card = cardOf(label);
  if (answer && card) {
    card.querySelector(".count").textContent = answer.count;
    const image = Object.assign(new Image(), { src: picture, alt: "" }), item = document.createElement("li");
    item.append(image);
    const strip = card.querySelector(".strip");
    strip.append(item);
    if (strip.children.length > SHOWN) strip.firstElementChild.remove();
  }
  return answer !== null;
}

// Take a picture, and more of them as long as a pointer holds the button.
async function record(label) {
  if (recording) return;
  recording = true;
  if (stream || (await startCamera())) {
    say("");
    while ((await keep(label, snapshot())) && held) await pause(RECORD_MS);
    const answer = await ask("progress"); // there may be enough pictures now
    if (answer) showLesson(answer);
  }
  recording = false;
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    say("The camera needs a secure address: https, or localhost.");
    return false;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 640 } } });
  } catch (error) {
    say(error.name === "NotAllowedError" ? "The browser has not been allowed to use the camera." : "There is no camera to be found.");
    return false;
  }
  video.srcObject = stream;
  await video.play();
  showCamera();
  look();
  return true;
}

function stopCamera() {
  held = false;
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
  live.replaceChildren();
  showCamera();
}

function showCamera() {
  const button = find("[data-do=camera]");
  button.textContent = stream ? "Stop the camera" : "Start the camera";
  button.setAttribute("aria-pressed", String(stream !== null));
  find(".off").hidden = stream !== null;
}

// Ask the model about what the camera sees, again and again.
async function look() {
  if (looking) return;
  looking = true;
  while (ready && stream && element.isConnected) {
    if (!recording) {
      const answer = await ask("look", { picture: snapshot() });
      if (!answer) break;
      if (ready && stream) live.innerHTML = answer.live;
    }
    await pause(LOOK_MS);
  }
  looking = false;
}

async function takeFiles(label, files) {
  for (const file of files) {
    if (!file.type.startsWith("image/") || file.size > limit) {
      say(`${file.name} is no picture of at most ${limit / 1e6} MB; the others are taken.`);
      continue;
    }
    const reader = new FileReader();
    const picture = await new Promise((resolve) => {
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => resolve("");
      reader.readAsDataURL(file);
    });
    if (!(await keep(label, picture))) break;
  }
  await change("show");
}

const actions = {
  camera: () => { if (stream) stopCamera(); else startCamera(); },
  undo: (label) => change("undo", { label }),
  remove: (label, card) => {
    const count = card.querySelector(".count").textContent;
    if (confirm(`Remove the class ${label} with its pictures (${count})?`)) change("remove", { label });
  },
  train: () => { say(""); change("train"); },
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]"), card = event.target.closest(".card");
  if (!button) return;
  // Pointers are seen to below; the keyboard and other aids send clicks alone, and a held Enter sends many.
  if (button.dataset.do === "record") {
    if (event.detail === 0) record(card.dataset.label);
  } else actions[button.dataset.do](card?.dataset.label, card);
});
element.addEventListener("pointerdown", (event) => {
  const button = event.target.closest("[data-do=record]");
  if (!button || event.button !== 0) return;
  button.setPointerCapture(event.pointerId);
  held = true;
  record(button.closest(".card").dataset.label);
});
["pointerup", "pointercancel"].forEach((kind) => element.addEventListener(kind, () => { held = false; }));
element.addEventListener("contextmenu", (event) => { if (event.target.closest("[data-do=record]")) event.preventDefault(); });
element.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  takeFiles(event.target.closest(".card").dataset.label, [...event.target.files]);
});
element.addEventListener("submit", async (event) => {
  event.preventDefault();
  say("");
  const given = event.target.querySelector("input").value;
  if (event.target.dataset.do === "open") change("show", { name: given });
  else if (await change("class", { label: given })) find(".classes form input")?.focus();
});
document.addEventListener("visibilitychange", () => { if (document.hidden) stopCamera(); });
new IntersectionObserver(([seen]) => { if (!seen.isIntersecting && stream) stopCamera(); }).observe(element);
change("show");
