"""What the rVAE is compared with: PCA, NMF, GMM, a convolutional autoencoder, a VAE without pose; one interface.

fitted = fit(GMM(classes=9), subimages, seed=0)
codes = fitted.encode(subimages)     # latents (n, d), label (n,)
images = fitted.components()         # (k, h, w, c)
"""
