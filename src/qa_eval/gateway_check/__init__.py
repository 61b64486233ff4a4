"""What a gateway's configuration would silently not do, and whether a running gateway's guardrail is armed."""
