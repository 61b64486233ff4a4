"""Kinds of datasets, one file each: what the user names goes in, examples come out. `registry` lists them."""
