"""Checks of a gateway's configuration, and of a running gateway against it."""
