"""Pages for the browser: a single offline file each, with the scripts and styles in this folder."""
