import { createRoot } from "react-dom/client";
import { App } from "./App";
import "./theme.css";
import { showKeptTheme } from "./shell/theme";

showKeptTheme();
const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
