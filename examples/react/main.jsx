import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App.jsx";

const discovery = new URLSearchParams(location.search).get("server") ?? "http://localhost:8080";

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <App discovery={discovery} />
  </StrictMode>,
);
