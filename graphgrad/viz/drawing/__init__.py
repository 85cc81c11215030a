"""From a view to a picture: items, their layout, and a writer for each format."""
