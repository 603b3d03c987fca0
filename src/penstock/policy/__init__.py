"""Pure decisions: no event loop, no socket; the clock is passed in."""
