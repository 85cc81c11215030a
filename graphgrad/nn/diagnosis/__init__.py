"""Looking into a training run: what each layer does, what is unusual, and checks before it."""
