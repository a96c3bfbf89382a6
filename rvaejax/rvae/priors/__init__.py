"""Priors of angle, shift and content, each one small class; a user's own are taken through the same protocol.

`config.py` holds the options of those that come with the package (no JAX), `protocol.py` what a prior of your own must
have, `build.py` turns either into pure functions.
"""
