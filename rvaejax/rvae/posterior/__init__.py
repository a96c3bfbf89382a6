"""Beyond the encoder: the posterior of single sub-images under a trained decoder, and how far the encoder is from it.

`target.py` is the density, `climb.py` the way up to a maximum of it, `modes.py` which maxima there are and whose part
of the space is whose, `nuts.py` a chain in each, `evidence.py` and `mixed.py` what each weighs and all together,
`bounds.py` what the encoder's own draws say, `calls.py` what is compiled and in which order it runs, `sampling.py` all
of it for a trained model.
"""
