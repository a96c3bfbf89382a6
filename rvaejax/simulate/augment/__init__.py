"""Augmentation of labelled images on the device."""
