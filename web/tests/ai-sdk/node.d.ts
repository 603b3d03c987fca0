// The little of Node that these tests use: nothing else here needs its types.
declare module "node:fs" {
  export function existsSync(path: string): boolean
  export function readFileSync(path: string, encoding: "utf-8"): string
}

declare module "node:process" {
  export const env: Record<string, string | undefined>
}
