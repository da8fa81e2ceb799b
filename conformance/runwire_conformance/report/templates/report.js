"use strict";
// Niceties only: the page reads and filters without any of this.
const form = document.querySelector(".filter");
const search = document.querySelector(".search");
const none = document.querySelector(".none");
const find = document.getElementById("find");
const requirements = [...document.querySelectorAll(".requirement")];
const sections = [...document.querySelectorAll("section.class")];

function shown() {
  const asked = find.value.trim().toLowerCase();
  for (const requirement of requirements) {
    const text = requirement.querySelector("summary").textContent.toLowerCase();
    requirement.hidden = asked !== "" && !text.includes(asked);
  }
  const visible = (element) => element.getClientRects().length > 0;
  for (const section of sections) section.hidden = false;
  for (const section of sections) section.hidden = ![...section.querySelectorAll(".requirement")].some(visible);
  none.hidden = sections.some((section) => !section.hidden);
}

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    const choice = document.getElementById("show-" + target.dataset.verdict.replace(" ", "-"));
    if (choice) choice.checked = true;
    find.value = "";
    shown();
    target.open = true;
    target.scrollIntoView();
  }
}

search.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", shown);
form.addEventListener("reset", shown);
window.addEventListener("hashchange", reveal);
window.addEventListener("beforeprint", () => requirements.forEach((requirement) => (requirement.open = true)));
if (navigator.clipboard) {
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
}
shown();
reveal();
