"""The command line: `graphgrad view`, `graphgrad demo`."""
