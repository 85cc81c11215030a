"""Every op, grouped by kind. Each is declared once, in its module."""
