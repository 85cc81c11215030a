"""What a module is: parameters, containers, calls with other weights, summaries."""
