"""Asking over the network as a client does: HTTP, HTTPS and TCP, one fresh connection each time."""
