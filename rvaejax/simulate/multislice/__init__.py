"""Image simulation by multislice: potentials, probe, propagation, scanned images, and the specimens to put under it.

Method: Cowley and Moodie, Acta Crystallographica 10, 609 (1957); Kirkland, Advanced Computing in Electron Microscopy.
"""
