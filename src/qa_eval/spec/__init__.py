"""The specification of an experiment: one typed model, and the three doors to it (file, flags, Python keywords).

settings   every setting that a flag or a keyword can give: its name, its place in the specification, its help
model      the specification itself
systems    what is compared: explicit systems, or the matrix of models and prompts
load       a file, flags or keywords in, a checked specification out
schema     the JSON Schema for editors
keywords   the Python keywords, typed
"""
