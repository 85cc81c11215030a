"""What pictures of known programs look like, as DOT. To write them anew: python -m tests.golden"""
