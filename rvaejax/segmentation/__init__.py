"""A U-Net that finds atoms: training on simulated images, tiled prediction, the weights that ship."""
