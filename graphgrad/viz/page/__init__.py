"""Pages for the browser: one file each, offline, drawn by the scripts and styles beside this."""
