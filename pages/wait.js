// Asks whether the link was used meanwhile, and goes on by itself. Never needed: the page works without.
"use strict";
const state = document.getElementById("state");
let pause = 2000;
let timer = 0;
let asking = false;

function say(name) {
  const words = state.dataset[name.replace(/-(.)/g, (_, letter) => letter.toUpperCase())];
  if (words && state.textContent !== words) state.textContent = words;
  state.dataset.now = name;
}

function later() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(ask, pause);
  pause = Math.min(pause * 1.1, 10000);
}

async function ask() {
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch(state.dataset.status, {
      headers: { accept: "application/json" }, cache: "no-store", redirect: "error",
    });
    if (answer.ok) {
      const news = await answer.json();
      if (news.state !== "waiting") {
        say(news.state);
        document.removeEventListener("visibilitychange", look);
        if (news.state === "signed-in") {
          const next = new URL(news.next || "/", location.href);
          if (/^https?:$/.test(next.protocol)) location.replace(next);
        }
        return;
      }
    }
  } catch {
    pause = 10000; // the network is away: ask seldom, say nothing
  } finally {
    asking = false;
  }
  later();
}

function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  pause = 2000;
  ask();
}

if (state) {
  say("waiting");
  document.addEventListener("visibilitychange", look);
  later();
}
