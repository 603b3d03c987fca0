import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/turn.css";
import "./styles/answer.css";
import "./styles/dialogs.css";
import { open } from "./library.ts";
import { Studio } from "./studio.tsx";

open();
createRoot(document.getElementById("studio")!).render(
  <StrictMode>
    <Studio />
  </StrictMode>,
);
