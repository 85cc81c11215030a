"""The layers, thin over nn.functional."""
