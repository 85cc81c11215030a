"""Snapshots of graphs: their contents at one moment, and how these are collected."""
