"""Edges towards models: connections to endpoints, generators of the user's, and the embedded demo."""
