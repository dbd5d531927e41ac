// A click on a picture puts it into the row's slider.

for (const section of document.querySelectorAll("section")) {
  const after = section.querySelector("[slot=after]"), buttons = section.querySelectorAll("button");
  for (const button of buttons) button.addEventListener("click", () => {
    const shown = button.querySelector("img");
    after.src = shown.src;
    after.alt = shown.alt;
    for (const other of buttons) other.setAttribute("aria-pressed", other === button);
  });
}
