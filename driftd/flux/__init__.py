"""Flux: Kustomizations and HelmReleases, found in Git or on a cluster, as applications."""
