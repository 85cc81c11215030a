"""What a picture shows of a snapshot: nodes, scenes that open into one another, and steps."""
