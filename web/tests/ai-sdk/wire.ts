// A wire between the page and Penstock that can be cut: a TCP relay, which knows nothing of HTTP.
import { connect, createServer, type Socket } from "node:net"
import { address } from "./place.ts"

export async function wire() {
  const sockets = new Set<Socket>()
  const server = createServer(near => {
    const far = connect(Number(new URL(address).port), "127.0.0.1")
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one)
      one.pipe(other)
      one.on("error", () => other.destroy())
      one.on("close", () => sockets.delete(one))
    }
  })
  await new Promise<void>(listening => server.listen(0, "127.0.0.1", listening))
  return {
    address: `http://127.0.0.1:${server.address()!.port}`,
    cut: () => sockets.forEach(socket => socket.resetAndDestroy()),
    remove: () => void server.close(),
  }
}
