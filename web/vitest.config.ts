import { defineConfig } from "vitest/config";

// Tests that need a page say so themselves: `// @vitest-environment jsdom`.
export default defineConfig({
  test: { include: ["packages/*/tests/**/*.test.{ts,tsx}", "apps/*/tests/**/*.test.{ts,tsx}"] },
});
