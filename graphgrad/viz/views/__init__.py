"""What is to be seen of a snapshot: nodes, scenes that open into one another, and steps."""
