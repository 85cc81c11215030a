"""What is known of a graph at one moment, and how it is found out."""
