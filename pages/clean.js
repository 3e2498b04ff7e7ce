// The link's secret leaves the address bar (and so bookmarks, shared screens, synced histories).
"use strict";
if (location.search) history.replaceState(null, "", location.pathname + location.hash);
