"""Isolation monitors."""
