"use strict";
// What changes is asked for anew when the server says that something has. What a person opened, scrolled, selected or stands
// on stays so.
const link = document.getElementById("link");
const opened = new Set();
const scrolled = new Map();
let standsOn = "";
let waiting = false;
let stream = null;
let version = null;

const within = (selector) => document.querySelectorAll(`#live ${selector}`);
const selecting = () => !document.getSelection().isCollapsed;
const refresh = () => window.htmx && window.htmx.trigger(document.body, "changed");

const listen = () => {
  stream = new EventSource(document.body.dataset.changes);
  stream.addEventListener("ready", (event) => {
    link.textContent = "live";
    if (version !== null && version !== event.data) refresh();
    version = event.data;
  });
  stream.addEventListener("changed", (event) => {
    version = event.data;
    refresh();
  });
  stream.addEventListener("lost", () => {
    link.textContent = "not live: the API server does not answer";
    version = "";
    refresh();
  });
  stream.addEventListener("error", () => {
    link.textContent = "not live: the server does not answer";
  });
};

// A browser has six connections to a server for all of its pages, and a page that nobody sees needs none.
const follow = () => {
  if (!document.hidden) {
    if (stream === null) listen();
  } else if (stream !== null) {
    stream.close();
    stream = null;
    link.textContent = "not live: the page is in the background";
  }
};

document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (!event.detail.serverResponse.includes('id="live"')) {
    event.detail.shouldSwap = false;
    link.textContent = "not live: the server refuses; open the address that it has printed";
    return;
  }
  if (selecting()) {
    event.detail.shouldSwap = false;
    waiting = true;
    return;
  }
  opened.clear();
  within("details[open]").forEach((each) => opened.add(each.id));
  scrolled.clear();
  within("[id]").forEach((each) => {
    if (each.scrollTop || each.scrollLeft) scrolled.set(each.id, [each.scrollLeft, each.scrollTop]);
  });
  standsOn = document.activeElement.id;
});
document.body.addEventListener("htmx:afterSettle", () => {
  within("details[id]").forEach((each) => {
    each.open = opened.has(each.id);
  });
  scrolled.forEach((place, id) => document.getElementById(id)?.scrollTo(...place));
  const there = standsOn && document.getElementById(standsOn);
  if (there && document.activeElement !== there) there.focus({ preventScroll: true });
});
document.addEventListener("selectionchange", () => {
  if (waiting && !selecting()) {
    waiting = false;
    refresh();
  }
});
document.addEventListener("visibilitychange", follow);
follow();
