"""What is seen of a snapshot: nodes, scenes that open into one another, and steps."""
