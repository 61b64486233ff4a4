"""Requests to the servers of a run: thousands, small, over connections that are kept."""
