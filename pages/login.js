// A fragment never reaches a server; it survives the redirect to this page, so it goes back in return_to.
"use strict";
const place = document.querySelector("input[name=return_to]");
if (place && location.hash.length > 1 && !place.value.includes("#")) {
  place.value = (place.value || "/") + location.hash;
}
