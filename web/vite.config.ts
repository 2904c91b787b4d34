/// <reference types="vitest/config" />
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Built into the package, which serves it: nothing is loaded from anywhere else.
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/aris/workspace/static",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    // No inlined assets: the content security policy allows no data: scripts or fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 5000,
  },
  worker: { format: "es" },
  server: { proxy: { "/api": "http://127.0.0.1:8000" } },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"] },
});
