// The little of Node that these tests use: nothing else here needs its types.
declare module "node:fs" {
  export function existsSync(path: string): boolean
  export function readFileSync(path: string, encoding: "utf-8"): string
}

declare module "node:process" {
  export const env: Record<string, string | undefined>
}

declare module "node:net" {
  export interface Socket {
    pipe(other: Socket): void
    on(event: "error" | "close", told: () => void): void
    destroy(): void
    resetAndDestroy(): void
  }
  export interface Server {
    listen(port: number, host: string, listening: () => void): void
    address(): { port: number } | null
    close(): void
  }
  export function connect(port: number, host: string): Socket
  export function createServer(connected: (socket: Socket) => void): Server
}
