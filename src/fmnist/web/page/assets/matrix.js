// The confusion matrix: one stop for the Tab key, arrows inside, and a choice tells the server row and column.
const cell = (row, column) => element.querySelector(`button[data-row="${row}"][data-column="${column}"]`);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-row]");
  if (!button) return;
  focusOn(button);
  element.querySelectorAll("[aria-current]").forEach((other) => other.removeAttribute("aria-current"));
  button.setAttribute("aria-current", "true");
  // On a phone the pictures lie below.
  if (innerWidth < 720) {
    const pictures = document.getElementById("pictures");
    new MutationObserver((_, self) => {
      if (!pictures.querySelector("h3, .problem")) return;
      self.disconnect();
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      pictures.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    }).observe(pictures, { childList: true, subtree: true });
  }
  trigger("click", { row: Number(button.dataset.row), column: Number(button.dataset.column) });
});
element.addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  const button = event.target.closest("button[data-row]");
  if (!step || !button) return;
  const next = cell(Number(button.dataset.row) + step[0], Number(button.dataset.column) + step[1]);
  if (next) focusOn(next);
  event.preventDefault();
});
function focusOn(button) {
  element.querySelectorAll('button[tabindex="0"]').forEach((other) => { other.tabIndex = -1; });
  button.tabIndex = 0;
  button.focus();
}
