"""Looking into a training: what each layer does, what is unusual, and checks before it."""
