"""The version: told to upstreams, in the API's description and by `penstock --version`."""

__version__ = "0.1.0"
