"""Manifests: what is known of every dataset, and the choosing among them."""
