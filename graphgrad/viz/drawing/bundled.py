"""A script: draws the DOT on stdin by the Graphviz in the pygraphviz wheel."""

import sys

END = b"\n}\n"  # of a graph, as graphgrad writes it


def main() -> None:
    """Read graphs in DOT from stdin, write each in the format of the only argument."""
    import pygraphviz

    (suffix,) = sys.argv[1:]
    for text in sys.stdin.buffer.read().split(END)[:-1]:
        graph = pygraphviz.AGraph((text + END).decode())
        if suffix == "png":
            graph.graph_attr["dpi"] = "144"
            graph.graph_attr["size"] = "80"
        sys.stdout.buffer.write(graph.draw(format=suffix, prog="dot") or b"")


if __name__ == "__main__":
    main()
