"""From a view to a picture: items, their places, and a writer for each form."""
