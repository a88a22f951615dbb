"""Tests mirror the rooms; `campaign` holds the long runs, `mutations` the proof that each defence is watched."""
