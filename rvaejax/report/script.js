// Without JavaScript all pictures of a series are shown one below the other.
for (const figure of document.querySelectorAll("figure")) {
  const slider = figure.querySelector(".slider");
  const pictures = [...figure.querySelectorAll(".picture")];
  if (slider) {
    const input = slider.querySelector("input");
    const show = () => {
      pictures.forEach((picture, i) => { picture.hidden = i !== Number(input.value); });
      const label = pictures[Number(input.value)].dataset.label || `${Number(input.value) + 1} of ${pictures.length}`;
      slider.querySelector("output").value = label;
      input.setAttribute("aria-valuetext", label);
    };
    slider.hidden = false;
    input.setAttribute("aria-label", `${figure.querySelector("h3").textContent}: frame`);
    input.addEventListener("input", show);
    show();
  }
  for (const picture of pictures) picture.addEventListener("click", () => picture.classList.toggle("whole"));
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const picture of document.querySelectorAll(".whole")) picture.classList.remove("whole");
});
