"use strict";
// What changes is asked for anew when the server says that something has; what a person has opened stays open.
const opened = new Set();
const link = document.getElementById("link");
const stream = new EventSource("/changes");
let version = null;
const refresh = () => window.htmx && window.htmx.trigger(document.body, "changed");
stream.addEventListener("ready", (event) => {
  link.textContent = "live";
  if (version !== null && version !== event.data) refresh();
  version = event.data;
});
stream.addEventListener("changed", (event) => {
  version = event.data;
  refresh();
});
stream.addEventListener("error", () => {
  link.textContent = "not live: the server does not answer";
});
document.body.addEventListener("htmx:beforeSwap", () => {
  opened.clear();
  document.querySelectorAll("#live details[open]").forEach((each) => opened.add(each.id));
});
document.body.addEventListener("htmx:afterSettle", () => {
  opened.forEach((id) => {
    const each = document.getElementById(id);
    if (each) each.open = true;
  });
});
