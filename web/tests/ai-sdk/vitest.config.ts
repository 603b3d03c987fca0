import { defineConfig } from "vitest/config";

// Apart from the unit tests: these talk to a running server, which `tests/faces/test_ai_sdk.py` starts.
export default defineConfig({ test: { include: ["tests/ai-sdk/*.test.ts"] } });
