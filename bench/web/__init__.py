"""What a long streamed answer costs in the browser: the studio beside react-markdown and Streamdown, by the browser's trace.

`make bench-web` runs it; docs/performance-web.md has the results.
"""
