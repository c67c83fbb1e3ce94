"""Manifests in the making: drafted from a folder, and held against its files."""
