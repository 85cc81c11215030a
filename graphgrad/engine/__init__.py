"""The engine: from an operation to its node, and from a node to gradients."""
