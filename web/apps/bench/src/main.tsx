// `?show=` says what: each renderer is loaded only where it is shown.

import "./bench.css";
import "./probe.ts";

const wanted = new URLSearchParams(location.search).get("show") ?? "";

if (wanted === "view") void import("./with-view.tsx");
else if (wanted === "react-markdown") void import("./with-react-markdown.tsx");
else if (wanted === "streamdown") void import("./with-streamdown.tsx");
else void import("./many.ts").then(({ showMany }) => showMany(Number(wanted)));
