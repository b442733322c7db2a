/* The preview of /settings while somebody types. Without this script the button "確認" does it. */
"use strict";
const form = document.querySelector("form[data-preview]");
const place = document.getElementById("preview");
let waiting, asked;
form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    asked?.abort();
    asked = new AbortController();
    try {
      const answer = await fetch(form.dataset.preview, {
        method: "POST", body: new FormData(form), signal: asked.signal,
      });
      if (answer.ok) place.innerHTML = await answer.text();
    } catch (error) {
      if (error.name !== "AbortError") return; // offline: what was shown stays
    }
  }, 250);
});
