export * from "./frames.ts";
export * from "./hooks.ts";
