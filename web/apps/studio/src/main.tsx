import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

createRoot(document.getElementById("studio")!).render(<StrictMode>Penstock</StrictMode>);
