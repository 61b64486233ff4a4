"""Experiments: a dataset and models in, answers journalled, scored, recorded in Phoenix and summed up.

    plan ──► engine ──► journal ──► scoring ──► recorder (Phoenix)
                          └───────────────────► results

The journal is the truth of a run: each stage takes from it what the stage before has put there.
"""
