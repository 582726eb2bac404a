"""Train, pack, export and measure `nano`, the built-in image and text encoder."""
