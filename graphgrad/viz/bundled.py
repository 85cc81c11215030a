"""A program, not a module: draws the DOT on stdin by the Graphviz in the pygraphviz wheel."""

import sys


def main() -> None:
    """Read DOT from stdin, write the format that the only argument names to stdout."""
    import pygraphviz

    (suffix,) = sys.argv[1:]
    graph = pygraphviz.AGraph(sys.stdin.buffer.read().decode())
    if suffix == "png":
        graph.graph_attr["dpi"] = "144"
        graph.graph_attr["size"] = "80"
    sys.stdout.buffer.write(graph.draw(format=suffix, prog="dot") or b"")


if __name__ == "__main__":
    main()
