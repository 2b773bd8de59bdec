"use strict";
const box = document.querySelector("#find"), main = document.querySelector("main"), note = document.querySelector("#note");
let good = Date.now();
function sift() {
  const wanted = box.value.toLowerCase();
  for (const card of main.children) card.hidden = !card.dataset.name.includes(wanted);
}
async function again() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(4000) });
    const made = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (!made) throw new Error("no page");
    note.textContent = made.ownerDocument.querySelector("#note").textContent;
    main.replaceChildren(...made.children);
    good = Date.now();
    document.body.classList.remove("old");
    sift();
  } catch {
    document.body.classList.add("old");
    note.textContent = `The manager has not answered for ${Math.round((Date.now() - good) / 1000)} s: this is as old.`;
  }
  setTimeout(again, 5000);
}
box.addEventListener("input", sift);
setTimeout(again, 5000);
