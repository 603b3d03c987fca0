import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Pages of the benchmark only (`make bench-web`): never a part of the package.
export default defineConfig({
  base: "/bench/",
  plugins: [react()],
  build: { outDir: "../../../.bench/web/page", emptyOutDir: true, target: "es2023", chunkSizeWarningLimit: 5000 },
});
