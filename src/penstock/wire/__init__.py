"""Pure bytes <-> facts: no event loop, no clock, no socket."""
