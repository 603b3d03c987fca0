import { env } from "node:process"

const penstock = env.PENSTOCK_URL ?? "http://127.0.0.1:8080"

// The page and Penstock under one address, as a proxy puts them in production. Penstock sees the name that the browser asked
// for (`changeOrigin` would hide it), and so knows that the page is not some other site's.
export default {
  server: { proxy: { "/v1": { target: penstock, changeOrigin: false } } },
  resolve: { dedupe: ["react", "react-dom"] }, // the packages are links into the checkout, which may have a React of its own
}
