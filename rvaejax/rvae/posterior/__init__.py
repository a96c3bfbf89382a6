"""Beyond the encoder: the posterior of single sub-images under a trained decoder, and how far the encoder is from it.

`target.py` is the density, `climb.py` the way up to a maximum of it, `modes.py` where its orientations are, `nuts.py` a
chain in each, `evidence.py` what each weighs, `bounds.py` what the encoder's own draws say, `sampling.py` all of it for
a trained model.
"""
