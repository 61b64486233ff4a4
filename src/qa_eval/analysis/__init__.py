"""Systems compared: observations from every source, measures, comparisons, gates."""
