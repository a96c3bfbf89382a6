"""Networks, each as `build(config, ...) -> Network(init, apply)`; the only modules that import flax.

`encoders` and `decoders` for the rVAE. Nothing is imported here, so that `nets.config` stays free of JAX.
"""
