"""The command `qa-eval`: one file a command, each thin; what it does is in the library."""
