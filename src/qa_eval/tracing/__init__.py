"""The trace of each answer: its ids, and the question's own span."""
