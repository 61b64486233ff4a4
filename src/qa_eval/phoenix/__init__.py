"""Phoenix's REST interface: datasets, experiments, prompts. Knows nothing of runs."""
